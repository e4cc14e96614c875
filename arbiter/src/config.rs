//! What a service is told to be, after all settings have been read and checked.

use std::ffi::OsStr;
use std::io;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use gunmetal_dirty::AppRegistry;

use crate::{Allocation, BindAddress, CompanionsConfig, Hooks, HttpProcess, NoHooks, ProcessConfig};

/// What the master runs, for as long as nobody tells it to read its configuration again.
pub struct MasterConfig {
    /// Where HTTP listeners are bound, in this order.
    pub bind: Vec<BindAddress>,
    /// Connections that may wait at each listener. The kernel cuts it to `net.core.somaxconn`.
    pub backlog: u32,
    /// Whether each HTTP worker gets TCP listeners of its own.
    pub reuse_port: bool,
    /// Whether clients speak TLS, for the log.
    pub is_tls: bool,
    /// The bits that are taken from the mode of unix sockets, which is 0777.
    pub umask: u32,
    /// HTTP worker processes.
    pub workers: u32,
    /// Time an HTTP worker has to become ready, and silence after which one that has ever beaten is replaced.
    pub timeout: Option<Duration>,
    /// Time HTTP workers have to finish when the service stops.
    pub graceful_timeout: Duration,
    /// Resident memory beyond which an HTTP worker is replaced, in bytes.
    pub max_rss: Option<u64>,
    /// Crashes of an HTTP worker in a row after which the service gives up.
    pub restart_limit: Option<u32>,
    /// The file that names the master.
    pub pidfile: Option<PathBuf>,
    /// Whether the service runs in the background: SIGWINCH, which a terminal sends, means something only then.
    pub daemon: bool,
    /// What all processes have in common.
    pub processes: ProcessConfig,
    /// What an HTTP worker does; `None` is a service without any.
    pub http: Option<HttpBody>,
    /// What the program does at the stations of the processes' lives.
    pub hooks: Arc<dyn Hooks>,
    /// Makes true of the master's process, and so of those it will fork, what the configuration says of it: called at the
    /// start, when a reload begins, and for the configuration before if that fails.
    pub enter: Rc<dyn Fn()>,
    /// Gives standard error back what it was when the program was started: called in the process that becomes the new master
    /// of an upgrade, which has an `enter` of its own. Must neither block for long nor panic.
    pub leave: fn(),
    /// Opens the log file anew, in the process that calls it. Must neither block for long nor panic.
    pub reopen_logs: fn(),
    /// What the dirty arbiter runs; `None` for a service without one. One that runs is not changed by a reload.
    pub dirty: Option<DirtyConfig>,
    /// What the companion manager runs; `None` for a service without one.
    pub companions: Option<CompanionsConfig>,
}

impl Default for MasterConfig {
    /// gunicorn's defaults, with nothing to bind and nobody to serve.
    fn default() -> Self {
        Self {
            bind: Vec::new(),
            backlog: 2048,
            reuse_port: false,
            is_tls: false,
            umask: 0,
            workers: 1,
            timeout: Some(Duration::from_secs(30)),
            graceful_timeout: Duration::from_secs(30),
            max_rss: None,
            restart_limit: None,
            pidfile: None,
            daemon: false,
            processes: ProcessConfig::default(),
            http: None,
            hooks: Arc::new(NoHooks),
            enter: Rc::new(|| {}),
            leave: || {},
            reopen_logs: || {},
            dirty: None,
            companions: None,
        }
    }
}

/// What an HTTP worker does, in a process of its own, which exits with the code that is returned.
pub type HttpBody = Rc<dyn Fn(HttpProcess) -> i32>;

/// What the dirty arbiter runs.
#[derive(Clone)]
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
    /// What all processes of the service have in common.
    pub processes: ProcessConfig,
    /// Makes true of the dirty arbiter's process, and so of the workers that it will fork, what the configuration now says of
    /// environment and log: called when it reloads.
    pub refresh: Rc<dyn Fn()>,
    /// Loads in each worker what its apps need; the text says why it cannot, which is exit code 4.
    pub load: Option<Load>,
    /// What the program does at the stations of the processes' lives.
    pub hooks: Arc<dyn Hooks>,
    /// Opens the log file anew, in the process that calls it. Must neither block for long nor panic.
    pub reopen_logs: fn(),
}

/// Loads what a process needs; the text says why it cannot.
pub type Load = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

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
