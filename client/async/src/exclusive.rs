//! A connection that one call has to itself.

use std::future::{Future, poll_fn};
use std::io;
use std::os::fd::AsFd;
use std::pin::pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use gunmetal_client_core::{CallError, ConnectionEnd, ConnectionStage, Outgoing};
use gunmetal_protocol::{ErrorPayload, Frame, MessageType, Segments};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;

use crate::receive::ReceiveBuffer;
use crate::send::send_some;
use crate::socket::Room;

/// A connection with one call at a time: a stream, which a slow reader may hold up at will, or any
/// call to an arbiter that knows no other way.
///
/// There is no task behind it: who makes the call reads and writes. Dropping it in the middle of a
/// call closes it, which every arbiter takes for a cancel.
#[derive(Debug)]
pub(crate) struct ExclusiveConnection {
    socket: Receiver,
    receive: ReceiveBuffer,
    /// Id of the current or last request.
    request_id: u64,
    outbox: Segments,
}

/// Why a request did not get through, and whether a part of it did.
#[derive(Debug)]
pub(crate) enum SendFailure {
    Ended { end: ConnectionEnd, sent: bool },
    Call(CallError),
}

impl ExclusiveConnection {
    pub(crate) fn new(socket: Receiver) -> ExclusiveConnection {
        ExclusiveConnection {
            socket,
            receive: ReceiveBuffer::default(),
            request_id: 0,
            outbox: Segments::new(),
        }
    }

    /// Whether the arbiter has neither closed it nor said anything unasked.
    pub(crate) fn is_fresh(&self) -> bool {
        let unasked = self.socket.try_read(&mut [0]);
        self.receive.is_between_frames()
            && matches!(unasked, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Sends a request. Its replies are then read with [`poll_frame`](Self::poll_frame).
    pub(crate) async fn send(&mut self, outgoing: &Outgoing<'_>) -> Result<(), SendFailure> {
        self.request_id += 1;
        self.outbox.clear();
        outgoing.encode(self.request_id, &mut self.outbox).map_err(SendFailure::Call)?;
        let whole = self.outbox.len();
        let mut room = Room::default();
        loop {
            let written = match send_some(self.socket.as_fd(), &mut self.outbox) {
                Ok(()) if self.outbox.is_empty() => return Ok(()),
                Ok(()) => poll_fn(|cx| room.poll(self.socket.as_fd(), cx)).await,
                Err(error) => Err(error),
            };
            if let Err(error) = written {
                let sent = self.outbox.len() < whole;
                let end = self.last_words().unwrap_or(ConnectionEnd::io(ConnectionStage::Send, &error));
                return Err(SendFailure::Ended { end, sent });
            }
        }
    }

    /// The next frame that answers the last request.
    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Frame, ConnectionEnd>> {
        let broken = |error: io::Error| ConnectionEnd::io(ConnectionStage::AwaitReply, &error);
        loop {
            if let Some(frame) = self.buffered_frame()? {
                return Poll::Ready(Ok(frame));
            }
            ready!(self.socket.poll_read_ready(cx)).map_err(broken)?;
            let count =
                ready!(pin!(self.socket.read_buf(&mut self.receive.space())).poll(cx)).map_err(broken)?;
            if count == 0 {
                return Poll::Ready(Err(ConnectionEnd::Closed));
            }
        }
    }

    /// A frame for the last request among the bytes that have arrived.
    fn buffered_frame(&mut self) -> Result<Option<Frame>, ConnectionEnd> {
        while let Some(frame) = self.receive.next_frame().map_err(ConnectionEnd::BadFrame)? {
            if frame.header.request_id == self.request_id {
                return Ok(Some(frame));
            }
            if frame.header.message_type == MessageType::Error && frame.header.request_id == 0 {
                return Err(farewell(&frame.payload).map_or(ConnectionEnd::Closed, ConnectionEnd::Refused));
            }
        }
        Ok(None)
    }

    /// What the arbiter said before it stopped listening.
    fn last_words(&mut self) -> Option<ConnectionEnd> {
        while matches!(self.socket.try_read_buf(&mut self.receive.space()), Ok(1..)) {
            if let Err(end) = self.buffered_frame() {
                return Some(end);
            }
        }
        None
    }

    /// See [`poll_frame`](Self::poll_frame).
    pub(crate) async fn frame(&mut self) -> Result<Frame, ConnectionEnd> {
        poll_fn(|cx| self.poll_frame(cx)).await
    }

    /// Takes the connection apart, for use as a shared one.
    pub(crate) fn into_parts(self) -> (Receiver, ReceiveBuffer) {
        (self.socket, self.receive)
    }
}

/// The text of an ERROR about a connection as a whole.
pub(crate) fn farewell(payload: &Bytes) -> Option<String> {
    ErrorPayload::decode(payload.clone()).ok().map(|payload| payload.message.to_string())
}
