//! Accepting that a signal may end.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use crate::sys::socket::accept_once;

/// Accepts a connection, in blocking mode and close-on-exec. Unlike the standard library's `accept`, which goes on after a
/// signal, this is over with one, if the listener has a receive timeout (see signal(7), "SA_RESTART").
///
/// # Errors
///
/// What `accept(2)` refused; [`Interrupted`](io::ErrorKind::Interrupted) after a signal.
pub fn accept_interruptible(listener: impl AsFd) -> io::Result<OwnedFd> {
    accept_once(listener.as_fd())
}
