//! Something in the file system, changed by no name.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use nix::fcntl::OFlag;

use crate::Account;

/// What is at a path now, however the path is changed later.
///
/// Who gives away or opens up what it has just made, in a directory that others may write to, must not do so by its path:
/// they could have put a link to something precious there in between.
#[derive(Debug)]
pub struct Pinned {
    file: File,
}

impl Pinned {
    /// The socket at `path`.
    ///
    /// # Errors
    ///
    /// There is none, or something else; a link is something else.
    pub fn socket(path: &Path) -> io::Result<Pinned> {
        Pinned::open(path, "a socket", |kind| kind.is_socket())
    }

    /// The directory at `path`.
    ///
    /// # Errors
    ///
    /// There is none, or something else; a link is something else.
    pub fn directory(path: &Path) -> io::Result<Pinned> {
        Pinned::open(path, "a directory", fs::FileType::is_dir)
    }

    fn open(path: &Path, wanted: &str, is_it: impl Fn(&fs::FileType) -> bool) -> io::Result<Pinned> {
        // Opens nothing: neither a device nor a pipe notices.
        let flags = (OFlag::O_PATH | OFlag::O_NOFOLLOW).bits();
        let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
        if is_it(&file.metadata()?.file_type()) {
            return Ok(Pinned { file });
        }
        Err(io::Error::other(format!("somebody has put something else than {wanted} at {}", path.display())))
    }

    /// Gives it to this account.
    ///
    /// # Errors
    ///
    /// What `chown(2)` refused.
    pub fn give_to(&self, account: &Account) -> io::Result<()> {
        std::os::unix::fs::chown(self.name(), Some(account.uid), Some(account.gid))
    }

    /// Sets its permissions.
    ///
    /// # Errors
    ///
    /// What `chmod(2)` refused.
    pub fn set_mode(&self, mode: u32) -> io::Result<()> {
        fs::set_permissions(self.name(), Permissions::from_mode(mode))
    }

    /// Leads to it and nothing else, see proc_pid_fd(5).
    fn name(&self) -> String {
        format!("/proc/self/fd/{}", self.file.as_raw_fd())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::bind_unix;

    #[test]
    fn a_link_in_the_place_of_a_socket_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (path, precious) = (dir.path().join("s"), dir.path().join("precious"));
        let _listener = bind_unix(&path).unwrap();
        let pinned = Pinned::socket(&path).unwrap();
        fs::write(&precious, "").unwrap();
        fs::set_permissions(&precious, Permissions::from_mode(0o600)).unwrap();
        fs::rename(&path, dir.path().join("moved")).unwrap();
        symlink(&precious, &path).unwrap();
        let error = Pinned::socket(&path).unwrap_err().to_string();
        assert!(error.contains("something else than a socket"), "{error}");
        pinned.set_mode(0o666).unwrap();
        let mode = |name: &str| fs::metadata(dir.path().join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("moved"), mode("precious")), (0o666, 0o600));
    }
}
