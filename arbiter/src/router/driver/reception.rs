//! A large STASH message, received into the memory where its value is to stay.
//!
//! What half-received messages take is one budget for all clients: whoever does not fit in waits, unread, with the little
//! of it that was read. A client that stops in the middle loses its place while others wait for it, and its connection.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use bytes::{BufMut, Bytes};
use gunmetal_protocol::Header;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::Shared;
use super::input::{Input, LARGE_LEN};
use super::outbox::Outbox;
use super::stash_service::Slow;
use super::upload::HALF_FRAME_PATIENCE;
use crate::router::dispatcher::Caller;

/// A large message of which the beginning was read.
pub(super) struct Reception {
    caller: Caller,
    len: usize,
    place: Place,
}

enum Place {
    /// Where the value is to stay.
    Taken { payload: Vec<u8>, _share: Option<Share> },
    /// There is too little memory for now.
    Wanted,
}

/// Memory for half-received messages.
pub(super) struct Budget {
    bytes: Semaphore,
    /// How many wait for some.
    waiting: Cell<usize>,
}

/// A part of the budget, until it is dropped.
struct Share {
    shared: Rc<Shared>,
    len: usize,
}

/// Counts one that waits, until it is dropped.
struct Waits<'a>(&'a Cell<usize>);

impl Budget {
    pub(super) fn new() -> Budget {
        Budget { bytes: Semaphore::new(BUDGET_LEN), waiting: Cell::new(0) }
    }
}

impl Share {
    /// A share, if there is one and nobody waits for it.
    fn take(shared: &Rc<Shared>, len: u32) -> Option<Share> {
        shared.budget.bytes.try_acquire_many(len).ok()?.forget();
        Some(Share { shared: shared.clone(), len: len as usize })
    }

    async fn wait_for(shared: &Rc<Shared>, len: u32) -> io::Result<Share> {
        let _waits = Waits::new(&shared.budget.waiting);
        let permit = shared.budget.bytes.acquire_many(len).await;
        permit.map_err(|_| io::ErrorKind::BrokenPipe)?.forget();
        Ok(Share { shared: shared.clone(), len: len as usize })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.shared.budget.bytes.add_permits(self.len);
    }
}

impl<'a> Waits<'a> {
    fn new(count: &'a Cell<usize>) -> Self {
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
    /// Begins with what was read of the payload.
    pub(super) fn start(
        shared: &Rc<Shared>,
        caller: Caller,
        header: Header,
        payload_start: &[u8],
    ) -> Reception {
        let len = header.payload_len as usize;
        // A frame that is not large may be half-read anyway, whatever it is for.
        let share = (len > LARGE_LEN).then(|| Share::take(shared, header.payload_len));
        let place = match share {
            Some(None) => Place::Wanted,
            Some(share @ Some(_)) => Place::Taken { payload: begin(len, payload_start), _share: share },
            None => Place::Taken { payload: begin(len, payload_start), _share: None },
        };
        Reception { caller, len, place }
    }

    /// Whether the payload's beginning is still to be kept.
    pub(super) fn needs_start(&self) -> bool {
        matches!(self.place, Place::Wanted)
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
        let len = self.len;
        let (mut payload, _share) = match self.place {
            Place::Taken { payload, _share } => (payload, _share),
            Place::Wanted => {
                let wanted = u32::try_from(len).unwrap_or(u32::MAX);
                let share = tokio::select! {
                    biased;
                    share = Share::wait_for(shared, wanted) => share?,
                    () = input.hung_up() => return Err(io::ErrorKind::UnexpectedEof.into()),
                    () = client.closed() => return Err(io::ErrorKind::BrokenPipe.into()),
                };
                (begin(len, &input.take_kept()), Some(share))
            }
        };
        let mut patience = Patience::new();
        while payload.len() < len {
            let missing = len - payload.len();
            let mut rest = (&mut payload).limit(missing);
            let read = match input.try_read_into(&mut rest)? {
                Some(read) => read,
                None => tokio::select! {
                    biased;
                    ready = input.readable() => {
                        ready?;
                        continue;
                    }
                    () = patience.ends(&shared.budget) => return Err(io::ErrorKind::TimedOut.into()),
                },
            };
            patience.moved(read);
        }
        let payload = Bytes::from(payload);
        Ok(shared.turn(|state, _| state.stash(self.caller, &payload, Some(&payload))))
    }
}

/// Memory for the whole payload, beginning with `start`. What has not arrived of it is not touched, so it costs nothing.
fn begin(len: usize, start: &[u8]) -> Vec<u8> {
    let mut payload = Vec::with_capacity(len);
    payload.extend_from_slice(start);
    payload
}

/// How long a client may still take.
struct Patience {
    /// When something was read last.
    heard: Instant,
    /// When the last progress was made.
    since: Instant,
    /// Bytes read since then.
    read: usize,
}

impl Patience {
    fn new() -> Patience {
        let now = Instant::now();
        Patience { heard: now, since: now, read: 0 }
    }

    fn moved(&mut self, read: usize) {
        self.heard = Instant::now();
        self.read += read;
        if self.read >= PROGRESS_LEN {
            *self = Patience::new();
        }
    }

    async fn ends(&self, budget: &Budget) {
        loop {
            let end = match budget.waiting.get() {
                0 => self.heard + HALF_FRAME_PATIENCE,
                _ => self.since + STALL_IN_DEMAND,
            };
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

/// How much of a payload counts as progress: nobody has the whole budget for longer than 16 s while others wait.
const PROGRESS_LEN: usize = 4 << 20;

/// How long a client may go without progress while another waits for the memory.
const STALL_IN_DEMAND: Duration = Duration::from_secs(1);
