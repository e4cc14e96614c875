//! One connection, one call at a time.

use std::io::{self, IoSlice};
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use gunmetal_client_core::{CallError, ConnectionEnd, ConnectionStage, Outgoing};
use gunmetal_protocol::{ErrorPayload, Frame, FrameError, FrameReader, MessageType, Segments};

use crate::timed_socket::TimedSocket;

/// A connection to the arbiter. Dropping it in the middle of a call cancels the call.
#[derive(Debug)]
pub(crate) struct Connection {
    reader: FrameReader<TimedSocket>,
    outbox: Segments,
    /// Id of the current or last request.
    request_id: u64,
}

/// Why a call got no further.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The deadline has passed.
    TimedOut,
    /// The connection is over; `sent` if a part of the request may have reached the arbiter.
    Ended { end: ConnectionEnd, sent: bool },
    /// The call itself was wrong.
    Call(CallError),
}

impl Connection {
    /// Connects to the arbiter's socket, within `timeout` and before `deadline`.
    pub(crate) fn open(
        path: &Path,
        timeout: Duration,
        deadline: Option<Instant>,
    ) -> Result<Connection, Failure> {
        let give_up = Instant::now() + timeout;
        let connected =
            TimedSocket::connect(path, deadline.map_or(give_up, |deadline| deadline.min(give_up)));
        match connected {
            Ok(socket) => {
                Ok(Connection { reader: FrameReader::new(socket), outbox: Segments::new(), request_id: 0 })
            }
            Err(error) if is_timeout(&error) && deadline.is_some_and(|deadline| deadline < give_up) => {
                Err(Failure::TimedOut)
            }
            Err(source) => Err(Failure::Call(CallError::Connection {
                socket_path: path.to_owned(),
                stage: ConnectionStage::Connect,
                request_sent: false,
                source,
            })),
        }
    }

    /// Sends a request. Its replies are then read with [`frame`](Self::frame).
    pub(crate) fn send(&mut self, outgoing: &Outgoing<'_>, deadline: Option<Instant>) -> Result<(), Failure> {
        self.request_id += 1;
        self.outbox.clear();
        outgoing.encode(self.request_id, &mut self.outbox).map_err(Failure::Call)?;
        self.reader.get_mut().set_deadline(deadline);
        let mut sent = false;
        while self.outbox.has_remaining() {
            let mut slices = [IoSlice::new(&[]); MAX_SLICES];
            let count = self.outbox.chunks_vectored(&mut slices);
            match self.reader.get_mut().write(&slices[..count]) {
                Ok(count) => {
                    self.outbox.advance(count);
                    sent = true;
                }
                Err(error) if is_timeout(&error) => return Err(Failure::TimedOut),
                Err(error) => {
                    let end = self.last_words().unwrap_or(ConnectionEnd::io(ConnectionStage::Send, &error));
                    return Err(Failure::Ended { end, sent });
                }
            }
        }
        Ok(())
    }

    /// Waits until `deadline` for the next frame that answers the last request.
    pub(crate) fn frame(&mut self, deadline: Option<Instant>) -> Result<Frame, Failure> {
        self.reader.get_mut().set_deadline(deadline);
        loop {
            let ended = |end| Failure::Ended { end, sent: true };
            let mut frame = match self.reader.next_frame() {
                Ok(Some(frame)) => frame,
                Ok(None) | Err(FrameError::Truncated { .. }) => return Err(ended(ConnectionEnd::Closed)),
                Err(FrameError::Header(error)) => return Err(ended(ConnectionEnd::BadFrame(error))),
                Err(FrameError::Io(error)) if is_timeout(&error) => return Err(Failure::TimedOut),
                Err(FrameError::Io(error)) => {
                    return Err(ended(ConnectionEnd::io(ConnectionStage::AwaitReply, &error)));
                }
                Err(other) => {
                    let error = io::Error::other(other);
                    return Err(ended(ConnectionEnd::io(ConnectionStage::AwaitReply, &error)));
                }
            };
            if frame.header.request_id == self.request_id {
                if frame.payload.len() < COPY_BELOW {
                    // A slice would keep the whole receive buffer alive as long as its reader keeps it.
                    frame.payload = Bytes::copy_from_slice(&frame.payload);
                }
                return Ok(frame);
            }
            if frame.header.message_type == MessageType::Error && frame.header.request_id == 0 {
                // It is about the connection and announces its end.
                return Err(ended(farewell(frame.payload)));
            }
        }
    }

    /// Whether nothing but the answers to its calls has come.
    pub(crate) fn is_in_step(&self) -> bool {
        !self.reader.has_buffered()
    }

    /// What the arbiter said before it stopped listening.
    fn last_words(&mut self) -> Option<ConnectionEnd> {
        // The other side is closed, so this does not wait.
        match self.reader.next_frame() {
            Ok(Some(Frame { header, payload })) if header.message_type == MessageType::Error => {
                Some(farewell(payload))
            }
            _ => None,
        }
    }
}

fn farewell(payload: Bytes) -> ConnectionEnd {
    match ErrorPayload::decode(payload) {
        Ok(payload) => ConnectionEnd::Refused(payload.message.to_string()),
        Err(_) => ConnectionEnd::Closed,
    }
}

fn is_timeout(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::TimedOut
}

/// Slices in one vectored write.
const MAX_SLICES: usize = 64;
/// Payloads below this are copied out of the receive buffer.
const COPY_BELOW: usize = 4 << 10;
