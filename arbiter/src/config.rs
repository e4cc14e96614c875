//! What a service is told to be, after all settings have been read and checked.

use std::ffi::OsStr;
use std::io;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use gunmetal_dirty::AppRegistry;

use crate::{Allocation, BindAddress, Hooks};

/// What the master runs.
#[derive(Debug)]
pub struct MasterConfig {
    /// Where HTTP listeners are bound, in this order. None is a service that has no HTTP workers, now or later.
    pub bind: Vec<BindAddress>,
    /// HTTP worker processes.
    pub workers: u32,
    /// Time an HTTP worker has to become ready, and silence after which one that has ever beaten is replaced.
    pub timeout: Option<Duration>,
    /// Time HTTP workers have to finish when the service stops.
    pub graceful_timeout: Duration,
    /// Opens the log file anew, in the process that calls it. Must neither block for long nor panic.
    pub reopen_logs: fn(),
    /// What the dirty arbiter runs; `None` for a service without one.
    pub dirty: Option<DirtyConfig>,
}

/// What the dirty arbiter runs.
#[derive(Clone, Debug)]
pub struct DirtyConfig {
    /// The apps, and which worker loads which.
    pub allocation: Allocation,
    /// How the apps are made. Has every app of the allocation.
    pub registry: AppRegistry,
    /// Dirty worker processes.
    pub workers: u32,
    /// Calls that a worker serves at a time.
    pub threads: u32,
    /// Time that a call may take, that a worker has to become ready, and silence after which it is replaced.
    pub timeout: Option<Duration>,
    /// Time that calls have to finish when the service stops.
    pub graceful_timeout: Duration,
    /// Where the dirty arbiter listens; `None` for a path of its own in the temporary directory.
    pub socket: Option<PathBuf>,
    /// Memory that stash tables may take, in bytes; `None` for a quarter of the machine's.
    pub stash_limit: Option<u64>,
    /// Calls after which a worker is replaced.
    pub max_requests: Option<NonZeroU64>,
    /// The most calls that are added to `max_requests`, worker by worker, at random.
    pub max_requests_jitter: u64,
    /// Resident memory beyond which a worker is replaced, in bytes.
    pub max_rss: Option<u64>,
    /// What the program does at the stations of the processes' lives.
    pub hooks: Arc<dyn Hooks>,
    /// Opens the log file anew, in the process that calls it. Must neither block for long nor panic.
    pub reopen_logs: fn(),
}

impl DirtyConfig {
    /// Where the dirty arbiter listens, whatever the working directory of who asks.
    pub(crate) fn socket_path(&self) -> io::Result<PathBuf> {
        let own = || std::env::temp_dir().join(format!("gunmetal-dirty-{}.sock", std::process::id()));
        std::path::absolute(self.socket.clone().unwrap_or_else(own))
    }

    /// The pid file: at a path that the next start knows, which has another pid.
    pub(crate) fn pid_file_path(&self) -> io::Result<PathBuf> {
        let mut path = match &self.socket {
            Some(socket) => std::path::absolute(socket)?.into_os_string(),
            None => {
                let program = std::env::args_os().next().unwrap_or_default();
                let name = Path::new(&program).file_name().unwrap_or(OsStr::new("service"));
                let name = name.to_string_lossy().replace(' ', "_");
                std::path::absolute(std::env::temp_dir().join(format!("gunmetal-dirty-{name}")))?.into()
            }
        };
        path.push(".pid");
        Ok(path.into())
    }
}
