//! A place in the pool.

use std::time::Instant;

use super::recycle::Recycle;
use crate::{RestartHistory, WorkerId};

/// A place in the pool, which outlives the processes that hold it.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) seat: Seat,
    /// The process that takes the seat over when it is ready, or when the reload succeeds.
    pub(super) successor: Option<WorkerId>,
    /// The wish to replace who holds the seat.
    pub(super) recycle: Option<Recycle>,
    pub(super) history: RestartHistory,
    /// Whether a process of this slot has ever been ready.
    pub(super) was_ready: bool,
    /// Since when the last one that served does, or did.
    pub(super) serves_since: Option<Instant>,
}

/// Who has the slot. There is always a process in it, or a time at which there will be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seat {
    Held(WorkerId),
    BackingOff { until: Instant },
}

impl Slot {
    pub(super) fn held_by(worker: WorkerId) -> Slot {
        Slot {
            seat: Seat::Held(worker),
            successor: None,
            recycle: None,
            history: RestartHistory::default(),
            was_ready: false,
            serves_since: None,
        }
    }

    pub(super) fn is_held_by(&self, worker: WorkerId) -> bool {
        self.seat == Seat::Held(worker)
    }
}
