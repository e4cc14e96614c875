//! How companions are, in the words of `supervisorctl status` and in numbers.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use gunmetal_supervise::{Companion, CompanionState, Companions, Pid, Rest};

use super::control::{CompanionStatus, Runs};
use super::{CompanionConfig, CompanionOutput, CompanionTarget};

/// The time of day that belongs to an instant.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    pub(super) now: Instant,
    /// Since 1970.
    pub(super) time: Duration,
}

impl Clock {
    pub(super) fn read() -> Self {
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { now: Instant::now(), time }
    }

    /// In seconds since 1970.
    fn seconds_at(self, instant: Instant) -> u64 {
        let ahead = instant.saturating_duration_since(self.now);
        let ago = self.now.saturating_duration_since(instant);
        (self.time + ahead).saturating_sub(ago).as_secs()
    }
}

/// Everything there is to say of a companion. `config` is the latest one that it goes by; `None` if it is configured no more.
pub(super) fn status(
    companions: &Companions,
    companion: &Companion,
    config: Option<&CompanionConfig>,
    pid: Option<Pid>,
    clock: Clock,
) -> CompanionStatus {
    let last_end = companion.last_end();
    let status = last_end.and_then(|(end, _)| end.status());
    let (stdout, stderr) = config.map_or((None, None), outputs);
    let reason = match companion.state() {
        CompanionState::Backoff => last_end.map(|(end, _)| end.to_string()),
        _ => None,
    };
    CompanionStatus {
        name: companion.name().to_owned(),
        state: companion.state().as_str(),
        pid: pid.map(Pid::as_raw),
        description: describe(companions, companion, pid, clock.now),
        uptime: companion.started().map(|since| clock.now.saturating_duration_since(since).as_secs()),
        started_at: companion.last_start().map(|at| clock.seconds_at(at)),
        next_retry_at: companion.next_retry().map(|at| clock.seconds_at(at)),
        last_exited_at: last_end.map(|(_, at)| clock.seconds_at(at)),
        restart_delay: companion.retry_delay(),
        last_exit_code: status.and_then(|status| status.code()),
        last_exit_signal: status.and_then(|status| status.signal()),
        exit_count: companion.exit_count(),
        restart_count: companion.restart_count(),
        stop_timeout_kills: companion.kill_count(),
        manual_stop: companion.is_stopped_by_hand(),
        removed: config.is_none(),
        reason,
        runs: config.map_or_else(|| Runs::Command(Vec::new()), runs),
        stdout,
        stderr,
    }
}

fn runs(config: &CompanionConfig) -> Runs {
    match &config.target {
        CompanionTarget::Function { name, .. } => Runs::Target(name.clone()),
        CompanionTarget::Command(words) => Runs::Command(words.clone()),
    }
}

fn outputs(config: &CompanionConfig) -> (Option<String>, Option<String>) {
    let path = |path: &Path| Some(path.display().to_string());
    let stdout = match &config.stdout {
        CompanionOutput::File(file) => path(file),
        CompanionOutput::Inherit | CompanionOutput::Stdout => None,
    };
    let stderr = match &config.stderr {
        CompanionOutput::File(file) => path(file),
        CompanionOutput::Stdout => stdout.clone(),
        CompanionOutput::Inherit => None,
    };
    (stdout, stderr)
}

/// The last column for people.
pub(super) fn describe(
    companions: &Companions,
    companion: &Companion,
    pid: Option<Pid>,
    now: Instant,
) -> String {
    let pid = pid.map_or_else(|| "no process".to_owned(), |pid| format!("pid {pid}"));
    let left = |until: Instant| {
        let left = until.saturating_duration_since(now);
        left.as_secs() + u64::from(left.subsec_nanos() > 0)
    };
    match companion.state() {
        CompanionState::Stopped => match companion.rest() {
            Some(Rest::Waiting) => format!("waits for {}", companions.awaited_by(companion).join(", ")),
            Some(Rest::ByHand) => "stopped manually".to_owned(),
            Some(Rest::NotStarted) | None => "not started".to_owned(),
        },
        CompanionState::Starting => format!("{pid}, starting"),
        CompanionState::Running => {
            let since = companion.started().unwrap_or(now);
            format!("{pid}, uptime {}", uptime(now.saturating_duration_since(since)))
        }
        CompanionState::Backoff => {
            let end = companion.last_end().map_or_else(|| "ended".to_owned(), |(end, _)| end.to_string());
            match companion.next_retry() {
                Some(at) => format!("{end}, retrying in {}s", left(at)),
                None => format!("{end}, given up after {} restarts in a row", companion.streak()),
            }
        }
        CompanionState::Stopping => match companion.kill_at() {
            Some(at) => format!("{pid}, SIGKILL in {}s", left(at)),
            None => format!("{pid}, SIGKILL sent"),
        },
    }
}

/// As `2 days, 03:12:44`.
fn uptime(time: Duration) -> String {
    let seconds = time.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    let clock = format!("{hours:02}:{minutes:02}:{:02}", seconds % 60);
    match days {
        0 => clock,
        1 => format!("1 day, {clock}"),
        _ => format!("{days} days, {clock}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_uptime_is_written_as_by_supervisorctl() {
        for (seconds, text) in [
            (0, "00:00:00"),
            (3_661, "01:01:01"),
            (86_399, "23:59:59"),
            (86_400, "1 day, 00:00:00"),
            (184_364, "2 days, 03:12:44"),
        ] {
            assert_eq!(uptime(Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn an_instant_has_its_time_of_day_in_the_past_and_in_the_future() {
        let clock = Clock { now: Instant::now(), time: Duration::from_secs(1_000) };
        assert_eq!(clock.seconds_at(clock.now + Duration::from_secs(5)), 1_005);
        assert_eq!(clock.seconds_at(clock.now - Duration::from_secs(5)), 995);
    }
}
