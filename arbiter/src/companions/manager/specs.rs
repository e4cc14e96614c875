//! What the machine has to know of companions.

use std::time::Duration;

use gunmetal_supervise::{CompanionSpec, RestartPolicy, Signal};

use crate::companions::CompanionConfig;

/// What the machine has to know of a companion.
pub(super) fn spec(config: &CompanionConfig) -> CompanionSpec {
    CompanionSpec {
        name: config.name.clone(),
        fingerprint: config.fingerprint(),
        stop_signal: config.stop_signal,
        stop_timeout: config.stop_timeout,
        reload_timeout: config.reload_timeout,
        startsecs: config.startsecs,
        restarts: RestartPolicy {
            at_once: 0,
            base_delay: config.restart_delay,
            max_delay: config.max_restart_delay.unwrap_or(config.restart_delay),
            period: QUIET_TIME,
            intensity: config.restart_limit,
        },
        depends_on: config.depends_on.clone(),
        autostart: config.autostart,
    }
}

/// What a process goes by that another manager has started, of a companion that is configured no more: it is only to end.
pub(super) fn stray(name: &str, patience: Duration) -> CompanionSpec {
    CompanionSpec {
        name: name.to_owned(),
        fingerprint: 0,
        stop_signal: Signal::SIGTERM,
        stop_timeout: patience,
        reload_timeout: patience,
        startsecs: Duration::ZERO,
        restarts: RestartPolicy::default(),
        depends_on: Vec::new(),
        autostart: false,
    }
}

/// A companion that lasts so long has not failed again and again.
const QUIET_TIME: Duration = Duration::from_secs(60);
