//! Children that nobody forked here.

use std::io;

use nix::errno::Errno;
use nix::sys::prctl::set_child_subreaper;
use nix::sys::wait::{Id, WaitPidFlag, waitid, waitpid};
use nix::unistd::Pid;

use crate::ExitStatus;
use crate::fork::ended;

/// Makes this process the parent of descendants whose own parent ends before them, see PR_SET_CHILD_SUBREAPER(2const).
///
/// So a master sees the children of a killed dirty arbiter end, and reaps them, where pid 1 might leave them as zombies.
/// It is not inherited by children.
///
/// # Errors
///
/// What the system says; Linux before 3.4 does not have it.
pub fn adopt_orphans() -> io::Result<()> {
    Ok(set_child_subreaper(true)?)
}

/// Reaps processes that have ended and that this process did not fork: as pid 1 of a container, or as a subreaper,
/// it inherits the orphans of others.
///
/// Call it when SIGCHLD arrives, after the own children have been reaped by their handles. It stops at the first
/// ended child that `is_ours`, and leaves that to its handle; what is behind it is found by the next call.
pub fn reap_orphans(is_ours: impl Fn(Pid) -> bool) -> Vec<(Pid, ExitStatus)> {
    let mut reaped = Vec::new();
    loop {
        // A look first: to wait for "any child" would steal the statuses of our own.
        let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        let pid = match waitid(Id::All, look) {
            Ok(status) => status.pid(),
            Err(Errno::EINTR) => continue,
            Err(_) => None,
        };
        match pid {
            Some(pid) if !is_ours(pid) => match waitpid(pid, Some(WaitPidFlag::WNOHANG)) {
                Ok(status) => reaped.extend(ended(status)),
                Err(_) => return reaped,
            },
            _ => return reaped,
        }
    }
}
