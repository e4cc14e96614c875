//! A socket that wakes its task for what the task waits for, and for nothing else.
//!
//! tokio's own `UnixStream` is registered for both directions as long as it lives. A Unix socket is
//! reported as writable each time the peer has read from it: every request would wake the client
//! once for nothing, before its reply wakes it again.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::task::{Context, Poll, ready};

use tokio::net::UnixStream;
use tokio::net::unix::pipe::{Receiver, Sender};

/// The socket, from now on registered for reading alone.
///
/// Of tokio's types, the ends of a pipe are those that are registered for one direction. The
/// receiving end uses `read`, which does for sockets what `recv` does.
pub(crate) fn for_reading(socket: UnixStream) -> io::Result<Receiver> {
    Receiver::from_owned_fd_unchecked(OwnedFd::from(socket.into_std()?))
}

/// Waits for room in a socket that was found full.
#[derive(Debug, Default)]
pub(crate) struct Room {
    /// A duplicate of the socket, registered for writing while somebody waits.
    registered: Option<Sender>,
}

impl Room {
    /// Ready once there may be room in `socket`, which has had none since the last time.
    pub(crate) fn poll(&mut self, socket: BorrowedFd<'_>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let registered = match &mut self.registered {
            Some(registered) => registered,
            none => {
                let duplicate = socket.try_clone_to_owned()?;
                none.insert(Sender::from_owned_fd_unchecked(duplicate)?)
            }
        };
        ready!(registered.poll_write_ready(cx))?;
        // Until the kernel says so again: what is written after this goes past the registration.
        let _: io::Result<()> = registered.try_io(|| Err(io::ErrorKind::WouldBlock.into()));
        Poll::Ready(Ok(()))
    }

    /// Nobody waits any more.
    pub(crate) fn forget(&mut self) {
        self.registered = None;
    }
}
