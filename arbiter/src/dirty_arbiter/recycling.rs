//! When a dirty worker has had its share: of calls, which the router counts, or of memory, which is looked at here.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::time::Instant;

use gunmetal_supervise::{Event, Jitter, WorkerId, WorkerState};

use super::{DirtyArbiter, Phase};
use crate::DirtyConfig;
use crate::crew::seed;
use crate::memory_limit::MemoryLimit;

/// What the workers may have before they are recycled.
#[derive(Debug)]
pub(super) struct Recycling {
    max_requests: Option<NonZeroU64>,
    jitter: u64,
    /// Seeded in this process: a fork copies the state of whatever draws.
    dice: Jitter,
    /// The calls that each worker may answer: a router that replaces another is told the same.
    shares: BTreeMap<WorkerId, u64>,
    memory: MemoryLimit,
}

impl Recycling {
    pub(super) fn new(config: &DirtyConfig) -> Self {
        Self {
            max_requests: config.max_requests,
            jitter: config.max_requests_jitter,
            dice: Jitter::from_seed(seed()),
            shares: BTreeMap::new(),
            memory: MemoryLimit::new("dirty_max_rss", config.max_rss),
        }
    }

    /// Draws how many calls the worker may answer.
    fn draw(&mut self, worker: WorkerId) {
        let Some(least) = self.max_requests else { return };
        let more = fraction(self.jitter, self.dice.next_fraction());
        self.shares.insert(worker, least.get().saturating_add(more));
    }

    /// How many calls the worker may answer.
    pub(super) fn share(&self, worker: WorkerId) -> Option<u64> {
        self.shares.get(&worker).copied()
    }

    pub(super) fn forget(&mut self, worker: WorkerId) {
        self.shares.remove(&worker);
        self.memory.forget(worker);
    }

    /// When [`look_at_memory`](DirtyArbiter::look_at_memory) has something to do; never, without a limit.
    pub(super) fn next_look(&self) -> Option<Instant> {
        self.memory.next_look()
    }
}

impl DirtyArbiter<'_> {
    /// A worker begins to serve.
    pub(super) fn measure_out(&mut self, worker: WorkerId) {
        self.recycling.draw(worker);
        self.recycling.memory.begins(worker, &self.workers);
    }

    /// Has workers that have grown beyond the limit recycled, once a second.
    pub(super) fn look_at_memory(&mut self) {
        let serving: Vec<WorkerId> = match self.phase {
            Phase::Running => self.workers_that_are(WorkerState::Serving).collect(),
            Phase::DrainingRouter { .. } | Phase::StoppingWorkers { .. } | Phase::Done => Vec::new(),
        };
        for (worker, reason) in self.recycling.memory.look(&serving, &self.workers) {
            self.workers.handle(Event::Recycle(worker, reason));
        }
    }
}

/// A number from 0 to `most`, by a fraction from 0 to 1.
fn fraction(most: u64, fraction: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not negative, and saturates"
    )]
    let drawn = ((most as f64 + 1.0) * fraction) as u64;
    drawn.min(most)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn recycling(max_requests: u64, jitter: u64) -> Recycling {
        Recycling {
            max_requests: NonZeroU64::new(max_requests),
            jitter,
            dice: Jitter::from_seed(7),
            shares: BTreeMap::new(),
            memory: MemoryLimit::new("dirty_max_rss", None),
        }
    }

    fn worker(slot: u32) -> WorkerId {
        WorkerId { slot, generation: 1 }
    }

    #[test]
    fn shares_spread_over_the_jitter_and_not_beyond() {
        let mut recycling = recycling(100, 10);
        (0..1000).for_each(|slot| recycling.draw(worker(slot)));
        let shares: BTreeSet<u64> = recycling.shares.into_values().collect();
        assert_eq!(shares, (100..=110).collect());
    }

    #[test]
    fn without_a_limit_there_is_no_share() {
        let mut recycling = recycling(0, 10);
        recycling.draw(worker(1));
        assert_eq!(recycling.share(worker(1)), None);
    }

    #[test]
    fn the_largest_numbers_overflow_nothing() {
        let mut recycling = recycling(u64::MAX, u64::MAX);
        recycling.draw(worker(1));
        assert_eq!(recycling.share(worker(1)), Some(u64::MAX));
    }
}
