//! What happens to processes, as log lines: gunicorn's words where it has some.

use std::error::Error;

use gunmetal_supervise::{Action, Departure, ExitStatus, WorkerId};

use crate::crew::Member;

/// An error with its causes, on one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        // Some errors repeat their cause in their own text.
        if !text.ends_with(&words) {
            text = format!("{text}: {words}");
        }
        cause = error.source();
    }
    text
}

/// A process is gone.
pub(crate) fn gone(
    role: &str,
    worker: WorkerId,
    member: Option<&Member>,
    departure: &Departure,
    status: Option<ExitStatus>,
) {
    let pid = member.map_or(0, |member| member.pid().as_raw());
    let end = status.map_or_else(|| "never started".to_owned(), |status| status.to_string());
    match departure {
        Departure::Retired | Departure::Stopped | Departure::NotSpawned(None) => {
            tracing::info!(%worker, end, "{role} exiting (pid: {pid})");
        }
        Departure::Overdue => tracing::warn!(%worker, "{role} (pid: {pid}) {end}: {OVERDUE}"),
        Departure::Crashed => tracing::warn!(%worker, "{role} (pid: {pid}) {end}"),
        Departure::Condemned(reason) => {
            tracing::warn!(%worker, end, "{role} (pid: {pid}) replaced: {reason}")
        }
        Departure::StartupFailed(reason) => {
            tracing::error!(%worker, end, "{role} (pid: {pid}) failed to start: {reason}");
        }
        Departure::NotSpawned(Some(reason)) => {
            tracing::error!(%worker, "{role} could not be forked: {reason}")
        }
    }
}

/// An action that needs nothing done, only told.
pub(crate) fn action(role: &str, action: &Action) {
    match action {
        Action::BackingOff { slot, delay, failure_count } => {
            tracing::warn!(slot, ?delay, failure_count, "{role}: waiting before the next start");
        }
        Action::Resized { from, to, wanted } if to == wanted => tracing::info!(from, to, "{role}: resized"),
        Action::Resized { from, to, wanted } => {
            tracing::warn!(from, to, wanted, "{role}: resized as far as allowed")
        }
        Action::ReloadStarted => tracing::info!("{role}: reload started"),
        Action::ReloadDone => tracing::info!("{role}: reload done"),
        Action::ReloadFailed(failure) => {
            tracing::error!("{role}: reload failed, the old generation stays in service: {failure}");
        }
        Action::RecycleStarted { worker, reason } => {
            tracing::info!(%worker, "{role}: recycled, {reason}");
        }
        Action::RecycleFailed { worker, error, delay } => {
            tracing::error!(%worker, ?delay, "{role}: its successor failed to start, it stays in service: {error}");
        }
        Action::Serve(worker) => tracing::debug!(%worker, "{role}: in service"),
        Action::Booted => tracing::debug!("{role}: all in service"),
        // Told where they are performed.
        Action::Spawn(_)
        | Action::Drain(_)
        | Action::Signal(..)
        | Action::Gone { .. }
        | Action::GiveUp(_)
        | Action::PoolStopped => {}
    }
}

/// How a worker ended, as the rest of a sentence that a client reads.
pub(crate) fn cause(departure: &Departure, status: Option<ExitStatus>) -> String {
    let end = match status {
        Some(ExitStatus::Signal { .. }) => {
            format!("was {}", status.map(|s| s.to_string()).unwrap_or_default())
        }
        Some(status @ (ExitStatus::Code(_) | ExitStatus::Unknown)) => status.to_string(),
        None => "was never started".to_owned(),
    };
    match departure {
        Departure::Condemned(reason) => format!("{end} ({reason})"),
        Departure::Overdue => format!("{end} ({OVERDUE})"),
        _ => end,
    }
}

const OVERDUE: &str = "it was to leave, and had not finished when the graceful timeout was over";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_the_rest_of_a_sentence() {
        let killed = Some(ExitStatus::Signal { signal: 9, core: false });
        assert_eq!(cause(&Departure::Crashed, killed), "was killed by signal 9 (SIGKILL)");
        assert_eq!(cause(&Departure::Crashed, Some(ExitStatus::Code(1))), "exited with code 1");
        let condemned = Departure::Condemned("no heartbeat".into());
        assert_eq!(cause(&condemned, killed), "was killed by signal 9 (SIGKILL) (no heartbeat)");
    }
}
