//! Whom a process runs as.

use std::ffi::CString;
use std::io;
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::unistd::{Gid, Uid, fchown, getegid, geteuid, initgroups, setgid, setgroups, setuid};

/// A user and a group that child processes run as, see [`ChildSetup::account`](crate::ChildSetup::account).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The user's name, by which its further groups are found; `None` for a user without any.
    pub name: Option<String>,
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

impl Account {
    /// Whether the calling process runs as this account already.
    #[must_use]
    pub fn is_current(&self) -> bool {
        (geteuid().as_raw(), getegid().as_raw()) == (self.uid, self.gid)
    }

    /// Whether the calling process may become it.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        geteuid().is_root() || self.is_current()
    }

    /// Gives an open file to this account.
    ///
    /// # Errors
    ///
    /// What `fchown(2)` refused.
    pub fn give(&self, file: &impl AsFd) -> io::Result<()> {
        Ok(fchown(file, Some(Uid::from_raw(self.uid)), Some(Gid::from_raw(self.gid)))?)
    }

    /// Has the calling process run as this account, for good: groups first, while it still may.
    pub(crate) fn take_on(&self) -> io::Result<()> {
        if self.is_current() {
            return Ok(());
        }
        let group = Gid::from_raw(self.gid);
        if geteuid().is_root() {
            match self.name.as_deref().map(CString::new) {
                Some(Ok(name)) => initgroups(&name, group)?,
                // Whatever groups root is in, an account without a name is in none of them.
                Some(Err(_)) | None => setgroups(&[group])?,
            }
        }
        setgid(group)?;
        setuid(Uid::from_raw(self.uid))?;
        // A kernel that lets an ordinary user become root again has not done what was asked.
        if self.uid != 0 && setuid(Uid::from_raw(0)).is_ok() {
            return Err(Errno::EPERM.into());
        }
        Ok(())
    }
}
