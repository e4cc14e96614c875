//! The name of one process of a pool.

use std::fmt;

/// Names one process of a pool for ever: a place, and which process it is in that place.
///
/// The pid is not the name: pids are reused, and news of a process can arrive after its successor was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId {
    /// The place in the pool, from 0. It outlives its processes and carries what is assigned to them (the apps of a
    /// dirty worker).
    pub slot: u32,
    /// Which process of the slot this is, counted from 1. Never used twice in a slot, not even after the slot was
    /// removed and came back.
    pub generation: u64,
}

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.slot, self.generation)
    }
}
