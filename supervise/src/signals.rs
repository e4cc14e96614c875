//! Signals as something to read.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::sys;

/// Signals that are read from a descriptor instead of interrupting the program: no handler ever runs.
///
/// They stay blocked for good, in every thread started later too. A child made by [`fork`](crate::fork()) gets the
/// blocked mask with the rest of its inheritance, and sheds it in
/// [`become_child`](crate::Newborn::become_child).
#[derive(Debug)]
pub struct Signals {
    descriptor: SignalFd,
}

impl Signals {
    /// Blocks `signals` and collects them from now on. A signal that comes twice before it is read may be read once,
    /// as the kernel has it.
    ///
    /// Whoever started this process may have had some of them ignored: they are set to their default. Of SIGCHLD that
    /// matters, because the children of a process that ignores it leave no exit status.
    ///
    /// # Errors
    ///
    /// What `sigaction(2)`, `pthread_sigmask(3)` or `signalfd(2)` refused.
    pub fn block(signals: impl IntoIterator<Item = Signal>) -> io::Result<Signals> {
        let set: SigSet = signals.into_iter().collect();
        set.thread_block()?;
        // Blocked by now, so that none of them can end the process in between.
        set.iter().try_for_each(sys::dispositions::set_default)?;
        let descriptor = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        Ok(Signals { descriptor })
    }

    /// The next signal that came; `None` if there is none right now.
    ///
    /// # Errors
    ///
    /// What `read(2)` refused.
    pub fn read(&self) -> io::Result<Option<Signal>> {
        loop {
            match self.descriptor.read_signal() {
                Ok(None) => return Ok(None),
                Ok(Some(info)) => {
                    let number = i32::try_from(info.ssi_signo).unwrap_or(0);
                    if let Ok(signal) = Signal::try_from(number) {
                        return Ok(Some(signal));
                    }
                }
                Err(nix::errno::Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}

impl AsFd for Signals {
    /// Readable when a signal has come.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}
