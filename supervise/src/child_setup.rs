//! From a copy of the parent to a process with a role of its own.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::{Pid, getppid, setpgid};

use crate::fork::Newborn;
use crate::{Account, set_title, sys};

/// What a child keeps and becomes. Everything it does not name, it does not have.
#[derive(Debug)]
pub struct ChildSetup {
    title: String,
    keep: Vec<RawFd>,
    death_signal: Option<Signal>,
    held: SigSet,
    own_group: bool,
    account: Option<Account>,
}

impl ChildSetup {
    /// A child that is shown as `title`, keeps only the standard streams, and gets SIGTERM when its parent dies.
    #[must_use]
    pub fn new(title: impl Into<String>) -> ChildSetup {
        ChildSetup {
            title: title.into(),
            keep: vec![0, 1, 2],
            death_signal: Some(Signal::SIGTERM),
            held: SigSet::empty(),
            own_group: false,
            account: None,
        }
    }

    /// Keeps this descriptor open.
    #[must_use]
    pub fn keep(mut self, descriptor: &impl AsFd) -> ChildSetup {
        self.keep.push(descriptor.as_fd().as_raw_fd());
        self
    }

    /// What the kernel sends when the parent dies; `None` for nothing. A child can also watch [`Parent`].
    #[must_use]
    pub fn death_signal(mut self, signal: impl Into<Option<Signal>>) -> ChildSetup {
        self.death_signal = signal.into();
        self
    }

    /// Keeps these signals blocked, and those that have come waiting, until the child is ready for them: it reads them
    /// with [`Signals`](crate::Signals), or sets a handler and unblocks them.
    #[must_use]
    pub fn hold_back(mut self, signals: impl IntoIterator<Item = Signal>) -> ChildSetup {
        self.held = signals.into_iter().collect();
        self
    }

    /// Leaves the parent's process group for one of its own: what a terminal or `kill` sends to the whole group is then the
    /// parent's to pass on.
    #[must_use]
    pub fn own_group(mut self) -> ChildSetup {
        self.own_group = true;
        self
    }

    /// Runs as this account; `None` stays whoever the parent is.
    #[must_use]
    pub fn account(mut self, account: Option<Account>) -> ChildSetup {
        self.account = account;
        self
    }
}

impl Newborn {
    /// Sheds what was inherited: closes every descriptor that `setup` does not keep, resets signal dispositions and
    /// the signal mask, leaves the group if asked to, sets the title, changes the user, and arms the parent-death signal.
    ///
    /// The values that owned the closed descriptors are now about nothing, or soon about somebody else's file: they
    /// must be neither used nor dropped in this process. [`spawn_child`](crate::spawn_child) sees to the dropping.
    ///
    /// A signal that the parent's mask held back, such as a SIGTERM sent right after the fork, takes effect here, unless
    /// the setup holds it back further.
    ///
    /// # Errors
    ///
    /// [`BecomeChildError::ParentGone`] if the parent has died already: there is nobody to work for, exit.
    pub fn become_child(self, setup: ChildSetup) -> Result<Parent, BecomeChildError> {
        sys::descriptors::close_all_but(&setup.keep)
            .map_err(|errno| BecomeChildError::Descriptors(errno.into()))?;
        sys::dispositions::reset(&setup.held).map_err(|errno| BecomeChildError::Signals(errno.into()))?;
        if setup.own_group {
            // Refused only to the leader of a session, whose group is its own already.
            let _ = setpgid(Pid::from_raw(0), Pid::from_raw(0));
        }
        set_title(&setup.title);
        if let Some(account) = &setup.account {
            let Account { uid, gid, .. } = *account;
            account.take_on().map_err(|source| BecomeChildError::Account { uid, gid, source })?;
        }
        // After the change of user, which clears it.
        let parent = Parent::watch(self.parent)?;
        parent.arm_death_signal(setup.death_signal)?;
        Ok(parent)
    }
}

/// A child's handle on its parent. The descriptor is readable once the parent is gone.
#[derive(Debug)]
pub struct Parent {
    pid: Pid,
    pidfd: OwnedFd,
}

impl Parent {
    /// The parent's pid.
    #[must_use]
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Has the kernel send `signal` when the thread that forked this process ends; `None` disarms.
    ///
    /// A change of user clears this: call it again after one.
    ///
    /// # Errors
    ///
    /// [`BecomeChildError::ParentGone`] if the signal would never come, since the parent died before.
    pub fn arm_death_signal(&self, signal: Option<Signal>) -> Result<(), BecomeChildError> {
        prctl::set_pdeathsig(signal).map_err(|errno| BecomeChildError::DeathSignal(errno.into()))?;
        self.check()
    }

    /// Opens the descriptor first and looks second: if the parent is still ours after that, the pid was its own when
    /// the descriptor was opened, and its death cannot be missed any more.
    fn watch(pid: Pid) -> Result<Parent, BecomeChildError> {
        let gone = BecomeChildError::ParentGone { pid: pid.as_raw() };
        let pidfd = match sys::pidfd::open(pid) {
            Ok(pidfd) => pidfd,
            Err(nix::errno::Errno::ESRCH) => return Err(gone),
            Err(errno) => return Err(BecomeChildError::Watch(errno.into())),
        };
        let parent = Parent { pid, pidfd };
        parent.check()?;
        Ok(parent)
    }

    fn check(&self) -> Result<(), BecomeChildError> {
        // An orphan is given another parent before its own is reaped.
        if getppid() == self.pid {
            Ok(())
        } else {
            Err(BecomeChildError::ParentGone { pid: self.pid.as_raw() })
        }
    }
}

impl AsFd for Parent {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

/// Why a new process could not take up its role. It should exit.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BecomeChildError {
    /// Some inherited descriptors are still open.
    #[error("cannot close inherited descriptors")]
    Descriptors(#[source] io::Error),
    /// The signals are still set up as the parent's.
    #[error("cannot reset signal dispositions and mask")]
    Signals(#[source] io::Error),
    /// It cannot run as whom it is to.
    #[error("cannot run as user {uid}, group {gid}")]
    Account {
        /// The user.
        uid: u32,
        /// The group.
        gid: u32,
        /// What was refused.
        source: io::Error,
    },
    /// There is no handle on the parent.
    #[error("cannot watch the parent process")]
    Watch(#[source] io::Error),
    /// The parent's death would go unnoticed.
    #[error("cannot set the parent-death signal")]
    DeathSignal(#[source] io::Error),
    /// The parent is dead.
    #[error("the parent process {pid} is gone")]
    ParentGone {
        /// Its pid while it lived.
        pid: i32,
    },
}
