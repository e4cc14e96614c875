//! What cannot be accepted is said, but not a thousand times.

use std::io;
use std::time::{Duration, Instant};

/// Logs why connections cannot be accepted, once a second at most.
#[derive(Debug, Default)]
pub(super) struct Complaint {
    last: Option<Instant>,
}

impl Complaint {
    pub(super) fn about(&mut self, error: &io::Error) {
        if self.is_due(Instant::now()) {
            tracing::warn!(%error, "connections cannot be accepted");
        }
    }

    fn is_due(&mut self, now: Instant) -> bool {
        let due = self.last.is_none_or(|last| now.duration_since(last) >= INTERVAL);
        if due {
            self.last = Some(now);
        }
        due
    }
}

const INTERVAL: Duration = Duration::from_secs(1);

/// How long whoever could not accept waits before it tries again: mostly descriptors are missing, and some connection has to
/// end first.
pub(super) const BACK_OFF: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complaint_is_repeated_after_a_second_and_not_before() {
        let (mut complaint, start) = (Complaint::default(), Instant::now());
        let due_at = [0, 1, 999, 1000, 1001].map(|ms| complaint.is_due(start + Duration::from_millis(ms)));
        assert_eq!(due_at, [true, false, false, true, false]);
    }
}
