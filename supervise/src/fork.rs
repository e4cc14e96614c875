//! Forking, and the parent's handle on the child.

use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::panic::{self, AssertUnwindSafe};
use std::process;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, getpid};

use crate::threads::{SingleThread, ThreadsError};
use crate::{ExitStatus, sys};

/// Which side of a [`fork`] this is.
#[derive(Debug)]
pub enum Fork {
    /// The parent, with its handle on the child.
    Parent(Child),
    /// The child, still with everything it inherited: go on with [`Newborn::become_child`].
    Child(Newborn),
}

/// Forks this process, if it has one thread.
///
/// In the child every value is a copy of the parent's, destructors included. Code that does not simply call
/// [`std::process::exit`] at the end is safer with [`spawn_child`].
///
/// # Errors
///
/// [`ForkError::Threads`] if there are other threads, which would not exist in the child while the locks they hold
/// would; otherwise what the kernel refused.
pub fn fork() -> Result<Fork, ForkError> {
    let proof = SingleThread::check()?;
    // What is buffered now would be written twice.
    let _ = io::stdout().flush();
    let parent = getpid();
    let Some(pid) = sys::fork::fork(&proof).map_err(|errno| ForkError::Refused(errno.into()))? else {
        return Ok(Fork::Child(Newborn { parent }));
    };
    // The pid cannot be reused before we reap it, so the descriptor means this child and no other.
    match sys::pidfd::open(pid) {
        Ok(pidfd) => Ok(Fork::Parent(Child { pid, pidfd, origin: Origin::Forked, status: None })),
        Err(errno) => {
            // Without a handle it cannot be supervised: it must not live.
            let _ = nix::sys::signal::kill(pid, Signal::SIGKILL);
            let _ = waitpid(pid, None);
            Err(ForkError::Handle(errno.into()))
        }
    }
}

/// Forks and runs `body` in the child, which exits with the code it returns; 101 if it panics.
///
/// In the parent, `body` is dropped with what was moved into it: so the child's end of a pipe moves to the child.
///
/// The rest of the caller's stack never runs in the child and is never dropped there, so descriptors that the child
/// closed cannot be closed a second time by their old owners.
///
/// # Errors
///
/// As [`fork`].
pub fn spawn_child(body: impl FnOnce(Newborn) -> i32) -> Result<Child, ForkError> {
    match fork()? {
        Fork::Parent(child) => Ok(child),
        Fork::Child(newborn) => {
            // The panic hook has printed the message by the time this returns.
            let code = panic::catch_unwind(AssertUnwindSafe(|| body(newborn))).unwrap_or(PANICKED);
            process::exit(code)
        }
    }
}

/// A process that was just forked and has not found its role.
#[derive(Debug)]
pub struct Newborn {
    /// Read before the fork, so that it cannot be the pid of whoever adopted the child since.
    pub(crate) parent: Pid,
}

/// The parent's handle on a child process, by pidfd: no signal ever reaches a stranger that got a reused pid.
///
/// The descriptor is readable once the child has ended. Dropping the handle does nothing to the child.
#[derive(Debug)]
pub struct Child {
    pid: Pid,
    pidfd: OwnedFd,
    origin: Origin,
    status: Option<ExitStatus>,
}

/// Whose child it is by birth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// This process reaps it.
    Forked,
    /// Somebody else does.
    Adopted,
}

impl Child {
    pub(crate) fn adopted(pid: Pid, pidfd: OwnedFd) -> Child {
        Child { pid, pidfd, origin: Origin::Adopted, status: None }
    }

    /// The child's pid, for logs and titles.
    #[must_use]
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Sends a signal. A child that has ended already is no error.
    ///
    /// # Errors
    ///
    /// `EPERM`, if the child changed its user and this process may not signal it.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        match sys::pidfd::send_signal(self.pidfd.as_fd(), signal) {
            Ok(()) | Err(Errno::ESRCH) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Sends a signal to the child's process group, of which it has to be the leader ([`ChildSetup::own_group`](crate::ChildSetup)).
    /// As long as it has not been reaped, that number means no other group; so to a child that is [adopted](Child::adopt), and is
    /// reaped by somebody else, it is sent alone.
    ///
    /// # Errors
    ///
    /// `EPERM`, if none of the processes may be signalled.
    pub fn signal_group(&self, signal: Signal) -> io::Result<()> {
        if self.status.is_some() || self.origin == Origin::Adopted {
            return self.signal(signal);
        }
        match killpg(self.pid, signal) {
            Ok(()) => Ok(()),
            // It has not got as far as to be in a group of its own.
            Err(Errno::ESRCH) => self.signal(signal),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Reaps the child if it has ended; `None` while it runs. Gives the same answer ever after.
    ///
    /// How an [adopted](Child::adopt) child ended is not known.
    ///
    /// # Errors
    ///
    /// `ECHILD`, if somebody else reaped it: this process must have one owner of exit statuses.
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        self.reap(Some(WaitPidFlag::WNOHANG))
    }

    /// Waits until the child has ended, and reaps it.
    ///
    /// # Errors
    ///
    /// As [`try_wait`](Child::try_wait).
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        loop {
            if let Some(status) = self.reap(None)? {
                return Ok(status);
            }
        }
    }

    fn reap(&mut self, flags: Option<WaitPidFlag>) -> io::Result<Option<ExitStatus>> {
        if self.status.is_some() {
            return Ok(self.status);
        }
        self.status = match self.origin {
            Origin::Adopted => self.has_ended(flags)?.then_some(ExitStatus::Unknown),
            Origin::Forked => match waitpid(self.pid, flags) {
                Ok(status) => ended(status).map(|(_, status)| status),
                Err(Errno::EINTR) => None,
                Err(errno) => return Err(errno.into()),
            },
        };
        Ok(self.status)
    }

    /// What the descriptor tells: it is readable from the end on, and stays so when the process has been reaped.
    fn has_ended(&self, flags: Option<WaitPidFlag>) -> io::Result<bool> {
        let timeout = if flags.is_some() { PollTimeout::ZERO } else { PollTimeout::NONE };
        match poll(&mut [PollFd::new(self.pidfd.as_fd(), PollFlags::POLLIN)], timeout) {
            Ok(count) => Ok(count > 0),
            Err(Errno::EINTR) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }
}

impl AsFd for Child {
    /// The pidfd: readable once the child has ended.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

/// Why there is no child.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ForkError {
    /// Forking would not be safe.
    #[error("refusing to fork")]
    Threads(#[from] ThreadsError),
    /// The kernel refused: no memory, or too many processes.
    #[error("fork failed")]
    Refused(#[source] io::Error),
    /// There was a child, but no descriptor for a handle on it; it was killed.
    #[error("no pidfd for the new process, which was killed")]
    Handle(#[source] io::Error),
}

/// A process that `waitpid` or `waitid` says has ended, and how.
pub(crate) fn ended(status: WaitStatus) -> Option<(Pid, ExitStatus)> {
    match status {
        WaitStatus::Exited(pid, code) => Some((pid, ExitStatus::Code(code))),
        WaitStatus::Signaled(pid, signal, core) => {
            Some((pid, ExitStatus::Signal { signal: signal as i32, core }))
        }
        _ => None,
    }
}

/// The exit code of a Rust program that panicked.
const PANICKED: i32 = 101;
