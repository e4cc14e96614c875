//! When the next sign of life is due.

use std::time::{Duration, Instant};

use super::Heartbeat;

/// A heartbeat and its clock.
#[derive(Debug)]
pub(super) struct Pulse {
    heartbeat: Option<Heartbeat>,
    next: Instant,
}

impl Pulse {
    /// The first beat is due at once.
    pub(super) fn new(heartbeat: Option<Heartbeat>, now: Instant) -> Self {
        Self { heartbeat, next: now }
    }

    /// Beats if it is time; returns how long to wait for the next, `None` without a heartbeat.
    pub(super) fn beat(&mut self, now: Instant) -> Option<Duration> {
        let heartbeat = self.heartbeat.as_mut()?;
        if now >= self.next {
            (heartbeat.beat)();
            self.next = now + heartbeat.interval;
        }
        Some(self.next.saturating_duration_since(now))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn it_beats_at_once_and_then_once_an_interval() {
        let beats = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&beats);
        let beat = Box::new(move || {
            counted.fetch_add(1, Ordering::Relaxed);
        });
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let mut pulse = Pulse::new(Some(Heartbeat { interval: 2 * second, beat }), start);
        assert_eq!(pulse.beat(start), Some(2 * second));
        assert_eq!(pulse.beat(start + second), Some(second));
        assert_eq!(beats.load(Ordering::Relaxed), 1);
        assert_eq!(pulse.beat(start + 5 * second), Some(2 * second), "late, and not made up for");
        assert_eq!(beats.load(Ordering::Relaxed), 2);
        assert_eq!(Pulse::new(None, start).beat(start), None);
    }
}
