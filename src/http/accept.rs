//! Accepting for servers with threads.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use gunmetal_arbiter::Listener;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::shutdown::Shutdown;

/// A connection from one of the listeners.
#[derive(Debug)]
pub enum Connection {
    /// From a TCP port.
    Tcp(TcpStream),
    /// From a unix socket.
    Unix(UnixStream),
}

impl Connection {
    /// Limits how long a read may wait; `None` is no limit.
    ///
    /// # Errors
    /// The limit is zero.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.set_read_timeout(timeout),
            Self::Unix(stream) => stream.set_read_timeout(timeout),
        }
    }
}

impl Read for Connection {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
        }
    }
}

impl Write for Connection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Waits for a connection on any of the listeners; `None` once the shutdown is wanted.
pub(super) fn next(listeners: &[Listener], shutdown: &Shutdown) -> io::Result<Option<Connection>> {
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
            let accepted = match listener {
                Listener::Tcp(listener) => listener.accept().map(|(stream, _)| Connection::Tcp(stream)),
                Listener::Unix(listener) => listener.accept().map(|(stream, _)| Connection::Unix(stream)),
            };
            match accepted {
                Ok(connection) => return Ok(Some(connection)),
                // Another worker was faster, or the client gave up before its turn.
                Err(error) if is_passing(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Whether an error of `accept(2)` is about one connection, and not about the system.
pub(super) fn is_passing(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::WouldBlock | Kind::Interrupted | Kind::ConnectionAborted | Kind::ConnectionReset
    )
}
