//! Time in coarse steps, for the question how long a connection has waited: no request pays for a timer.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// The clock of a worker's connections, which stands still while there are none.
#[derive(Debug, Default)]
pub(super) struct Ticks(AtomicU32);

impl Ticks {
    pub(super) fn now(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    /// Begins the next tick, and returns it. There is no last one: they begin anew.
    pub(super) fn advance(&self) -> u32 {
        self.0.fetch_add(1, Ordering::Relaxed).wrapping_add(1)
    }
}

/// How long a connection may wait, in ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limit {
    tick: Duration,
}

impl Limit {
    pub(super) fn of(limit: Duration) -> Self {
        // What the division drops must not end anybody early.
        let tick = limit / TICKS_PER_LIMIT + Duration::from_nanos(1);
        Self { tick: tick.max(MIN_TICK) }
    }

    /// How long a tick lasts, at least.
    pub(super) fn tick(self) -> Duration {
        self.tick
    }

    /// Whether who has waited since the tick `since` has waited for the whole limit at `now`. The wait began at some time
    /// within its first tick, which therefore does not count.
    pub(super) fn is_over(self, since: u32, now: u32) -> bool {
        now.wrapping_sub(since) > TICKS_PER_LIMIT
    }
}

/// A connection is closed so much of the limit too late, at most.
const TICKS_PER_LIMIT: u32 = 8;

/// More often than that nobody has to look.
const MIN_TICK: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_waits_for_less_than_the_limit_or_for_much_more() {
        for limit in [100, 1000, 1001, 75_000, 31_536_000_000].map(Duration::from_millis) {
            let (limit_in_ticks, ticks) = (Limit::of(limit), Ticks::default());
            // Two clocks: one that ticks just after the wait has begun, one that ticks just before it begins.
            let since = ticks.now();
            let mut advances = 0;
            while !limit_in_ticks.is_over(since, ticks.now()) {
                ticks.advance();
                advances += 1;
            }
            let (least, most) = (limit_in_ticks.tick() * (advances - 1), limit_in_ticks.tick() * advances);
            assert!(least >= limit, "{limit:?}: over after {least:?}");
            assert!(most <= limit.mul_f64(1.2), "{limit:?}: over after {most:?}");
        }
    }

    #[test]
    fn ticks_that_begin_anew_end_no_wait() {
        let limit = Limit::of(Duration::from_secs(75));
        let ticks = Ticks(AtomicU32::new(u32::MAX - 1));
        let since = ticks.now();
        (0..TICKS_PER_LIMIT).for_each(|_| assert!(!limit.is_over(since, ticks.advance())));
        assert!(limit.is_over(since, ticks.advance()));
    }

    #[test]
    fn a_tiny_limit_does_not_keep_the_worker_busy() {
        assert_eq!(Limit::of(Duration::from_nanos(1)).tick(), MIN_TICK);
    }
}
