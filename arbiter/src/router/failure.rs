//! What a caller is told when the router, not an app, has to answer.

use std::time::Duration;

/// Why a call fails in the router.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The app is not in the configuration; these are.
    AppNotConfigured { app_path: String, configured: Vec<String> },
    /// The app is configured, but nothing can serve it.
    AppUnavailable { app_path: String, reason: String },
    /// The app's queue has no room.
    QueueFull { app_path: String, limit: usize },
    /// The queues hold too many bytes.
    MemoryFull { limit: usize },
    /// The action has run for longer than `dirty_timeout`.
    ActionTimeout { limit: Duration },
    /// No lane was free for as long as `dirty_timeout`.
    QueueTimeout { limit: Duration },
    /// The worker ended while it had the call.
    WorkerLost { pid: u32, cause: String },
    /// The client stopped in the middle of a large payload.
    UploadStalled { limit: Duration },
    /// The service is stopping.
    Stopping,
}

impl Failure {
    /// Whether the client's connection can't go on: it is in the middle of a frame.
    pub(crate) fn ends_connection(&self) -> bool {
        matches!(self, Failure::UploadStalled { .. })
    }
}
