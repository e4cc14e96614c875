//! Accepting without tokio.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use gunmetal_arbiter::Listener;
use gunmetal_supervise::accept_interruptible;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::shutdown::Shutdown;

/// What a listener has accepted; in blocking mode.
#[derive(Debug)]
pub(super) enum Accepted {
    Tcp(TcpStream, Option<SocketAddr>),
    Unix(UnixStream),
}

/// Waits for a connection on any of the listeners, which are non-blocking; `None` once the shutdown is wanted.
pub(super) fn next(listeners: &[Listener], shutdown: &Shutdown) -> io::Result<Option<Accepted>> {
    loop {
        let mut fds = vec![PollFd::new(shutdown.descriptor(), PollFlags::POLLIN)];
        fds.extend(listeners.iter().map(|listener| PollFd::new(listener.as_fd(), PollFlags::POLLIN)));
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        if shutdown.is_requested() {
            return Ok(None);
        }
        for (fd, listener) in fds[1..].iter().zip(listeners) {
            if !fd.any().unwrap_or(false) {
                continue;
            }
            match accept_from(listener) {
                Ok(accepted) => return Ok(Some(accepted)),
                // Another worker was faster, or the client gave up before its turn.
                Err(error) if is_passing(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Has `listener` not block, for all workers that share it: those before may have been in fair mode.
pub(super) fn prepare(listener: &Listener) -> io::Result<()> {
    match listener {
        Listener::Tcp(listener) => listener.set_nonblocking(true),
        Listener::Unix(listener) => listener.set_nonblocking(true),
    }
}

/// `accept(2)`, which waits if the listener does, and is over with a signal.
pub(super) fn accept_from(listener: &Listener) -> io::Result<Accepted> {
    let accepted = accept_interruptible(listener)?;
    Ok(match listener {
        Listener::Tcp(_) => {
            let stream = TcpStream::from(accepted);
            // A client that is gone has no address any more.
            let address = stream.peer_addr().ok();
            Accepted::Tcp(stream, address)
        }
        Listener::Unix(_) => Accepted::Unix(UnixStream::from(accepted)),
    })
}

/// Whether an error of `accept(2)` is about one connection, and not about the system.
pub(super) fn is_passing(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::WouldBlock | Kind::Interrupted | Kind::ConnectionAborted | Kind::ConnectionReset
    )
}
