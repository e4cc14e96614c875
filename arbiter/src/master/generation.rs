//! What HTTP workers are forked from.

use std::time::Duration;

use gunmetal_supervise::{PidFile, PoolConfig, RestartPolicy};

use crate::crew::{Heartbeats, restarts};
use crate::http_listener::HttpListener;
use crate::http_listeners::HttpListeners;
use crate::{MasterConfig, MasterProcess};

/// A configuration, its listeners and its pid file.
pub(super) struct Generation {
    pub(super) config: MasterConfig,
    pub(super) listeners: HttpListeners,
    /// `None` as well where the generation before this one keeps the same file, up to its end.
    pub(super) pid_file: Option<PidFile>,
}

impl Generation {
    /// How many HTTP workers it wants.
    pub(super) fn workers(&self) -> u32 {
        if self.config.http.is_some() { self.config.workers } else { 0 }
    }

    /// How its HTTP workers are supervised.
    pub(super) fn pool_config(&self) -> PoolConfig {
        PoolConfig {
            size: self.workers(),
            // SIGWINCH leaves none.
            minimum: 0,
            boot_timeout: self.config.timeout.map(|timeout| timeout.max(LEAST_BOOT_TIMEOUT)),
            graceful_timeout: Some(self.config.graceful_timeout),
            restarts: RestartPolicy { intensity: self.config.restart_limit, ..restarts() },
            ..PoolConfig::default()
        }
    }

    /// Which of their silences means a hang.
    pub(super) fn heartbeats(&self) -> Heartbeats {
        match self.config.timeout {
            Some(timeout) => Heartbeats::OnceBegun(timeout.max(LEAST_HEARTBEAT_TIMEOUT)),
            None => Heartbeats::Ignored,
        }
    }

    /// What hooks are told of the master that runs it.
    pub(super) fn process(&self, name: &'static str, workers: u32) -> MasterProcess {
        let addresses = self.listeners.iter().map(HttpListener::to_string).collect();
        MasterProcess { pid: std::process::id(), name, addresses, workers }
    }
}

/// A start takes longer than a heartbeat, so a short `timeout` is not for it.
const LEAST_BOOT_TIMEOUT: Duration = Duration::from_secs(30);
/// Shorter silences are the machine's, not the worker's.
const LEAST_HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(2);
