//! What the machine has to know of a companion's configuration.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::RestartPolicy;

/// What the machine has to know of a companion's configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct CompanionSpec {
    /// What it is called.
    pub name: String,
    /// Differs from that of another configuration of the companion, whatever the difference is in.
    pub fingerprint: u64,
    /// What asks it to end.
    pub stop_signal: Signal,
    /// Time it has to end when it is stopped.
    pub stop_timeout: Duration,
    /// Time it has to end when it is restarted.
    pub reload_timeout: Duration,
    /// Time it has to last to count as running.
    pub startsecs: Duration,
    /// When it is started again after an end that nobody asked for. All such ends are [crashes](crate::Failure::Crash) here.
    pub restarts: RestartPolicy,
    /// Whose turn comes first. Names of companions that are not there are not waited for.
    pub depends_on: Vec<String>,
    /// Whether it is started without a command.
    pub autostart: bool,
}
