//! What an arbiter says about itself.

use serde::Deserialize;

/// The state of a dirty arbiter. What gunicorn's does not report is `None` or empty.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Status {
    /// The process whose pid an operator signals.
    pub arbiter_pid: i64,
    /// Its workers, oldest first.
    pub workers: Vec<WorkerStatus>,
    /// How many they are.
    pub worker_count: u64,
    /// The configured apps.
    pub apps: Vec<String>,
    /// What the arbiter can beyond gunicorn's protocol. See [`Status::has_extension`].
    pub extensions: Vec<String>,
    /// Name and version of the arbiter's program.
    pub server: Option<String>,
}

impl Status {
    /// The arbiter answers calls of one connection in any order, so that many can be in flight.
    pub const MULTIPLEX: &'static str = "multiplex";
    /// The arbiter understands CANCEL frames.
    pub const CANCEL: &'static str = "cancel";
    /// The arbiter lists a stash table part by part.
    pub const STASH_SCAN: &'static str = "stash-scan";

    /// Whether the arbiter has said that it can do `extension`.
    #[must_use]
    pub fn has_extension(&self, extension: &str) -> bool {
        self.extensions.iter().any(|known| known == extension)
    }
}

/// The state of one dirty worker.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct WorkerStatus {
    /// Its process.
    pub pid: i64,
    /// Its number in the order of starting.
    pub age: u64,
    /// The apps that it has loaded.
    pub apps: Vec<String>,
    /// Whether it is ready.
    pub booted: bool,
    /// Seconds since it last showed that it is alive.
    pub last_heartbeat: Option<f64>,
    /// What it is doing: `starting`, `standby` (ready, waits for the rest of a reload), `serving`, `draining`, `stopping`.
    pub state: Option<String>,
    /// Seconds since it came into service.
    pub uptime: Option<f64>,
    /// Calls that it has served.
    pub calls: Option<u64>,
    /// Calls that it was handed and has not answered yet.
    pub running: Option<u64>,
}

/// What came of a request to add or remove workers.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ManageReply {
    /// Whether it was carried out; gunicorn says so even if nothing was to be done.
    pub success: bool,
    /// "add" or "remove".
    pub operation: String,
    /// Workers asked for.
    pub requested: u64,
    /// Workers that were started; those that have failed to start meanwhile are not among them.
    pub spawned: u64,
    /// Of those, the ones that were not ready yet at the time of the answer.
    pub starting: u64,
    /// Workers that failed to start. The arbiter keeps trying.
    pub failed: u64,
    /// Workers that were told to stop.
    pub removed: u64,
    /// Why it was not all that was asked for.
    pub reason: Option<String>,
    /// Workers there are now.
    pub total_workers: u64,
    /// Workers there shall be.
    pub target_workers: u64,
}
