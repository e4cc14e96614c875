//! A child that may outlive its parent, but not the service.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{Pid, getppid};

use crate::{BecomeChildError, Parent};

/// A child's handle on its parent, and on the subreaper above that, which adopts the child when the parent dies. The
/// descriptor is readable once the parent is gone.
///
/// The parent-death signal is sent by whoever is the parent at its death, see PR_SET_PDEATHSIG(2const); so it ties an
/// adopted child to the subreaper.
#[derive(Debug)]
pub struct Ancestors {
    parent: Parent,
    subreaper: Pid,
}

impl Ancestors {
    /// `subreaper` is an ancestor of `parent` that has called [`adopt_orphans`](crate::adopt_orphans).
    #[must_use]
    pub fn new(parent: Parent, subreaper: Pid) -> Ancestors {
        Ancestors { parent, subreaper }
    }

    /// From now on the parent's death ends this process no more. Even if it is stopped at that moment, it is woken, so
    /// that it can decide.
    ///
    /// To be called by the main thread, like the others.
    ///
    /// # Errors
    ///
    /// [`BecomeChildError::ParentGone`] if both are gone already.
    pub fn outlive_parent(&self) -> Result<(), BecomeChildError> {
        self.arm(Signal::SIGCONT)?;
        self.check([self.parent.pid(), self.subreaper])
    }

    /// From now on this process is killed when its parent dies, whichever of the two that is.
    ///
    /// # Errors
    ///
    /// As [`outlive_parent`](Ancestors::outlive_parent).
    pub fn die_with_parent(&self) -> Result<(), BecomeChildError> {
        self.arm(Signal::SIGKILL)?;
        self.check([self.parent.pid(), self.subreaper])
    }

    /// The parent is gone: ties this process to the subreaper, which kills it with its own death.
    ///
    /// # Errors
    ///
    /// [`BecomeChildError::ParentGone`] if the subreaper is gone as well.
    pub fn follow_subreaper(&self) -> Result<(), BecomeChildError> {
        self.arm(Signal::SIGKILL)?;
        self.check([self.subreaper; 2])
    }

    fn arm(&self, signal: Signal) -> Result<(), BecomeChildError> {
        prctl::set_pdeathsig(signal).map_err(|errno| BecomeChildError::DeathSignal(io::Error::from(errno)))
    }

    /// After the signal is armed: a death before that sent none.
    fn check(&self, alive: [Pid; 2]) -> Result<(), BecomeChildError> {
        if alive.contains(&getppid()) {
            Ok(())
        } else {
            Err(BecomeChildError::ParentGone { pid: self.parent.pid().as_raw() })
        }
    }
}

impl AsFd for Ancestors {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.parent.as_fd()
    }
}
