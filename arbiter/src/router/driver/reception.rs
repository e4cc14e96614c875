//! A large STASH message, received into the memory where its value is to stay.
//!
//! What half-received messages take is one budget for all clients: whoever does not fit in waits, unread, with the little
//! of it that was read. A client that stops in the middle loses its place while others wait for it, and its connection.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use bytes::{BufMut, Bytes};
use gunmetal_protocol::Header;
use tokio::sync::{Semaphore, SemaphorePermit, TryAcquireError};
use tokio::time::Instant;

use super::Shared;
use super::input::Input;
use super::outbox::Outbox;
use super::stash_service::Slow;
use super::upload::HALF_FRAME_PATIENCE;
use crate::router::dispatcher::Caller;

/// A large message of which the beginning was read and kept.
pub(super) struct Reception {
    caller: Caller,
    payload_len: u32,
}

/// Memory for half-received messages.
pub(super) struct Budget {
    bytes: Semaphore,
    /// How many wait for some.
    waiting: std::cell::Cell<usize>,
}

impl Budget {
    pub(super) fn new() -> Budget {
        Budget { bytes: Semaphore::new(BUDGET_LEN), waiting: std::cell::Cell::new(0) }
    }

    async fn take(&self, len: u32) -> io::Result<SemaphorePermit<'_>> {
        match self.bytes.try_acquire_many(len) {
            Ok(permit) => return Ok(permit),
            Err(TryAcquireError::NoPermits) => {}
            Err(TryAcquireError::Closed) => return Err(io::ErrorKind::BrokenPipe.into()),
        }
        let _waits = Waits::new(&self.waiting);
        self.bytes.acquire_many(len).await.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

/// Counts one that waits, until it is dropped.
struct Waits<'a>(&'a std::cell::Cell<usize>);

impl<'a> Waits<'a> {
    fn new(count: &'a std::cell::Cell<usize>) -> Self {
        count.set(count.get() + 1);
        Self(count)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl Reception {
    pub(super) fn new(caller: Caller, header: Header) -> Reception {
        Reception { caller, payload_len: header.payload_len }
    }

    /// Receives the rest and does what the message asks for.
    ///
    /// # Errors
    ///
    /// The client is gone, or has stopped in the middle: [`io::ErrorKind::TimedOut`].
    pub(super) async fn run(
        self,
        shared: &Rc<Shared>,
        input: &mut Input,
        client: &Rc<Outbox>,
    ) -> io::Result<Option<Slow>> {
        let permit = tokio::select! {
            biased;
            permit = shared.budget.take(self.payload_len) => permit?,
            () = input.hung_up() => return Err(io::ErrorKind::UnexpectedEof.into()),
            () = client.closed() => return Err(io::ErrorKind::BrokenPipe.into()),
        };
        let len = self.payload_len as usize;
        let mut payload = Vec::with_capacity(len);
        payload.extend_from_slice(&input.take_kept());
        let mut patience = Patience::new();
        while payload.len() < len {
            let mut rest = (&mut payload).limit(0);
            rest.set_limit(len - rest.get_ref().len());
            let read = tokio::select! {
                biased;
                read = input.read_into(&mut rest) => read?,
                () = patience.ends(&shared.budget) => return Err(io::ErrorKind::TimedOut.into()),
            };
            patience.moved(read);
        }
        let payload = Bytes::from(payload);
        let slow = shared.turn(|state, _| state.stash(self.caller, &payload, Some(&payload)));
        drop(permit);
        Ok(slow)
    }
}

/// How long a client may still stop.
struct Patience {
    since: Instant,
    /// Bytes read since then.
    read: usize,
}

impl Patience {
    fn new() -> Patience {
        Patience { since: Instant::now(), read: 0 }
    }

    fn moved(&mut self, read: usize) {
        self.read += read;
        if self.read >= PROGRESS_LEN {
            *self = Patience::new();
        }
    }

    async fn ends(&self, budget: &Budget) {
        loop {
            let patience = if budget.waiting.get() > 0 { STALL_IN_DEMAND } else { HALF_FRAME_PATIENCE };
            let end = self.since + patience;
            let now = Instant::now();
            if end <= now {
                return;
            }
            // Somebody may begin to wait meanwhile.
            tokio::time::sleep_until(end.min(now + STALL_IN_DEMAND)).await;
        }
    }
}

/// What all half-received messages may take together, in bytes: the longest payload has to fit in.
const BUDGET_LEN: usize = 64 << 20;

/// How much of a payload counts as progress, so that a trickle is none.
const PROGRESS_LEN: usize = 64 << 10;

/// How long a client may stop while another waits for the memory.
const STALL_IN_DEMAND: Duration = Duration::from_millis(250);
