//! Listening on a path, and the size of a socket's buffers.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, connect, listen, setsockopt, socket, sockopt,
};
use nix::sys::stat::{Mode, fchmod};

/// Connections that may wait to be accepted: what a socket asks for. The kernel cuts it to `net.core.somaxconn`,
/// which is 4,096 by default.
pub const BACKLOG: i32 = 4096;

/// Listens on a path, with mode 0600 from the first moment on.
///
/// A socket that a crashed process left at the path is replaced; one on which somebody listens is not.
///
/// # Errors
///
/// [`BindError`], with the path.
pub fn bind_unix(path: &Path) -> Result<UnixListener, BindError> {
    let failed = |errno: Errno| BindError::Bind { path: path.to_owned(), source: errno.into() };
    let address = UnixAddr::new(path).map_err(|_| BindError::TooLong { path: path.to_owned() })?;
    let socket = stream_socket(SockFlag::empty()).map_err(failed)?;
    // Linux gives the socket's own mode to the file that bind makes, so there is no moment at which others could
    // connect, and no need to touch the umask of the process.
    fchmod(&socket, Mode::S_IRUSR | Mode::S_IWUSR).map_err(failed)?;
    match bind(socket.as_raw_fd(), &address) {
        Err(Errno::EADDRINUSE) => {
            remove_stale(path, &address)?;
            bind(socket.as_raw_fd(), &address).map_err(failed)?;
        }
        // Some file systems, /proc among them, say the same of a name that they do not make.
        Err(Errno::ENOENT) if directory(path).is_dir() => {
            return Err(BindError::NotInDirectory { path: path.to_owned() });
        }
        Err(Errno::ENOENT) => return Err(BindError::NoDirectory { path: path.to_owned() }),
        result => result.map_err(failed)?,
    }
    let backlog = Backlog::new(BACKLOG).unwrap_or(Backlog::MAXCONN);
    listen(&socket, backlog).map_err(failed)?;
    Ok(UnixListener::from(socket))
}

/// Why nobody listens on the path.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// A socket's path has at most 107 bytes.
    #[error("the socket path {} is longer than 107 bytes", path.display())]
    TooLong {
        /// The path.
        path: PathBuf,
    },
    /// Another process serves it.
    #[error("another process listens on {}", path.display())]
    InUse {
        /// The path.
        path: PathBuf,
    },
    /// There is something at the path that is no socket, and that is not ours to remove.
    #[error("{} exists and is not a socket", path.display())]
    NotASocket {
        /// The path.
        path: PathBuf,
    },
    /// The path leads nowhere.
    #[error("cannot listen on {}: its directory does not exist", path.display())]
    NoDirectory {
        /// The path.
        path: PathBuf,
    },
    /// The directory is there, but is none in which sockets can be made.
    #[error("cannot listen on {}: its directory takes no sockets", path.display())]
    NotInDirectory {
        /// The path.
        path: PathBuf,
    },
    /// The system refused.
    #[error("cannot listen on {}", path.display())]
    Bind {
        /// The path.
        path: PathBuf,
        /// What it refused.
        source: io::Error,
    },
}

/// Asks for a send buffer of `len` bytes. The kernel cuts it to `net.core.wmem_max`, then doubles it for its own
/// bookkeeping.
///
/// # Errors
///
/// What `setsockopt(2)` refused.
pub fn set_send_buffer_len(socket: &impl AsFd, len: usize) -> io::Result<()> {
    Ok(setsockopt(&socket.as_fd(), sockopt::SndBuf, &len)?)
}

/// Where the path's last part is to be.
fn directory(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn remove_stale(path: &Path, address: &UnixAddr) -> Result<(), BindError> {
    let failed = |source| BindError::Bind { path: path.to_owned(), source };
    match fs::symlink_metadata(path) {
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(BindError::NotASocket { path: path.to_owned() });
        }
        Ok(_) => {}
        // Somebody else has just removed it.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    }
    match is_deserted(address) {
        Ok(true) => match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
            _ => Ok(()),
        },
        Ok(false) => Err(BindError::InUse { path: path.to_owned() }),
        Err(errno) => Err(failed(errno.into())),
    }
}

