//! The read side of a connection: many frames per read, and no buffer of its own while it waits.
//!
//! All connections read into one buffer of the router. Only what is left of it, the beginning of a frame, is copied to
//! the connection it came from.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::BufMut;
use gunmetal_protocol::{HEADER_LEN, Header, HeaderError, MessageType};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::unix::OwnedReadHalf;

use super::Shared;

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Input {
    socket: OwnedReadHalf,
    /// The beginning of a frame.
    kept: Vec<u8>,
}

/// The next thing in the bytes that were read.
#[derive(Debug)]
pub(super) enum Next<'a> {
    /// A frame, and where it ends.
    Frame { header: Header, payload: &'a [u8], end: usize },
    /// The beginning of a frame whose payload is to be passed on as it arrives.
    Large { header: Header, payload_start: &'a [u8] },
    /// Nothing, or less than a frame.
    Nothing,
}

impl Input {
    pub(super) fn new(socket: OwnedReadHalf) -> Input {
        Input { socket, kept: Vec::new() }
    }

    /// Reads once, behind what was kept. Returns how many bytes at the start of the router's buffer are to be looked
    /// at; `None` at the end of the connection. The caller looks at them before it awaits anything.
    pub(super) async fn fill(&mut self, shared: &Shared, limit: usize) -> io::Result<Option<usize>> {
        poll_fn(|cx| self.poll_fill(cx, shared, limit)).await
    }

    fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        shared: &Shared,
        limit: usize,
    ) -> Poll<io::Result<Option<usize>>> {
        let mut scratch = shared.scratch.borrow_mut();
        let start = self.kept.len();
        let mut buf = ReadBuf::new(&mut scratch[start..limit.max(start + MIN_READ)]);
        ready!(Pin::new(&mut self.socket).poll_read(cx, &mut buf))?;
        let read = buf.filled().len();
        if read == 0 {
            return Poll::Ready(Ok(None));
        }
        scratch[..start].copy_from_slice(&self.kept);
        self.kept.clear();
        Poll::Ready(Ok(Some(start + read)))
    }

    /// What stands at the start of `bytes`.
    ///
    /// # Errors
    ///
    /// If that is not a header.
    pub(super) fn next(bytes: &[u8]) -> Result<Next<'_>, HeaderError> {
        let Some(header) = bytes.first_chunk() else { return Ok(Next::Nothing) };
        let header = Header::decode(header)?;
        let (len, payload) = (header.payload_len as usize, &bytes[HEADER_LEN..]);
        Ok(match payload.get(..len) {
            Some(payload) => Next::Frame { header, payload, end: HEADER_LEN + len },
            None if len > whole_len(header.message_type) => Next::Large { header, payload_start: payload },
            None => Next::Nothing,
        })
    }

    /// Keeps the beginning of a frame until the next [`fill`](Input::fill).
    pub(super) fn keep(&mut self, rest: &[u8]) {
        self.kept.clear();
        if rest.is_empty() && self.kept.capacity() > MIN_READ {
            self.kept = Vec::new();
        }
        self.kept.extend_from_slice(rest);
    }

    /// Puts what was kept back to the start of the router's buffer, to be looked at again without reading.
    pub(super) fn refill(&mut self, shared: &Shared) -> usize {
        let len = self.kept.len();
        shared.scratch.borrow_mut()[..len].copy_from_slice(&self.kept);
        self.kept.clear();
        len
    }

    /// The bytes that were kept, to be passed on.
    pub(super) fn take_kept(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.kept)
    }

    /// Whether a frame has begun.
    pub(super) fn is_within_frame(&self) -> bool {
        !self.kept.is_empty()
    }

    /// Reads at least one byte of a payload that is passed on.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::UnexpectedEof`] at the end of the connection.
    pub(super) async fn read_some(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = poll_fn(|cx| {
            let mut buf = ReadBuf::new(into);
            ready!(Pin::new(&mut self.socket).poll_read(cx, &mut buf))?;
            Poll::Ready(io::Result::Ok(buf.filled().len()))
        })
        .await?;
        if read == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(read) }
    }

    /// Reads of a payload to where it is to stay; `None` if nothing has arrived.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::UnexpectedEof`] at the end of the connection.
    pub(super) fn try_read_into(&mut self, into: &mut impl BufMut) -> io::Result<Option<usize>> {
        match self.socket.try_read_buf(into) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => Ok(Some(read)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Waits until there may be something to read.
    pub(super) async fn readable(&self) -> io::Result<()> {
        self.socket.readable().await
    }

    /// Waits until the peer has closed its side, without reading.
    pub(super) async fn hung_up(&self) {
        // The kernel's priority interest carries nothing on a Unix socket but the hang-up.
        while let Ok(ready) = self.socket.ready(tokio::io::Interest::PRIORITY).await {
            if ready.is_read_closed() {
                return;
            }
        }
    }
}

/// The longest payload that is looked at as a whole, if it has not arrived as a whole.
fn whole_len(message_type: MessageType) -> usize {
    match message_type {
        MessageType::Stash => RECEIVED_LEN,
        _ => LARGE_LEN,
    }
}

/// Payloads to the stash beyond this many bytes, if they have not arrived as a whole, are received where their values are to
/// stay: 16 KiB, from where on the copy that this spares is worth one more read.
const RECEIVED_LEN: usize = 16 << 10;

/// Payloads beyond this many bytes are passed on as they arrive: 64 KiB, and what a call adds around them.
pub(super) const LARGE_LEN: usize = (64 << 10) + 1024;

/// How much is read of a client at once: a frame that is not large, and its neighbours.
pub(super) const CLIENT_READ_LEN: usize = LARGE_LEN + MIN_READ;

/// Length of the router's buffer: how much is read of a lane at once.
pub(super) const SCRATCH_LEN: usize = 256 << 10;

/// Room that a read always has behind what was kept; also, how much is read of a client that puts large values, of which the
/// rest is then read to where it is to stay.
pub(super) const MIN_READ: usize = 4 << 10;
