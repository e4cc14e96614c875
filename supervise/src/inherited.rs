//! Descriptors that this process was started with.

use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::os::unix::net::UnixListener;

use nix::sys::socket::{
    AddressFamily, Backlog, SockType, SockaddrLike, SockaddrStorage, getsockname, getsockopt, listen, sockopt,
};
use std::os::fd::AsRawFd;

use crate::sys;

/// Takes over a descriptor that whoever started this process has left open for it. It is close-on-exec from then on.
///
/// # Errors
///
/// [`InheritedError::NotOpen`] if there is none of that number, it is one of the standard streams, or it was taken before.
pub fn take_inherited(number: RawFd) -> Result<OwnedFd, InheritedError> {
    match sys::inherited::take(number) {
        Ok(Some(descriptor)) => Ok(descriptor),
        Ok(None) => Err(InheritedError::NotOpen { number }),
        Err(errno) => Err(InheritedError::System { number, source: errno.into() }),
    }
}

/// A listening socket that this process was started with.
#[derive(Debug)]
pub enum InheritedListener {
    /// A TCP port.
    Tcp(TcpListener),
    /// A unix socket.
    Unix(UnixListener),
}

/// Takes over a socket that this process was started with, and has it listen with that backlog if it does not yet.
///
/// # Errors
///
/// [`InheritedError`]: it is no stream socket of a kind that can be served.
pub fn take_inherited_listener(number: RawFd, backlog: i32) -> Result<InheritedListener, InheritedError> {
    let socket = take_inherited(number)?;
    let wrong = |found: &str| InheritedError::NotAListener { number, found: found.to_owned() };
    let kind = getsockopt(&socket, sockopt::SockType).map_err(|_| wrong("no socket"))?;
    if kind != SockType::Stream {
        return Err(wrong("a socket without connections"));
    }
    let refused = |errno: nix::errno::Errno| InheritedError::System { number, source: errno.into() };
    if !getsockopt(&socket, sockopt::AcceptConn).map_err(refused)? {
        let backlog = Backlog::new(backlog).map_err(refused)?;
        listen(&socket, backlog).map_err(|_| wrong("a socket that is connected, or bound to nothing"))?;
    }
    let address: SockaddrStorage = getsockname(socket.as_fd().as_raw_fd()).map_err(refused)?;
    match address.family() {
        Some(AddressFamily::Inet | AddressFamily::Inet6) => Ok(InheritedListener::Tcp(socket.into())),
        Some(AddressFamily::Unix) => Ok(InheritedListener::Unix(socket.into())),
        _ => Err(wrong("a socket that is neither TCP nor unix")),
    }
}

/// Why a descriptor that this process was to have been started with cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InheritedError {
    /// There is none.
    #[error("this process was not started with a descriptor {number} that it could use")]
    NotOpen {
        /// Its number.
        number: RawFd,
    },
    /// It is something else.
    #[error("descriptor {number} is {found}, where a listening TCP or unix socket is wanted")]
    NotAListener {
        /// Its number.
        number: RawFd,
        /// What it is.
        found: String,
    },
    /// The system does not let us look at it.
    #[error("descriptor {number} cannot be taken over")]
    System {
        /// Its number.
        number: RawFd,
        /// What was refused.
        source: io::Error,
    },
}

#[cfg(test)]
mod tests {
    use std::os::fd::IntoRawFd;

    use super::*;
    use crate::{OnExec, set_on_exec};

    /// A descriptor as if it had come through an exec.
    fn inherited(descriptor: impl AsFd + IntoRawFd) -> RawFd {
        set_on_exec(&descriptor, OnExec::Keep).unwrap();
        descriptor.into_raw_fd()
    }

    #[test]
    fn a_listener_is_taken_once() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let number = inherited(listener);
        let Ok(InheritedListener::Tcp(taken)) = take_inherited_listener(number, 16) else { panic!() };
        assert_eq!(taken.local_addr().unwrap(), address);
        let again = take_inherited_listener(number, 16).unwrap_err().to_string();
        assert_eq!(
            again,
            format!("this process was not started with a descriptor {number} that it could use")
        );
    }

    #[test]
    fn what_this_process_has_opened_is_not_given_away() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(matches!(take_inherited(listener.as_raw_fd()), Err(InheritedError::NotOpen { .. })));
        assert!(matches!(take_inherited(1), Err(InheritedError::NotOpen { .. })));
        assert!(matches!(take_inherited(-1), Err(InheritedError::NotOpen { .. })));
        assert!(matches!(take_inherited(9999), Err(InheritedError::NotOpen { .. })));
    }

    #[test]
    fn what_is_no_listener_is_named() {
        let (one, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        let number = inherited(one);
        let error = take_inherited_listener(number, 16).unwrap_err().to_string();
        assert!(error.contains("a socket that is connected, or bound to nothing"), "{error}");
        let file = tempfile::tempfile().unwrap();
        let number = inherited(file);
        let error = take_inherited_listener(number, 16).unwrap_err().to_string();
        assert!(error.contains("is no socket"), "{error}");
    }
}