/// Whether nobody listens at the path of a unix socket any more: every process that had the listener has closed it.
///
/// Who does listen sees a connection that ends at once.
///
/// # Errors
///
/// What `connect(2)` says of another kind than that.
pub fn is_socket_deserted(path: &Path) -> io::Result<bool> {
    Ok(is_deserted(&UnixAddr::new(path)?)?)
}

fn is_deserted(address: &UnixAddr) -> nix::Result<bool> {
    // A full accept queue answers a non-blocking caller with EAGAIN: that one lives.
    let probe = stream_socket(SockFlag::SOCK_NONBLOCK)?;
    match connect(probe.as_raw_fd(), address) {
        Err(Errno::ECONNREFUSED | Errno::ENOENT) => Ok(true),
        Ok(()) | Err(Errno::EAGAIN | Errno::EINPROGRESS) => Ok(false),
        Err(errno) => Err(errno),
    }
}

fn stream_socket(flags: SockFlag) -> nix::Result<OwnedFd> {
    socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC | flags, None)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn only_its_user_may_connect() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let _listener = bind_unix(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_stale_socket_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let listener = bind_unix(&path).unwrap();
        assert!(!is_socket_deserted(&path).unwrap());
        drop(listener);
        assert!(is_socket_deserted(&path).unwrap());
        assert!(path.exists());
        let _listener = bind_unix(&path).unwrap();
        UnixStream::connect(&path).unwrap();
    }

    #[test]
    fn a_socket_somebody_listens_on_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let _listener = bind_unix(&path).unwrap();
        let error = bind_unix(&path).unwrap_err();
        assert!(matches!(error, BindError::InUse { .. }), "{error}");
        UnixStream::connect(&path).unwrap();
    }

    #[test]
    fn a_listener_with_a_full_queue_is_alive() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let address = UnixAddr::new(&path).unwrap();
        let busy = stream_socket(SockFlag::empty()).unwrap();
        bind(busy.as_raw_fd(), &address).unwrap();
        listen(&busy, Backlog::new(0).unwrap()).unwrap();
        let _waiting = UnixStream::connect(&path).unwrap();
        let error = bind_unix(&path).unwrap_err();
        assert!(matches!(error, BindError::InUse { .. }), "{error}");
    }

    #[test]
    fn a_file_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        fs::write(&path, "precious").unwrap();
        let error = bind_unix(&path).unwrap_err();
        assert!(matches!(error, BindError::NotASocket { .. }), "{error}");
    }

    #[test]
    fn a_path_that_is_too_long_is_named_as_such() {
        let error = bind_unix(Path::new(&"x".repeat(108))).unwrap_err();
        assert!(matches!(error, BindError::TooLong { .. }), "{error}");
    }

    #[test]
    fn a_directory_that_is_missing_is_told_from_one_that_takes_no_socket() {
        let dir = tempfile::tempdir().unwrap();
        let error = bind_unix(&dir.path().join("missing").join("s")).unwrap_err();
        assert!(matches!(error, BindError::NoDirectory { .. }), "{error}");
        let error = bind_unix(Path::new("/proc/s")).unwrap_err();
        assert!(matches!(error, BindError::NotInDirectory { .. }), "{error}");
    }

    #[test]
    fn a_send_buffer_grows_as_far_as_the_kernel_lets_it() {
        use nix::sys::socket::getsockopt;
        let (socket, _peer) = UnixStream::pair().unwrap();
        set_send_buffer_len(&socket, 8 << 10).unwrap();
        let small = getsockopt(&socket, sockopt::SndBuf).unwrap();
        set_send_buffer_len(&socket, 64 << 10).unwrap();
        let large = getsockopt(&socket, sockopt::SndBuf).unwrap();
        assert!(small < large, "{small} {large}");
    }

    #[test]
    fn more_clients_than_an_ordinary_backlog_can_wait() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let _listener = bind_unix(&path).unwrap();
        let waiting: Vec<_> = (0..400).map(|_| UnixStream::connect(&path).unwrap()).collect();
        assert_eq!(waiting.len(), 400);
    }
}
