//! What a service is told to be, after all settings have been read and checked.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use gunmetal_dirty::AppRegistry;

use crate::{Allocation, BindAddress};

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
}

impl DirtyConfig {
    /// Where the dirty arbiter listens, whatever the working directory of who asks.
    pub(crate) fn socket_path(&self) -> io::Result<PathBuf> {
        let own = || std::env::temp_dir().join(format!("gunmetal-dirty-{}.sock", std::process::id()));
        std::path::absolute(self.socket.clone().unwrap_or_else(own))
    }
}
