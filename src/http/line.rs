//! The socket of a connection that a thread serves, and what the runner may know of it meanwhile.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::accept::Accepted;

/// The socket of a [`Connection`](super::Connection).
#[derive(Debug)]
pub(super) struct Line {
    socket: Socket,
    peer: Option<SocketAddr>,
    /// Whether a thread waits for the client.
    is_reading: AtomicBool,
    /// Whether the client is the one to begin: it has asked nothing since the last answer.
    awaits_request: AtomicBool,
    /// Whether anything has been read since somebody looked.
    received: AtomicBool,
    /// Whether the client has sent its last byte.
    at_end: AtomicBool,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Line {
    pub(super) fn new(accepted: Accepted) -> Self {
        let (socket, peer) = match accepted {
            Accepted::Tcp(stream, address) => {
                // An answer in several pieces would wait for acknowledgements. A socket that is gone says so soon enough.
                let _ = stream.set_nodelay(true);
                (Socket::Tcp(stream), address)
            }
            Accepted::Unix(stream) => (Socket::Unix(stream), None),
        };
        let line = Self {
            socket,
            peer,
            is_reading: AtomicBool::new(false),
            awaits_request: AtomicBool::new(true),
            received: AtomicBool::new(false),
            at_end: AtomicBool::new(false),
        };
        // A listener's timeout is handed down; setting none cannot fail.
        let _ = line.set_read_timeout(None);
        line
    }

    pub(super) fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }

    pub(super) fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        match &self.socket {
            Socket::Tcp(stream) => stream.set_read_timeout(timeout),
            Socket::Unix(stream) => stream.set_read_timeout(timeout),
        }
    }

    pub(super) fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        match &self.socket {
            Socket::Tcp(stream) => stream.set_write_timeout(timeout),
            Socket::Unix(stream) => stream.set_write_timeout(timeout),
        }
    }

    /// Begins a time of which [`was_idle`](Self::was_idle) tells.
    pub(super) fn watch(&self) {
        self.received.store(false, Ordering::Relaxed);
    }

    /// Whether a thread waits for a request, and nothing has come since [`watch`](Self::watch).
    pub(super) fn was_idle(&self) -> bool {
        self.is_reading.load(Ordering::Relaxed)
            && self.awaits_request.load(Ordering::Relaxed)
            && !self.received.load(Ordering::Relaxed)
    }

    /// Whoever reads is told that the client has ended.
    pub(super) fn end_reading(&self) {
        // A client that is gone is as good.
        let _ = self.shut_down(Shutdown::Read);
    }

    /// Says that nothing more comes, and reads on until the client has closed too, for `patience` at most: a socket that is
    /// closed with something unread in it resets the connection, and takes along what the client has not read yet.
    pub(super) fn close_politely(&self, patience: Duration) {
        if self.shut_down(Shutdown::Write).is_err() || self.at_end.load(Ordering::Relaxed) {
            return;
        }
        let deadline = Instant::now() + patience;
        let mut space = [0; 4096];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || self.set_read_timeout(Some(left)).is_err() {
                return;
            }
            match self.read_socket(&mut space) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
    }

    fn shut_down(&self, how: Shutdown) -> io::Result<()> {
        match &self.socket {
            Socket::Tcp(stream) => stream.shutdown(how),
            Socket::Unix(stream) => stream.shutdown(how),
        }
    }

    fn read_socket(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match &self.socket {
            Socket::Tcp(stream) => (&*stream).read(buffer),
            Socket::Unix(stream) => (&*stream).read(buffer),
        }
    }
}

impl AsFd for Line {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.socket {
            Socket::Tcp(stream) => stream.as_fd(),
            Socket::Unix(stream) => stream.as_fd(),
        }
    }
}

/// A line as something to read from and write to.
#[derive(Clone, Debug)]
pub(super) struct LineEnd(pub(super) Arc<Line>);

impl Read for LineEnd {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let line = &self.0;
        line.is_reading.store(true, Ordering::Relaxed);
        let outcome = line.read_socket(buffer).map_err(named_timeout);
        line.is_reading.store(false, Ordering::Relaxed);
        match outcome {
            Ok(0) if !buffer.is_empty() => line.at_end.store(true, Ordering::Relaxed),
            Ok(len) if len > 0 => {
                line.awaits_request.store(false, Ordering::Relaxed);
                line.received.store(true, Ordering::Relaxed);
            }
            Ok(_) | Err(_) => {}
        }
        outcome
    }
}

/// What the system calls "would block" is the end of the read timeout: the socket does block.
fn named_timeout(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::WouldBlock {
        return io::Error::new(io::ErrorKind::TimedOut, "the client has sent nothing for the read timeout");
    }
    error
}

impl Write for LineEnd {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.awaits_request.store(true, Ordering::Relaxed);
        match &self.0.socket {
            Socket::Tcp(stream) => (&*stream).write(bytes),
            Socket::Unix(stream) => (&*stream).write(bytes),
        }
    }

    fn write_vectored(&mut self, slices: &[io::IoSlice<'_>]) -> io::Result<usize> {
        self.0.awaits_request.store(true, Ordering::Relaxed);
        match &self.0.socket {
            Socket::Tcp(stream) => (&*stream).write_vectored(slices),
            Socket::Unix(stream) => (&*stream).write_vectored(slices),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
