//! A handle on a process that somebody else forked.

use std::io;

use nix::errno::Errno;
use nix::unistd::Pid;

use crate::process_identity::Stat;
use crate::{Child, ProcessIdentity, sys};

impl Child {
    /// A handle on a process that a sibling of this one forked and left to the common `parent`, a subreaper (see
    /// [`adopt_orphans`](crate::adopt_orphans)).
    ///
    /// It is as good as one's own, but for its end: the parent reaps it, so how it ended is
    /// [`ExitStatus::Unknown`](crate::ExitStatus::Unknown) here.
    ///
    /// # Errors
    ///
    /// [`AdoptError`]: there is no such process any more, or it is not an orphan.
    pub fn adopt(identity: ProcessIdentity, parent: Pid) -> Result<Child, AdoptError> {
        let (child, current) = Child::of(identity)?;
        if current != parent {
            return Err(AdoptError::NotAnOrphan { pid: identity.pid.as_raw(), parent: current.as_raw() });
        }
        Ok(child)
    }

    /// A handle on a process that somebody forked who is gone, whoever is its parent now: somebody else reaps it, as with
    /// [`adopt`](Self::adopt).
    ///
    /// # Errors
    ///
    /// [`AdoptError`]: there is no such process any more.
    pub fn adopt_from_anybody(identity: ProcessIdentity) -> Result<Child, AdoptError> {
        Child::of(identity).map(|(child, _)| child)
    }

    /// A handle on a process, and who is its parent.
    fn of(identity: ProcessIdentity) -> Result<(Child, Pid), AdoptError> {
        let pid = identity.pid;
        let gone = AdoptError::Gone { pid: pid.as_raw() };
        // The descriptor first: if the pid means the right process after that, it did so before as well.
        let pidfd = match sys::pidfd::open(pid) {
            Ok(pidfd) => pidfd,
            Err(Errno::ESRCH) => return Err(gone),
            Err(errno) => return Err(AdoptError::Handle { pid: pid.as_raw(), source: errno.into() }),
        };
        let stat = match Stat::read(pid) {
            Ok(stat) => stat,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(gone),
            Err(source) => return Err(AdoptError::Handle { pid: pid.as_raw(), source }),
        };
        if stat.is_zombie || stat.start_time != identity.start_time {
            return Err(gone);
        }
        Ok((Child::adopted(pid, pidfd), stat.parent))
    }
}

/// Why a process could not be adopted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdoptError {
    /// It has ended.
    #[error("process {pid} has ended")]
    Gone {
        /// The pid that it had.
        pid: i32,
    },
    /// It belongs to somebody.
    #[error("process {pid} is a child of process {parent}")]
    NotAnOrphan {
        /// Its pid.
        pid: i32,
        /// Its parent's.
        parent: i32,
    },
    /// The system does not let us look at it.
    #[error("no handle on process {pid}")]
    Handle {
        /// Its pid.
        pid: i32,
        /// What was refused.
        source: io::Error,
    },
}
