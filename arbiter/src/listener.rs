//! Sockets that the master binds once and its children inherit.

use std::fmt;
use std::fs;
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gunmetal_supervise::{accept_with_data, bind_unix};
use nix::sys::socket::{Backlog, listen};

use crate::BindAddress;

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

/// A [`Listener`] of the `bind` setting, in the process that bound it.
#[derive(Debug)]
pub(crate) struct HttpListener {
    pub(crate) listener: Listener,
    file: Option<SocketFile>,
}

impl HttpListener {
    /// Binds; a unix socket is open to every user of the machine, as gunicorn's is.
    pub(crate) fn bind(address: &BindAddress) -> Result<Self, BindError> {
        let refused = |source| BindError::Refused { address: address.to_string(), source };
        match address {
            BindAddress::Tcp { host, port } => {
                let listener = TcpListener::bind((host.as_str(), *port)).map_err(refused)?;
                let backlog = Backlog::new(HTTP_BACKLOG).map_err(|errno| refused(errno.into()))?;
                listen(&listener, backlog).map_err(|errno| refused(errno.into()))?;
                accept_with_data(&listener, FIRST_BYTES).map_err(refused)?;
                listener.set_nonblocking(true).map_err(refused)?;
                Ok(Self { listener: Listener::Tcp(listener), file: None })
            }
            BindAddress::Unix(path) => {
                let (listener, file) = SocketFile::bind(path)?;
                fs::set_permissions(path, fs::Permissions::from_mode(0o777)).map_err(refused)?;
                Ok(Self { listener: Listener::Unix(listener), file: Some(file) })
            }
        }
    }

    /// Removes what the socket has in the file system.
    pub(crate) fn remove_file(&self) {
        if let Some(file) = &self.file {
            file.remove();
        }
    }
}

/// As gunicorn shows it: `http://127.0.0.1:8000`, `unix:/run/app.sock`.
impl fmt::Display for HttpListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.listener, &self.file) {
            (Listener::Tcp(listener), _) => match listener.local_addr() {
                Ok(address) => write!(f, "http://{address}"),
                Err(error) => write!(f, "http://? ({error})"),
            },
            (Listener::Unix(_), Some(file)) => write!(f, "unix:{}", file.path.display()),
            (Listener::Unix(_), None) => f.write_str("unix:?"),
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

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the file, unless somebody has put another one in its place.
    pub(crate) fn remove(&self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|meta| meta.ino() == self.inode) {
            // Gone already is as good.
            let _ = fs::remove_file(&self.path);
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

/// How long a client that has connected may take to ask before a worker accepts it. One that has accepted it and is then to
/// leave cannot wait for its request, and servers close such connections; until then all workers share it.
const FIRST_BYTES: Duration = Duration::from_secs(30);

/// gunicorn's default.
const HTTP_BACKLOG: i32 = 2048;

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
        let (_second, second_file) = SocketFile::bind(&path).unwrap();
        file.remove();
        assert!(path.exists());
        second_file.remove();
        assert!(!path.exists());
    }

    #[test]
    fn anybody_may_connect_to_an_http_socket() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.sock");
        let bound = HttpListener::bind(&BindAddress::Unix(path.clone())).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o777);
        assert_eq!(bound.to_string(), format!("unix:{}", path.display()));
        bound.remove_file();
        assert!(!path.exists());
    }

    #[test]
    fn a_taken_port_is_named() {
        let taken = HttpListener::bind(&"127.0.0.1:0".parse().unwrap()).unwrap();
        let address = taken.to_string().replace("http://", "");
        let error = HttpListener::bind(&address.parse().unwrap()).unwrap_err();
        assert_eq!(error.to_string(), format!("cannot listen at {address}"));
    }
}
