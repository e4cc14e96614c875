//! When a dirty worker has had its share: of calls, which the router counts, or of memory, which is looked at here.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use gunmetal_supervise::{Event, Jitter, WorkerId, WorkerState, resident_len};

use super::{DirtyArbiter, Phase};
use crate::DirtyConfig;
use crate::crew::{Origin, seed};

/// What the workers may have before they are recycled.
#[derive(Debug)]
pub(super) struct Recycling {
    max_requests: Option<NonZeroU64>,
    jitter: u64,
    /// Seeded in this process: a fork copies the state of whatever draws.
    dice: Jitter,
    /// The calls that each worker may answer: a router that replaces another is told the same.
    shares: BTreeMap<WorkerId, u64>,
    max_rss: Option<u64>,
    /// Workers that were too large from the start. Their successors would be as large.
    born_large: BTreeSet<WorkerId>,
    next_look: Option<Instant>,
}

impl Recycling {
    pub(super) fn new(config: &DirtyConfig) -> Self {
        Self {
            max_requests: config.max_requests,
            jitter: config.max_requests_jitter,
            dice: Jitter::from_seed(seed()),
            shares: BTreeMap::new(),
            max_rss: config.max_rss,
            born_large: BTreeSet::new(),
            next_look: config.max_rss.map(|_| Instant::now() + LOOK_INTERVAL),
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
        self.born_large.remove(&worker);
    }

    /// When [`look_at_memory`](DirtyArbiter::look_at_memory) has something to do; never, without a limit.
    pub(super) fn next_look(&self) -> Option<Instant> {
        self.next_look
    }
}

impl DirtyArbiter<'_> {
    /// A worker begins to serve. If it is too large already, there is no sense in replacing it.
    pub(super) fn measure_out(&mut self, worker: WorkerId) {
        self.recycling.draw(worker);
        if self.workers.member(worker).is_some_and(|member| member.origin() == Origin::Adopted) {
            // What it takes now it need not have taken from its start.
            return;
        }
        let Some((len, limit)) = self.excess(worker) else { return };
        self.recycling.born_large.insert(worker);
        tracing::warn!(
            %worker,
            "a dirty worker takes {} MiB from its start, which is more than dirty_max_rss ({} MiB): it is not recycled",
            len >> 20,
            limit >> 20,
        );
    }

    /// Has workers that have grown beyond the limit recycled, once a second.
    pub(super) fn look_at_memory(&mut self) {
        let now = Instant::now();
        if self.recycling.next_look.is_none_or(|next| now < next) {
            return;
        }
        if self.phase != Phase::Running {
            self.recycling.next_look = None;
            return;
        }
        self.recycling.next_look = Some(now + LOOK_INTERVAL);
        let serving: Vec<WorkerId> = self.workers_that_are(WorkerState::Serving).collect();
        for worker in serving {
            if self.recycling.born_large.contains(&worker) {
                continue;
            }
            if let Some((len, limit)) = self.excess(worker) {
                let reason = format!("it takes {} MiB, dirty_max_rss is {} MiB", len >> 20, limit >> 20);
                self.workers.handle(Event::Recycle(worker, reason));
            }
        }
    }

    /// The memory of a worker that takes more than the limit, and the limit.
    fn excess(&self, worker: WorkerId) -> Option<(u64, u64)> {
        let limit = self.recycling.max_rss?;
        let len = resident_len(self.workers.member(worker)?.pid()).ok()?;
        (len > limit).then_some((len, limit))
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

const LOOK_INTERVAL: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn recycling(max_requests: u64, jitter: u64) -> Recycling {
        Recycling {
            max_requests: NonZeroU64::new(max_requests),
            jitter,
            dice: Jitter::from_seed(7),
            shares: BTreeMap::new(),
            max_rss: None,
            born_large: BTreeSet::new(),
            next_look: None,
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
