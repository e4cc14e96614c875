//! The dirty arbiter's end of the link to its router.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use bytes::{Buf, BytesMut};
use gunmetal_dirty::link::{LinkError, decode, encode};
use gunmetal_protocol::{FrameDecoder, HeaderError};

use crate::link::{FromRouter, ToRouter};

/// Messages in and out, without ever blocking.
#[derive(Debug)]
pub(super) struct RouterLink {
    socket: UnixStream,
    decoder: FrameDecoder,
    input: BytesMut,
    /// What the socket did not take yet: a few messages a worker, and answers to what the router asked before it stopped reading.
    output: BytesMut,
}

/// The router said something that it cannot have meant, or can say nothing more.
#[derive(Debug, thiserror::Error)]
pub(super) enum RouterLinkError {
    #[error("the router closed its link")]
    Closed,
    #[error("the router's link cannot be read")]
    Read(#[source] io::Error),
    #[error("the router sent a broken frame")]
    Frame(#[source] HeaderError),
    #[error("the router sent an unknown message")]
    Message(#[source] LinkError),
}

impl RouterLink {
    /// Makes a link: our end, and the router's.
    pub(super) fn pair() -> io::Result<(Self, UnixStream)> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let link = Self {
            socket: ours,
            decoder: FrameDecoder::new(),
            input: BytesMut::new(),
            output: BytesMut::new(),
        };
        Ok((link, theirs))
    }

    /// Tells the router something, now or as soon as the socket takes it.
    pub(super) fn send(&mut self, message: &ToRouter) {
        match encode(message) {
            Ok(frame) => self.output.extend_from_slice(&frame),
            Err(error) => tracing::error!(%error, ?message, "message to the router cannot be encoded"),
        }
        self.flush();
    }

    /// Whether [`flush`](Self::flush) has something to do once the socket is writable.
    pub(super) fn wants_write(&self) -> bool {
        !self.output.is_empty()
    }

    pub(super) fn flush(&mut self) {
        while !self.output.is_empty() {
            match self.socket.write(&self.output) {
                Ok(len) => self.output.advance(len),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // The router is gone: its exit is told elsewhere, and its successor is told everything anew.
                Err(_) => self.output.clear(),
            }
        }
    }

    /// What the router has said since the last time.
    pub(super) fn receive(&mut self) -> Result<Vec<FromRouter>, RouterLinkError> {
        let mut buffer = [0; 4096];
        let mut messages = Vec::new();
        loop {
            match self.socket.read(&mut buffer) {
                // What came before the end is worth hearing; the next call will tell the end.
                Ok(0) if !messages.is_empty() => return Ok(messages),
                Ok(0) => return Err(RouterLinkError::Closed),
                Ok(len) => self.input.extend_from_slice(&buffer[..len]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(messages),
                Err(error) => return Err(RouterLinkError::Read(error)),
            }
            while let Some(frame) =
                self.decoder.next_frame(&mut self.input).map_err(RouterLinkError::Frame)?
            {
                messages.push(decode(&frame).map_err(RouterLinkError::Message)?);
            }
        }
    }
}

impl AsFd for RouterLink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
