//! One lane connection, as the steward and its thread share it.

use std::io;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::BytesMut;
use gunmetal_protocol::Segments;

use super::gate::Gate;
use super::socket;

/// One lane connection.
///
/// The lane thread reads and writes it; the steward watches it for a hang-up and may send the replies that the gate
/// holds. Both send only what they took from the gate under its lock or, on the thread, while the gate holds nothing:
/// so frames never mix.
#[derive(Debug)]
pub(super) struct Lane {
    id: u64,
    stream: UnixStream,
    gate: Mutex<Gate>,
    /// What was read behind the `Hello`; taken by the lane thread.
    early: Mutex<BytesMut>,
}

impl Lane {
    pub(super) fn new(id: u64, stream: UnixStream, early: BytesMut) -> Self {
        Self { id, stream, gate: Mutex::default(), early: Mutex::new(early) }
    }

    /// The router's name for it.
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// The connection.
    pub(super) fn stream(&self) -> &UnixStream {
        &self.stream
    }

    /// The gate, for a moment: nobody blocks while they hold it.
    pub(super) fn gate(&self) -> MutexGuard<'_, Gate> {
        // Nothing panics in between two states of a gate.
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The bytes that came right behind the `Hello`.
    pub(super) fn take_early(&self) -> BytesMut {
        std::mem::take(&mut *self.early.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Adds a frame to what is held and returns how much that is; for the lane thread.
    pub(super) fn hold(&self, frame: &mut Segments) -> usize {
        Self::hold_in(&mut self.gate(), frame)
    }

    /// The same, and whether the steward has to be told that it must look after it.
    pub(super) fn hold_watched(&self, frame: &mut Segments) -> (usize, bool) {
        let mut gate = self.gate();
        (Self::hold_in(&mut gate, frame), gate.watch())
    }

    fn hold_in(gate: &mut Gate, frame: &mut Segments) -> usize {
        if gate.held.is_empty() {
            std::mem::swap(&mut gate.held, frame);
        } else {
            gate.held.append(std::mem::take(frame));
        }
        gate.held.len()
    }

    /// Sends the held replies, blocking; for the lane thread. `spare` lends its memory.
    pub(super) fn flush(&self, spare: &mut Segments) -> io::Result<()> {
        debug_assert!(spare.is_empty());
        {
            let mut gate = self.gate();
            if gate.held.is_empty() {
                return Ok(());
            }
            std::mem::swap(&mut gate.held, spare);
        }
        let sent = socket::send_all(&self.stream, spare);
        spare.clear();
        sent
    }

    /// Sends what it can of the held replies without blocking; for the steward. Returns whether all are sent.
    pub(super) fn flush_now(&self) -> bool {
        let mut gate = self.gate();
        // A broken connection is the poll's news, not ours.
        let failed = socket::send_now(&self.stream, &mut gate.held).is_err();
        failed || gate.held.is_empty()
    }

    /// Lets the lane thread's next read find the end.
    pub(super) fn stop_reading(&self) {
        // Fails if the peer has gone, and then the read ends by itself.
        let _ = self.stream.shutdown(Shutdown::Read);
    }

    /// Ends the connection, although the steward may still hold it.
    pub(super) fn close(&self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}
