//! Sockets that the master binds once and its children inherit.

use std::fs;
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use gunmetal_supervise::{bind_unix, is_socket_deserted};

/// A bound, listening, non-blocking socket.
#[derive(Debug)]
pub enum Listener {
    /// A TCP port.
    Tcp(TcpListener),
    /// A unix socket.
    Unix(UnixListener),
}

impl Listener {
    /// A second descriptor for the same socket.
    ///
    /// # Errors
    /// The system has no descriptor left.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Tcp(listener) => Self::Tcp(listener.try_clone()?),
            Self::Unix(listener) => Self::Unix(listener.try_clone()?),
        })
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(listener) => listener.as_fd(),
            Self::Unix(listener) => listener.as_fd(),
        }
    }
}

/// What a unix socket has in the file system: a path, and the inode that is ours.
#[derive(Clone, Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    inode: u64,
}

impl SocketFile {
    /// Binds a non-blocking listener that only this user may connect to.
    pub(crate) fn bind(path: &Path) -> Result<(UnixListener, Self), BindError> {
        let refused = |source| BindError::Refused { address: format!("unix:{}", path.display()), source };
        let listener = bind_unix(path)?;
        listener.set_nonblocking(true).map_err(refused)?;
        let inode = fs::symlink_metadata(path).map_err(refused)?.ino();
        Ok((listener, Self { path: path.to_owned(), inode }))
    }

    /// The file of a socket that somebody else has bound; `None` if it has none.
    pub(crate) fn of(listener: &UnixListener) -> Option<Self> {
        let address = listener.local_addr().ok()?;
        let path = address.as_pathname()?.to_owned();
        let inode = fs::symlink_metadata(&path).ok()?.ino();
        Some(Self { path, inode })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether this file is at `path`, however that is written.
    pub(crate) fn is_at(&self, path: &Path) -> bool {
        fs::symlink_metadata(path).is_ok_and(|meta| meta.ino() == self.inode)
    }

    /// Removes the file, unless somebody has put another one in its place.
    pub(crate) fn remove(&self) {
        if self.is_at(&self.path) {
            // Gone already is as good.
            let _ = fs::remove_file(&self.path);
        }
    }

    /// Removes the file of a listener that this process has closed, unless another process still listens.
    pub(crate) fn remove_if_deserted(&self) {
        // Who cannot tell leaves it: a start replaces it if it is stale.
        if is_socket_deserted(&self.path).unwrap_or(false) {
            self.remove();
        }
    }
}

/// A socket could not be bound.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// The address is taken, not ours, or does not exist.
    #[error("cannot listen at {address}")]
    Refused {
        /// The address as it was configured.
        address: String,
        /// What the system says.
        source: io::Error,
    },
    /// A path that no socket can have, or that somebody listens at.
    #[error(transparent)]
    Unix(#[from] gunmetal_supervise::BindError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_file_goes_with_its_listener_and_another_in_its_place_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.sock");
        let (first, file) = SocketFile::bind(&path).unwrap();
        // A name for the inode, so that it cannot be given to the second socket.
        fs::hard_link(&path, dir.path().join("kept")).unwrap();
        drop(first);
        let (second, second_file) = SocketFile::bind(&path).unwrap();
        file.remove();
        second_file.remove_if_deserted();
        assert!(path.exists());
        drop(second);
        second_file.remove_if_deserted();
        assert!(!path.exists());
    }
}
