//! What happens to companions, as log lines.

use std::time::Duration;

use gunmetal_supervise::{CompanionAction, Pid, RereadOutcome, Sequel, Signal};

/// A process is sent a signal.
pub(super) fn signal(name: &str, pid: Pid, signal: Signal, timeout: Option<Duration>) {
    match timeout {
        Some(timeout) => tracing::info!(
            "Companion {name} stopping (pid: {pid}, {signal}, at most {} s)",
            timeout.as_secs_f64()
        ),
        None => tracing::error!("Companion {name} was sent {signal}: it has not ended in time (pid: {pid})"),
    }
}

/// An action that needs nothing done, only told.
pub(super) fn action(action: &CompanionAction) {
    match action {
        CompanionAction::Running { name } => tracing::info!("Companion {name} running"),
        CompanionAction::Outgrown { name, reason } => {
            tracing::warn!("Companion {name} is restarted: {reason}");
        }
        CompanionAction::Ended { name, end, sequel } => match sequel {
            Sequel::Retry(delay) => {
                tracing::warn!("Companion {name} {end}, retrying in {} s", delay.as_secs_f64());
            }
            Sequel::GivenUp(count) => {
                tracing::error!("Companion {name} {end}, given up after {count} restarts in a row");
            }
            Sequel::Restart => tracing::info!("Companion {name} {end}, restarting"),
            Sequel::Stopped => tracing::info!("Companion {name} {end}, stopped"),
            Sequel::Removed => tracing::info!("Companion {name} {end}, removed"),
        },
        CompanionAction::Spawn { .. } | CompanionAction::Signal { .. } => {
            tracing::debug!(?action, "companion action");
        }
    }
}

/// Another configuration is in force.
pub(super) fn reread(outcome: &RereadOutcome) {
    let lists = [("added", &outcome.added), ("removed", &outcome.removed), ("restarted", &outcome.restarted)];
    let changes: Vec<String> = lists
        .into_iter()
        .filter(|(_, names)| !names.is_empty())
        .map(|(what, names)| format!("{what} {}", names.join(", ")))
        .collect();
    match changes.as_slice() {
        [] => tracing::info!("Companions reread: nothing to do"),
        changes => tracing::info!("Companions reread: {}", changes.join("; ")),
    }
}
