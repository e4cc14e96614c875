//! How many requests a worker serves before it is replaced.

use std::fs::File;
use std::io::Read;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::Settings;

/// The requests that a worker is to serve, and those that it has served.
#[derive(Debug)]
pub(super) struct Share {
    /// `None` is no limit.
    limit: Option<u64>,
    served: AtomicU64,
}

impl Share {
    /// The share that the settings give to a worker; `random` decides about the jitter.
    pub(super) fn new(settings: &Settings, random: u64) -> Self {
        let limit = settings.max_requests.map(|max| {
            let more = match settings.max_requests_jitter.checked_add(1) {
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
