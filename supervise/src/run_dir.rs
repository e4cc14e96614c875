//! A private directory for the sockets of one service.

use std::fs::{self, DirBuilder, Metadata};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::unistd::{Pid, geteuid, getpid};

use crate::{Account, Pinned};

/// A directory that only its user can enter (mode 0700), removed with all it holds when the value is dropped.
///
/// Only the process that made it removes it: a forked child's copy of the value does nothing.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    owner: Pid,
}

impl RunDir {
    /// Makes the directory, and gives it to `user` if there is one. One of that name which is left from a crashed process is
    /// replaced, provided that it is a directory and belongs to this user or to that one; so put the pid into the name.
    ///
    /// # Errors
    ///
    /// [`RunDirError`], with the path.
    pub fn create(path: impl Into<PathBuf>, user: Option<&Account>) -> Result<RunDir, RunDirError> {
        let path = path.into();
        let make = || DirBuilder::new().mode(0o700).create(&path);
        let refused = |source| RunDirError::Create { path: path.clone(), source };
        match make() {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                remove_own(&path, user)?;
                make().map_err(refused)?;
            }
            result => result.map_err(refused)?,
        }
        let dir = RunDir { path: path.clone(), owner: getpid() };
        if let Some(user) = user {
            Pinned::directory(&path).and_then(|pinned| pinned.give_to(user)).map_err(refused)?;
        }
        Ok(dir)
    }

    /// Whether there is a directory at `path`, and no link to one, that belongs to this user or to `user`.
    #[must_use]
    pub fn is_own(path: &Path, user: Option<&Account>) -> bool {
        fs::symlink_metadata(path).is_ok_and(|metadata| is_own(&metadata, user))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for RunDir {
    fn drop(&mut self) {
        if getpid() == self.owner {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// Why there is no directory.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunDirError {
    /// It could not be made.
    #[error("cannot create the directory {}", path.display())]
    Create {
        /// Its path.
        path: PathBuf,
        /// What the file system refused.
        source: io::Error,
    },
    /// What is there is not ours to remove.
    #[error("{} exists and is not a directory of this user (mode {mode:o}, user {user})", path.display())]
    NotOurs {
        /// Its path.
        path: PathBuf,
        /// Its file type and permissions.
        mode: u32,
        /// The id of the user it belongs to.
        user: u32,
    },
    /// What is there could not be removed.
    #[error("cannot remove the stale directory {}", path.display())]
    Remove {
        /// Its path.
        path: PathBuf,
        /// What the file system refused.
        source: io::Error,
    },
}

fn is_own(metadata: &Metadata, user: Option<&Account>) -> bool {
    let owners = [Some(geteuid().as_raw()), user.map(|user| user.uid)];
    metadata.is_dir() && owners.contains(&Some(metadata.uid()))
}

fn remove_own(path: &Path, user: Option<&Account>) -> Result<(), RunDirError> {
    let refused = |source| RunDirError::Remove { path: path.to_owned(), source };
    // Not through a link: in a shared directory anybody could have put one there.
    let metadata = fs::symlink_metadata(path).map_err(refused)?;
    if !is_own(&metadata, user) {
        let (mode, user) = (metadata.mode(), metadata.uid());
        return Err(RunDirError::NotOurs { path: path.to_owned(), mode, user });
    }
    fs::remove_dir_all(path).map_err(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_user_may_enter() {
        let base = tempfile::tempdir().unwrap();
        let dir = RunDir::create(base.path().join("run"), None).unwrap();
        assert_eq!(fs::metadata(dir.path()).unwrap().mode() & 0o7777, 0o700);
    }

    #[test]
    fn it_goes_with_everything_in_it() {
        let base = tempfile::tempdir().unwrap();
        let dir = RunDir::create(base.path().join("run"), None).unwrap();
        fs::write(dir.path().join("left"), "x").unwrap();
        drop(dir);
        assert_eq!(fs::read_dir(base.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_stale_one_is_replaced() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("run");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("stale.sock"), "x").unwrap();
        let dir = RunDir::create(&path, None).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_link_is_not_followed() {
        let base = tempfile::tempdir().unwrap();
        let (target, path) = (base.path().join("target"), base.path().join("run"));
        fs::create_dir(&target).unwrap();
        fs::write(target.join("precious"), "x").unwrap();
        std::os::unix::fs::symlink(&target, &path).unwrap();
        let error = RunDir::create(&path, None).unwrap_err();
        assert!(matches!(error, RunDirError::NotOurs { .. }), "{error}");
        assert!(target.join("precious").exists());
    }
    /// Only root can give a directory away.
    #[test]
    fn a_stale_one_of_whom_it_was_given_to_is_replaced_too() {
        if !geteuid().is_root() {
            return;
        }
        let user = Account { name: None, uid: 65_534, gid: 65_534 };
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("run");
        std::mem::forget(RunDir::create(&path, Some(&user)).unwrap());
        assert_eq!(fs::metadata(&path).unwrap().uid(), 65_534);
        assert!(matches!(RunDir::create(&path, None), Err(RunDirError::NotOurs { user: 65_534, .. })));
        assert!(RunDir::is_own(&path, Some(&user)) && !RunDir::is_own(&path, None));
        drop(RunDir::create(&path, Some(&user)).unwrap());
        assert!(!path.exists());
    }
}
