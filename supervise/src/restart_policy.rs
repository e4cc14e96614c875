//! When a process that ended may be started again.

use std::time::{Duration, Instant};

/// How restarts are delayed, and when to give up.
///
/// The first failures after a quiet time, [`at_once`](Self::at_once) of them, restart at once. Each further one waits twice
/// as long as the one before. A *quiet time* of [`period`](Self::period), counted from the last restart, makes the next failure a first one again.
///
/// ```text
/// failure  1   2        3          4                     (at_once = 1, base_delay = 1 s)
/// wait     0   1..1.25  2..2.5     4..5       …  max_delay
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RestartPolicy {
    /// How many crashes in a row are answered without a wait.
    pub at_once: u32,
    /// The wait of the first failure in a row that has one; doubled by each further one.
    pub base_delay: Duration,
    /// The longest wait, before jitter.
    pub max_delay: Duration,
    /// How long a restarted process must last for its next failure to count as a first one.
    pub period: Duration,
    /// Restarts admitted in a row without such a quiet time: the restart intensity. `None` never gives up.
    pub intensity: Option<u32>,
}

impl Default for RestartPolicy {
    /// The first at once, then 500 ms doubling to 30 s, forgotten after a minute without failure, and never giving up.
    fn default() -> Self {
        RestartPolicy {
            at_once: 1,
            base_delay: Duration::from_millis(500),
            max_delay: Duration::from_secs(30),
            period: Duration::from_secs(60),
            intensity: None,
        }
    }
}

/// What kind of end a restart answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// It ended after it had been ready. The first such ends in a row are answered at once.
    Crash,
    /// It ended before it was ready. Trying again at once would most likely fail again, so even the first waits.
    Startup,
}

/// The failures of one slot, judged by a [`RestartPolicy`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RestartHistory {
    /// Failures without a quiet time between them.
    streak: u32,
    /// When the last admitted restart was due.
    last_restart: Option<Instant>,
}

impl RestartHistory {
    /// Judges a failure at `now`: the delay before the restart, or `None` to give up.
    ///
    /// `jitter` in `0.0..1.0` spreads the restarts of slots that failed together: it lengthens a delay by up to a
    /// quarter. It is an argument because a policy that drew it itself could not be tested, and because random state
    /// must not be shared across forks.
    pub fn admit(
        &mut self,
        policy: &RestartPolicy,
        failure: Failure,
        now: Instant,
        jitter: f64,
    ) -> Option<Duration> {
        if self.last_restart.is_some_and(|last| now.saturating_duration_since(last) >= policy.period) {
            self.streak = 0;
        }
        if policy.intensity.is_some_and(|intensity| self.streak >= intensity) {
            return None;
        }
        let doublings = match failure {
            Failure::Crash => self.streak.checked_sub(policy.at_once),
            Failure::Startup => Some(self.streak.saturating_sub(policy.at_once)),
        };
        let delay = doublings.map_or(Duration::ZERO, |doublings| {
            let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
            policy
                .base_delay
                .saturating_mul(factor)
                .min(policy.max_delay)
                .mul_f64(1.0 + jitter.clamp(0.0, 1.0) / 4.0)
        });
        self.streak = self.streak.saturating_add(1);
        self.last_restart = Some(now + delay);
        Some(delay)
    }

    /// Restarts admitted since the last quiet time.
    #[must_use]
    pub fn streak(&self) -> u32 {
        self.streak
    }
}

/// A sequence of numbers in `0.0..1.0` that depends on its seed alone (SplitMix64).
///
/// For spreading restarts, nothing else. Seed it from the kernel after the fork, never before.
#[derive(Debug, Clone)]
pub struct Jitter(u64);

impl Jitter {
    /// Starts the sequence that belongs to `seed`.
    #[must_use]
    pub fn from_seed(seed: u64) -> Jitter {
        Jitter(seed)
    }

    /// The next number of the sequence.
    pub fn next_fraction(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        // 32 bits are plenty for a jitter and fit an f64 exactly.
        f64::from(u32::try_from(mixed >> 32).unwrap_or(0)) / 4_294_967_296.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: RestartPolicy = RestartPolicy {
        at_once: 1,
        base_delay: Duration::from_secs(1),
        max_delay: Duration::from_secs(8),
        period: Duration::from_secs(60),
        intensity: None,
    };

    /// The delays of failures that each follow `uptime` after the restart before them.
    fn delays(policy: &RestartPolicy, failure: Failure, uptime: Duration, count: usize) -> Vec<Option<u64>> {
        let (mut history, mut now) = (RestartHistory::default(), Instant::now());
        (0..count)
            .map(|_| {
                let delay = history.admit(policy, failure, now, 0.0);
                now += delay.unwrap_or_default() + uptime;
                delay.map(|delay| delay.as_secs())
            })
            .collect()
    }

    #[test]
    fn the_first_crash_restarts_at_once_and_repeated_ones_wait_ever_longer() {
        let got = delays(&POLICY, Failure::Crash, Duration::from_secs(1), 7);
        assert_eq!(got, [0, 1, 2, 4, 8, 8, 8].map(Some));
    }

    #[test]
    fn as_many_crashes_as_it_says_restart_at_once() {
        let policy = RestartPolicy { at_once: 3, ..POLICY };
        assert_eq!(delays(&policy, Failure::Crash, Duration::ZERO, 6), [0, 0, 0, 1, 2, 4].map(Some));
        assert_eq!(delays(&policy, Failure::Startup, Duration::ZERO, 5), [1, 1, 1, 1, 2].map(Some));
    }

    #[test]
    fn a_startup_failure_always_waits() {
        let got = delays(&POLICY, Failure::Startup, Duration::ZERO, 5);
        assert_eq!(got, [1, 1, 2, 4, 8].map(Some));
    }

    #[test]
    fn a_quiet_period_forgets_old_failures() {
        let got = delays(&POLICY, Failure::Crash, Duration::from_secs(60), 4);
        assert_eq!(got, [0; 4].map(Some));
    }

    #[test]
    fn the_delay_itself_is_not_quiet_time() {
        let policy = RestartPolicy { period: Duration::from_secs(5), ..POLICY };
        let got = delays(&policy, Failure::Crash, Duration::from_secs(4), 6);
        assert_eq!(got, [0, 1, 2, 4, 8, 8].map(Some));
    }

    #[test]
    fn the_intensity_ends_the_restarts() {
        let policy = RestartPolicy { intensity: Some(2), ..POLICY };
        let got = delays(&policy, Failure::Crash, Duration::ZERO, 4);
        assert_eq!(got, [Some(0), Some(1), None, None]);
    }

    #[test]
    fn thousands_of_failures_overflow_nothing() {
        let got = delays(&POLICY, Failure::Crash, Duration::ZERO, 5000);
        assert_eq!(got.last(), Some(&Some(8)));
    }

    #[test]
    fn jitter_lengthens_by_at_most_a_quarter() {
        let mut jitter = Jitter::from_seed(7);
        for _ in 0..1000 {
            let mut history = RestartHistory::default();
            let delay =
                history.admit(&POLICY, Failure::Startup, Instant::now(), jitter.next_fraction()).unwrap();
            assert!((1.0..1.25).contains(&delay.as_secs_f64()), "{delay:?}");
        }
    }

    #[test]
    fn jitter_follows_its_seed_and_spreads() {
        let draw = |seed| {
            let mut jitter = Jitter::from_seed(seed);
            (0..100).map(|_| jitter.next_fraction()).collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        let mean = draw(3).iter().sum::<f64>() / 100.0;
        assert!((0.35..0.65).contains(&mean), "{mean}");
    }
}
