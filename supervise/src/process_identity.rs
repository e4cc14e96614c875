//! Which process a pid means.

use std::fs;
use std::io;

use nix::unistd::{Pid, getpid};

/// Names one process for as long as the machine runs: pids are reused, but not together with the time of the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ProcessIdentity {
    /// Its pid.
    pub pid: Pid,
    /// When it started, in clock ticks since the machine did: see `starttime` in proc_pid_stat(5).
    pub start_time: u64,
}

impl ProcessIdentity {
    /// The identity of the calling process.
    ///
    /// # Errors
    ///
    /// If `/proc` cannot be read.
    pub fn of_this_process() -> io::Result<ProcessIdentity> {
        let pid = getpid();
        Ok(ProcessIdentity { pid, start_time: Stat::read(pid)?.start_time })
    }
}

/// The part of `/proc/<pid>/stat` that tells one process from another.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) is_zombie: bool,
    pub(crate) parent: Pid,
    pub(crate) start_time: u64,
}

impl Stat {
    /// `NotFound` if there is no such process.
    pub(crate) fn read(pid: Pid) -> io::Result<Stat> {
        let text = match fs::read(format!("/proc/{pid}/stat")) {
            // It ended between the opening and the reading.
            Err(error) if error.raw_os_error() == Some(nix::libc::ESRCH) => {
                return Err(io::ErrorKind::NotFound.into());
            }
            result => result?,
        };
        Stat::parse(&String::from_utf8_lossy(&text))
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("/proc/{pid}/stat is cut")))
    }

    fn parse(text: &str) -> Option<Stat> {
        // The command's name may hold anything, parentheses and blanks included.
        let (_, rest) = text.rsplit_once(") ")?;
        let mut fields = rest.split_ascii_whitespace();
        let is_zombie = matches!(fields.next()?, "Z" | "X" | "x");
        let parent = Pid::from_raw(fields.next()?.parse().ok()?);
        // Field 22; the state is field 3.
        let start_time = fields.nth(17)?.parse().ok()?;
        Some(Stat { is_zombie, parent, start_time })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_found_with_its_parent() {
        let identity = ProcessIdentity::of_this_process().unwrap();
        let stat = Stat::read(identity.pid).unwrap();
        assert_eq!((stat.parent, stat.start_time), (nix::unistd::getppid(), identity.start_time));
        assert!(!stat.is_zombie);
    }

    #[test]
    fn a_name_with_parentheses_hides_nothing() {
        let line = "7 (a) S 1 (b) Z 42 0 0 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 1234 0 0";
        let expected = Stat { is_zombie: true, parent: Pid::from_raw(42), start_time: 1234 };
        assert_eq!(Stat::parse(line), Some(expected));
    }

    #[test]
    fn who_is_not_there_is_not_found() {
        // Above the kernel's greatest pid.
        let error = Stat::read(Pid::from_raw(i32::MAX)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
