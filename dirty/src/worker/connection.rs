//! A connection that the steward itself reads: one that has not said what it is, or a control connection.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use bytes::BytesMut;
use gunmetal_protocol::{FrameDecoder, Segments};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tracing::warn;

use super::socket;
use crate::link;

/// A connection that the steward itself reads, never blocking.
#[derive(Debug)]
pub(super) struct Connection {
    stream: UnixStream,
    decoder: FrameDecoder,
    buf: BytesMut,
    /// What the peer's buffer had no room for.
    out: Segments,
}

/// A look into a connection.
#[derive(Debug)]
pub(super) enum Next<T> {
    /// A message.
    Message(T),
    /// Nothing more has arrived.
    Nothing,
    /// Closed, or not understood: the connection is to be dropped.
    Ended,
}

impl Connection {
    pub(super) fn new(stream: UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        // Link messages are small; more is no peer of ours.
        let decoder = FrameDecoder::with_max_payload(MAX_LINK_LEN);
        Ok(Self { stream, decoder, buf: BytesMut::new(), out: Segments::new() })
    }

    /// The next link message, read from the socket if none is buffered.
    pub(super) fn next<T: DeserializeOwned>(&mut self) -> Next<T> {
        loop {
            match self.decoder.next_frame(&mut self.buf) {
                Ok(Some(frame)) => match link::decode(&frame) {
                    Ok(message) => return Next::Message(message),
                    Err(error) => return refuse(&error),
                },
                Ok(None) => {}
                Err(error) => return refuse(&error),
            }
            let mut scratch = [0; MAX_LINK_LEN as usize];
            match self.stream.read(&mut scratch) {
                Ok(0) => return Next::Ended,
                Ok(count) => self.buf.extend_from_slice(&scratch[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Next::Nothing,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Next::Ended,
            }
        }
    }

    /// Sends a link message, now or when the peer reads again. What a dead connection cannot take is dropped.
    pub(super) fn send<T: Serialize>(&mut self, message: &T) {
        match link::encode(message) {
            Ok(frame) => self.out.put_bytes(frame),
            Err(error) => warn!(%error, "link message cannot be encoded"),
        }
        self.flush();
    }

    /// Sends what is left over.
    pub(super) fn flush(&mut self) {
        if socket::send_now(&self.stream, &mut self.out).is_err() {
            // The next read says so too.
            self.out.clear();
        }
    }

    /// Whether something is left over.
    pub(super) fn wants_write(&self) -> bool {
        !self.out.is_empty()
    }

    /// The connection, blocking again, and what was read beyond the last message.
    pub(super) fn into_blocking(self) -> io::Result<(UnixStream, BytesMut)> {
        self.stream.set_nonblocking(false)?;
        Ok((self.stream, self.buf))
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

fn refuse<T>(error: &dyn std::error::Error) -> Next<T> {
    warn!(%error, "connection to the worker is no router's");
    Next::Ended
}

/// The longest link message, in bytes; the longest we send is below 100.
const MAX_LINK_LEN: u32 = 4 << 10;
