//! What the callers and the driver of a shared connection share.

use std::mem;
use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

use bytes::Bytes;
use gunmetal_client_core::{CallError, CallTable, ConnectionEnd};
use gunmetal_protocol::{Frame, HEADER_LEN, Header, MessageType, Segments};

/// What the callers and the driver share.
#[derive(Debug)]
pub(super) struct State {
    pub(super) table: CallTable<Answer>,
    /// Frames that nobody is writing yet.
    pub(super) outbox: Segments,
    /// How many requests there are in the outbox.
    pub(super) outbox_count: usize,
    /// Frames that a writer could not finish; they go before the outbox.
    pub(super) unfinished: Segments,
    /// An empty output, kept for its memory.
    pub(super) spare: Segments,
    /// Bytes ever put into the outbox, and bytes of them that were written.
    pub(super) queued: u64,
    pub(super) written: u64,
    pub(super) turn: Turn,
    /// The last read brought several replies, whose callers are about to call again.
    pub(super) is_bursting: bool,
    /// The driver has been asked to write the outbox.
    pub(super) flush_wanted: bool,
    /// The driver, while it waits.
    pub(super) driver: Option<Waker>,
    /// The instant that the driver's timer is set to.
    pub(super) alarm: Option<Instant>,
    pub(super) is_closing: bool,
    pub(super) ended: Option<Arc<ConnectionEnd>>,
}

/// Who writes to the socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// Nobody: the next caller may.
    Free,
    /// A caller, on some thread, right now.
    Caller,
    /// The driver: the socket was full, and it waits for room.
    Driver,
}

/// What a call is answered with.
#[derive(Debug)]
pub(super) enum Answer {
    Frame(MessageType, Bytes),
    TimedOut,
    Ended { end: Arc<ConnectionEnd>, sent: bool },
}

impl State {
    pub(super) fn new() -> State {
        State {
            table: CallTable::new(),
            outbox: Segments::with_capacity(OUTBOX),
            outbox_count: 0,
            unfinished: Segments::new(),
            spare: Segments::with_capacity(OUTBOX),
            queued: 0,
            written: 0,
            turn: Turn::Free,
            is_bursting: false,
            flush_wanted: false,
            driver: None,
            alarm: None,
            is_closing: false,
            ended: None,
        }
    }

    /// Appends the request that `encode` writes to the outbox.
    pub(super) fn put(
        &mut self,
        encode: impl FnOnce(&mut Segments) -> Result<(), CallError>,
    ) -> Result<(), CallError> {
        let before = self.outbox.len();
        encode(&mut self.outbox)?;
        self.queued += (self.outbox.len() - before) as u64;
        self.outbox_count += 1;
        Ok(())
    }

    /// The outbox, replaced by an empty one.
    pub(super) fn take_outbox(&mut self) -> Segments {
        let spare = mem::take(&mut self.spare);
        self.outbox_count = 0;
        mem::replace(&mut self.outbox, spare)
    }

    /// The driver's waker, if it has to be told that there is something to write.
    pub(super) fn ask_driver(&mut self, anyway: bool) -> Option<Waker> {
        let is_news = self.turn == Turn::Free && !mem::replace(&mut self.flush_wanted, true);
        if is_news || anyway { self.driver.take() } else { None }
    }

    /// Gives a frame to its call. Returns who waits for it.
    pub(super) fn answer(&mut self, frame: Frame) -> Option<Waker> {
        let Header { message_type, request_id, .. } = frame.header;
        if message_type == MessageType::Chunk && self.table.is_waiting(request_id) {
            // The call ends here: its caller did not ask for a stream.
            self.queued += put_cancel(request_id, &mut self.outbox);
            self.flush_wanted = true;
        }
        self.table.answer(request_id, Answer::Frame(message_type, frame.payload))
    }

    pub(super) fn end(&mut self, end: ConnectionEnd, wakers: &mut Vec<Waker>) {
        if self.ended.is_some() {
            return;
        }
        let end = Arc::new(end);
        self.ended = Some(Arc::clone(&end));
        self.table.end(self.written, |sent| Answer::Ended { end: Arc::clone(&end), sent }, wakers);
        // Linked arguments need not wait for the client to be dropped.
        self.outbox = Segments::new();
        self.unfinished = Segments::new();
        wakers.extend(self.driver.take());
    }
}

/// Appends a CANCEL frame and returns its length.
pub(super) fn put_cancel(request_id: u64, outbox: &mut Segments) -> u64 {
    gunmetal_protocol::encode_cancel(request_id, outbox);
    HEADER_LEN as u64
}

/// Memory of an outbox at first, in bytes.
const OUTBOX: usize = 16 << 10;
