//! A connection that a thread serves.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::{ServerConnection, StreamOwned};

use super::accept::Accepted;
use super::line::{Line, LineEnd};

/// A connection from one of the listeners, in blocking mode; with TLS if the service has a certificate.
///
/// Once the worker is to shut down, a read that waits for the next request, and gets none for two seconds, finds the end of
/// the stream: with [`HttpWorker::serve_threads`](crate::HttpWorker::serve_threads).
pub struct Connection {
    line: Arc<Line>,
    stream: Stream,
}

enum Stream {
    Plain(LineEnd),
    Tls(Box<StreamOwned<ServerConnection, LineEnd>>),
}

impl Connection {
    /// The handshake, if there is one, happens with the first read or write.
    pub(super) fn new(accepted: Accepted, tls: Option<&Arc<rustls::ServerConfig>>) -> io::Result<Self> {
        let line = Arc::new(Line::new(accepted));
        let end = LineEnd(Arc::clone(&line));
        let stream = match tls {
            Some(config) => {
                let session = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
                Stream::Tls(Box::new(StreamOwned::new(session, end)))
            }
            None => Stream::Plain(end),
        };
        Ok(Self { line, stream })
    }

    /// The client's address; clients of unix sockets have none.
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.line.peer()
    }

    /// Whether the connection is encrypted.
    pub fn is_tls(&self) -> bool {
        matches!(self.stream, Stream::Tls(_))
    }

    /// Limits how long a read may wait; `None` is no limit. With [`HttpWorker::serve_threads`](crate::HttpWorker::serve_threads)
    /// it is `keepalive` at first. A read that has waited for so long fails with [`io::ErrorKind::TimedOut`].
    ///
    /// # Errors
    /// The limit is zero.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.line.set_read_timeout(timeout)
    }

    /// Limits how long a write may wait; `None` is no limit.
    ///
    /// # Errors
    /// The limit is zero.
    pub fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.line.set_write_timeout(timeout)
    }

    pub(super) fn line(&self) -> &Arc<Line> {
        &self.line
    }

    /// Does the TLS handshake, if there is one, within `patience`.
    pub(super) fn shake_hands(&mut self, patience: Duration) -> io::Result<()> {
        let Stream::Tls(stream) = &mut self.stream else { return Ok(()) };
        let (session, line) = (&mut stream.conn, &mut stream.sock);
        let deadline = Instant::now() + patience;
        while session.is_handshaking() {
            while session.wants_write() {
                session.write_tls(line)?;
            }
            if !session.wants_read() {
                continue;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            self.line.set_read_timeout(Some(left))?;
            if session.read_tls(line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Err(error) = session.process_new_packets() {
                // The alert that tells the client why.
                let _ = session.write_tls(line);
                return Err(io::Error::new(io::ErrorKind::InvalidData, error));
            }
        }
        while session.wants_write() {
            session.write_tls(line)?;
        }
        self.line.set_read_timeout(None)
    }
}

impl Read for Connection {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.stream {
            Stream::Plain(line) => line.read(buffer),
            Stream::Tls(stream) => match stream.read(buffer) {
                // Many clients close without the farewell of TLS; HTTP has its own lengths.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
                outcome => outcome,
            },
        }
    }
}

impl Write for Connection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.stream {
            Stream::Plain(line) => line.write(bytes),
            Stream::Tls(stream) => stream.write(bytes),
        }
    }

    fn write_vectored(&mut self, slices: &[io::IoSlice<'_>]) -> io::Result<usize> {
        match &mut self.stream {
            Stream::Plain(line) => line.write_vectored(slices),
            Stream::Tls(stream) => stream.write_vectored(slices),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.stream {
            Stream::Plain(line) => line.flush(),
            Stream::Tls(stream) => stream.flush(),
        }
    }
}

/// The socket, for `poll(2)` and options. What TLS has read already is not in it any more.
impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.line.as_fd()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let Stream::Tls(stream) = &mut self.stream else { return };
        // The farewell of TLS; a client that does not read it must not keep this thread.
        let _ = self.line.set_write_timeout(Some(FAREWELL_TIMEOUT));
        stream.conn.send_close_notify();
        let _ = stream.conn.write_tls(&mut stream.sock);
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("peer", &self.peer_addr())
            .field("is_tls", &self.is_tls())
            .finish_non_exhaustive()
    }
}

const FAREWELL_TIMEOUT: Duration = Duration::from_secs(2);
