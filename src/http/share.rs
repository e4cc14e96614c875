//! How many requests a worker serves before it is replaced.

use std::fs::File;
use std::io::Read;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};

/// The requests that a worker is to serve, and those that it has served.
#[derive(Debug)]
pub(super) struct Share {
    /// `None` is no limit.
    limit: Option<u64>,
    served: AtomicU64,
}

impl Share {
    /// A share of `max` requests and up to `jitter` more, about which `random` decides.
    pub(super) fn new(max: Option<NonZeroU64>, jitter: u64, random: u64) -> Self {
        let limit = max.map(|max| {
            let more = match jitter.checked_add(1) {
                Some(choices) => random % choices,
                None => random,
            };
            max.get().saturating_add(more)
        });
        Self { limit, served: AtomicU64::new(0) }
    }

    /// Counts a request. Returns the limit with the one that reaches it.
    pub(super) fn count(&self) -> Option<u64> {
        let limit = self.limit?;
        (self.served.fetch_add(1, Ordering::Relaxed) + 1 == limit).then_some(limit)
    }
}

/// A number from the kernel: anything that the process has from its master would be the same in every worker.
pub(super) fn random() -> u64 {
    let mut bytes = [0; 8];
    // Without it the workers' shares are alike, which is no reason to do without workers.
    let _ = File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
    u64::from_ne_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(max: u64, jitter: u64, random: u64) -> Share {
        Share::new(NonZeroU64::new(max), jitter, random)
    }

    #[test]
    fn the_limit_is_reached_once() {
        let share = share(3, 0, 7);
        let outcomes: Vec<_> = (0..5).map(|_| share.count()).collect();
        assert_eq!(outcomes, [None, None, Some(3), None, None]);
    }

    #[test]
    fn shares_spread_over_the_jitter_and_not_beyond() {
        let limits: Vec<_> = (0..5).map(|random| share(10, 2, random).limit.unwrap()).collect();
        assert_eq!(limits, [10, 11, 12, 10, 11]);
        assert_eq!(share(u64::MAX, u64::MAX, u64::MAX).limit, Some(u64::MAX));
    }

    #[test]
    fn without_a_limit_nothing_is_counted() {
        let share = share(0, 5, 3);
        assert_eq!((share.count(), share.served.into_inner()), (None, 0));
    }
}
