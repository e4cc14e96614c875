//! A private directory for the sockets of one service.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::unistd::{Pid, geteuid, getpid};

/// A directory that only its user can enter (mode 0700), removed with all it holds when the value is dropped.
///
/// Only the process that made it removes it: a forked child's copy of the value does nothing.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    owner: Pid,
}

impl RunDir {
    /// Makes the directory. One of that name which is left from a crashed process is replaced, provided that it is a
    /// directory and this user's own; so put the pid into the name.
    ///
    /// # Errors
    ///
    /// [`RunDirError`], with the path.
    pub fn create(path: impl Into<PathBuf>) -> Result<RunDir, RunDirError> {
        let path = path.into();
        let make = || DirBuilder::new().mode(0o700).create(&path);
        match make() {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                remove_own(&path)?;
                make().map_err(|source| RunDirError::Create { path: path.clone(), source })?;
            }
            result => result.map_err(|source| RunDirError::Create { path: path.clone(), source })?,
        }
        Ok(RunDir { path, owner: getpid() })
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

fn remove_own(path: &Path) -> Result<(), RunDirError> {
    let refused = |source| RunDirError::Remove { path: path.to_owned(), source };
    // Not through a link: in a shared directory anybody could have put one there.
    let metadata = fs::symlink_metadata(path).map_err(refused)?;
    if !metadata.is_dir() || metadata.uid() != geteuid().as_raw() {
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
        let dir = RunDir::create(base.path().join("run")).unwrap();
        assert_eq!(fs::metadata(dir.path()).unwrap().mode() & 0o7777, 0o700);
    }

    #[test]
    fn it_goes_with_everything_in_it() {
        let base = tempfile::tempdir().unwrap();
        let dir = RunDir::create(base.path().join("run")).unwrap();
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
        let dir = RunDir::create(&path).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_link_is_not_followed() {
        let base = tempfile::tempdir().unwrap();
        let (target, path) = (base.path().join("target"), base.path().join("run"));
        fs::create_dir(&target).unwrap();
        fs::write(target.join("precious"), "x").unwrap();
        std::os::unix::fs::symlink(&target, &path).unwrap();
        let error = RunDir::create(&path).unwrap_err();
        assert!(matches!(error, RunDirError::NotOurs { .. }), "{error}");
        assert!(target.join("precious").exists());
    }
}
