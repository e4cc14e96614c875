//! A lane: one connection to one worker thread, and the calls that were handed to it.
//!
//! ```text
//!              LaneReady                 stalled, or given up with others behind
//! Connecting ────────────▶ Open ──────────────────────────────▶ Revoking
//!     │                     │ ▲ ───────────── Revoked ────────── │
//!     │ not within grace    │ └───────────────────────────────────┘
//!     ▼                     │ end of connection, or of the worker's process
//!  worker condemned         ▼
//!                        Ending ──▶ what is left fails; a new lane, if the worker lives
//! ```

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::call::Call;

/// Names one connection of the router to a worker thread, for ever: a place in the dispatcher's list and how many lanes
/// it has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct LaneId {
    pub(crate) index: u32,
    pub(crate) serial: u32,
}

impl LaneId {
    /// The number in the worker's Hello.
    pub(crate) fn to_wire(self) -> u64 {
        u64::from(self.serial) << 32 | u64::from(self.index)
    }

    /// The lane that a worker's message is about.
    #[expect(clippy::cast_possible_truncation, reason = "the two halves of the number")]
    pub(crate) fn from_wire(number: u64) -> LaneId {
        LaneId { index: number as u32, serial: (number >> 32) as u32 }
    }
}

/// One lane.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) id: LaneId,
    /// The worker, by index.
    pub(crate) worker: usize,
    pub(crate) state: LaneState,
    /// The worker is condemned if it has not taken the connection up by then. Carried over to the lane that replaces
    /// one whose connection failed.
    pub(crate) ready_by: Option<Instant>,
    /// What the first handed call is doing.
    pub(crate) phase: Phase,
    /// The calls that the worker has, in the order in which it serves them.
    pub(crate) handed: VecDeque<Handed>,
    /// Sequence number of the last call handed.
    pub(crate) last_seq: u64,
    /// Bytes of all frames handed so far.
    pub(crate) handed_len: u64,
    /// How long the handed calls are expected to take together.
    pub(crate) booked: Duration,
    /// How many of the handed calls forbid that another waits behind them.
    pub(crate) unbookable: usize,
    /// Last sign of progress: a first call handed over, an answer, a chunk, a reader that goes on reading.
    pub(crate) moved: Instant,
    /// Since when the lane has been working on what was not yet accounted for.
    pub(crate) since: Instant,
    /// Actions (app, action) answered since then.
    pub(crate) answered: Vec<(usize, Option<usize>)>,
    /// Which of all handed calls was this lane's last, counted from 1.
    pub(crate) turn: u64,
}

/// Where a lane is in its life.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum LaneState {
    /// The worker has not taken the connection up yet.
    Connecting,
    /// Calls can be handed over.
    Open,
    /// The worker was asked to give back the calls it has not started. Nothing is handed over before its answer.
    Revoking { answer_by: Option<Instant> },
    /// The connection or the process has ended. What is still in the socket may come in, and the other half of the
    /// news, `until` then.
    Ending { until: Instant, end: ConnectionEnd },
}

/// What is known of the end of a lane's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConnectionEnd {
    /// Only the process is known to be gone; there may be answers left to read.
    NotSeen,
    /// The connection is closed.
    Seen,
}

/// What the first handed call of a lane is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The worker has it: the time limit runs.
    Running,
    /// Its payload is passed on from the client; the last bytes moved when [`Lane::moved`] says.
    Uploading,
    /// Its answer waits for a client that reads slowly: no time limit.
    Paused,
}

/// A call that the worker of a lane has.
#[derive(Debug)]
pub(crate) struct Handed {
    pub(crate) seq: u64,
    pub(crate) call: Call,
    /// Expected service time; `None` if nothing may wait behind this call.
    pub(crate) expected: Option<Duration>,
    /// Where its frame ends, counted in bytes of all frames handed to the lane.
    pub(crate) frame_end: u64,
}

impl Lane {
    pub(crate) fn new(id: LaneId, worker: usize, ready_by: Option<Instant>, now: Instant) -> Lane {
        Lane {
            id,
            worker,
            state: LaneState::Connecting,
            ready_by,
            phase: Phase::Running,
            handed: VecDeque::new(),
            last_seq: 0,
            handed_len: 0,
            booked: Duration::ZERO,
            unbookable: 0,
            moved: now,
            since: now,
            answered: Vec::new(),
            turn: 0,
        }
    }

    /// Whether a call could start at once.
    pub(crate) fn is_idle(&self) -> bool {
        self.state == LaneState::Open && self.handed.is_empty()
    }

    /// How long one more short call is expected to wait here; `None` if it must not.
    pub(crate) fn wait_behind(&self, max_wait: Duration, now: Instant) -> Option<Duration> {
        let open = self.state == LaneState::Open && self.phase == Phase::Running && self.unbookable == 0;
        // A call that has already run longer than a stall takes is not what the estimate said.
        let moving = now.saturating_duration_since(self.moved) < STALL;
        (open && moving && self.handed.len() < MAX_HANDED && self.booked <= max_wait).then_some(self.booked)
    }

    /// Whether somebody waits for a call on this lane.
    pub(crate) fn is_wanted(&self) -> bool {
        self.handed.iter().any(|handed| handed.call.caller.is_some())
    }

    /// The handed call with this sequence number.
    pub(crate) fn handed(&self, seq: u64) -> Option<&Handed> {
        // Ascending, but not without gaps: numbers of calls that were taken back are not used again.
        let index = self.handed.binary_search_by_key(&seq, |handed| handed.seq).ok()?;
        self.handed.get(index)
    }

    /// Puts a call behind those the lane has; returns its sequence number.
    pub(crate) fn push(&mut self, call: Call, expected: Option<Duration>, now: Instant) -> u64 {
        if self.handed.is_empty() {
            self.moved = now;
            self.since = now;
        }
        self.last_seq += 1;
        self.handed_len += call.frame_len();
        match expected {
            Some(expected) => self.booked += expected,
            None => self.unbookable += 1,
        }
        let (seq, frame_end) = (self.last_seq, self.handed_len);
        self.handed.push_back(Handed { seq, call, expected, frame_end });
        seq
    }

    /// The first call has been answered.
    pub(crate) fn pop(&mut self) -> Option<Handed> {
        let handed = self.handed.pop_front()?;
        self.unbook(handed.expected);
        self.phase = Phase::Running;
        Some(handed)
    }

    /// The last call did not start.
    pub(crate) fn pop_last(&mut self) -> Option<Handed> {
        let handed = self.handed.pop_back()?;
        self.unbook(handed.expected);
        Some(handed)
    }

    /// The first call turned out to stream, so nothing may wait behind it. Returns its app and action if that is news.
    pub(crate) fn streams(&mut self) -> Option<(usize, Option<usize>)> {
        let first = self.handed.front_mut()?;
        let expected = first.expected.take()?;
        self.booked -= expected;
        self.unbookable += 1;
        Some((first.call.app, first.call.action))
    }

    fn unbook(&mut self, expected: Option<Duration>) {
        match expected {
            Some(expected) => self.booked -= expected,
            None => self.unbookable -= 1,
        }
    }
}

/// How many calls a lane is handed at most, the running one included.
pub(crate) const MAX_HANDED: usize = 64;

/// A lane with calls waiting behind the first one that has not answered for this long gives them back.
pub(crate) const STALL: Duration = Duration::from_millis(1);

/// Payloads beyond this many bytes are not batched: little is to be gained, and the router would have to keep them in
/// case they are taken back.
pub(crate) const MAX_BATCHED_LEN: usize = 16 << 10;
