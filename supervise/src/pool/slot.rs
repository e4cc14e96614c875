//! A place in the pool.

use std::time::Instant;

use crate::{RestartHistory, WorkerId};

/// A place in the pool, which outlives the processes that hold it.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) seat: Seat,
    /// The process that takes the seat over when the reload succeeds.
    pub(super) successor: Option<WorkerId>,
    pub(super) history: RestartHistory,
    /// Whether a process of this slot has ever been ready.
    pub(super) was_ready: bool,
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
            history: RestartHistory::default(),
            was_ready: false,
        }
    }

    pub(super) fn is_held_by(&self, worker: WorkerId) -> bool {
        self.seat == Seat::Held(worker)
    }
}
