//! A process that this one did not start.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::unistd::{Pid, geteuid};

use crate::process_identity::Stat;
use crate::sys;

/// A handle on a process of somebody else's, by pidfd. The descriptor is readable once the process has ended.
///
/// It means the process that had the pid when the handle was made: look at what you mean to meet only after that.
#[derive(Debug)]
pub struct OtherProcess {
    pid: Pid,
    pidfd: OwnedFd,
}

impl OtherProcess {
    /// The process that has this pid now, if there is one.
    ///
    /// # Errors
    ///
    /// What `pidfd_open(2)` refused.
    pub fn open(pid: Pid) -> io::Result<Option<OtherProcess>> {
        match sys::pidfd::open(pid) {
            Ok(pidfd) => Ok(Some(OtherProcess { pid, pidfd })),
            Err(Errno::ESRCH) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Its pid.
    #[must_use]
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Whether it runs as the user that the calling process acts for.
    #[must_use]
    pub fn is_of_this_user(&self) -> bool {
        fs::metadata(format!("/proc/{}", self.pid)).is_ok_and(|meta| meta.uid() == geteuid().as_raw())
    }

    /// What `ps` shows: its title, or its arguments between blanks. Empty if it has ended.
    #[must_use]
    pub fn title(&self) -> String {
        let raw = fs::read(format!("/proc/{}/cmdline", self.pid)).unwrap_or_default();
        String::from_utf8_lossy(&raw).replace('\0', " ").trim_end().to_owned()
    }

    /// Its children, as of now.
    #[must_use]
    pub fn children(&self) -> Vec<OtherProcess> {
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok().map(Pid::from_raw));
        let is_child = |pid: Pid| Stat::read(pid).is_ok_and(|stat| stat.parent == self.pid);
        pids.filter(|pid| is_child(*pid))
            .filter_map(|pid| OtherProcess::open(pid).ok().flatten())
            // Again, now that the pid cannot mean another one any more.
            .filter(|child| is_child(child.pid))
            .collect()
    }

    /// Sends a signal. A process that has ended is no error.
    ///
    /// # Errors
    ///
    /// `EPERM`, if it is not ours to signal.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        match sys::pidfd::send_signal(self.pidfd.as_fd(), signal) {
            Ok(()) | Err(Errno::ESRCH) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Waits until it has ended, or the time is up. Returns whether it has ended.
    ///
    /// # Errors
    ///
    /// What `poll(2)` refused.
    pub fn wait(&self, timeout: Duration) -> io::Result<bool> {
        let until = Instant::now() + timeout;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            // Rounded up, or the last fraction of a millisecond would be spent looking.
            let left = PollTimeout::try_from(left + Duration::from_micros(999)).unwrap_or(PollTimeout::MAX);
            let mut fds = [PollFd::new(self.pidfd.as_fd(), PollFlags::POLLIN)];
            match poll(&mut fds, left) {
                Ok(0) if Instant::now() >= until => return Ok(false),
                Ok(0) | Err(Errno::EINTR) => {}
                Ok(_) => return Ok(true),
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}

impl AsFd for OtherProcess {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_process_is_seen_to_live_and_to_end() {
        let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
        let pid = Pid::from_raw(child.id().try_into().unwrap());
        let other = OtherProcess::open(pid).unwrap().unwrap();
        assert!(other.is_of_this_user());
        assert!(!other.wait(Duration::from_millis(1)).unwrap());
        let this = OtherProcess::open(nix::unistd::getpid()).unwrap().unwrap();
        assert!(this.children().iter().any(|child| child.pid() == pid));
        other.signal(Signal::SIGKILL).unwrap();
        assert!(other.wait(Duration::from_secs(60)).unwrap());
        child.wait().unwrap();
        assert!(OtherProcess::open(pid).unwrap().is_none());
        other.signal(Signal::SIGKILL).unwrap();
    }
}
