//! A worker as the router knows it.

use std::time::Instant;

use gunmetal_supervise::WorkerId;

/// One worker process that was up at some time and whose lanes are not all gone yet.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) id: WorkerId,
    pub(crate) pid: u32,
    /// See [`WorkerUp::age`](crate::link::WorkerUp::age).
    pub(crate) age: u64,
    /// The apps it holds, by index.
    pub(crate) apps: Vec<usize>,
    /// Since when the router knows it.
    pub(crate) since: Instant,
    pub(crate) state: WorkerState,
    /// A lane could not be connected, and that was told.
    pub(crate) is_refusing: bool,
    /// Calls it has answered.
    pub(crate) answered_count: u64,
    /// At how many of them the parent is told.
    pub(crate) max_calls: Option<u64>,
}

/// Whether a worker is given work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum WorkerState {
    /// Yes.
    Up,
    /// No: it is to stop, or condemned. `drained` once nobody waits for anything on it and the parent knows.
    Leaving { drained: bool },
    /// Its process has ended, in this way.
    Gone { cause: String },
}

impl Worker {
    /// Whether it is to leave and the parent waits for its end of work.
    pub(crate) fn is_undrained(&self) -> bool {
        self.state == WorkerState::Leaving { drained: false }
    }
}
