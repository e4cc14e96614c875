//! The router: the process through which all calls go.
//!
//! A leaf process of the dirty arbiter, one thread, tokio's current-thread runtime. It accepts clients on the inherited
//! socket, queues their calls per app, hands them to the lanes of the workers and passes the answers back; it looks into
//! no payload beyond the app's path and the action's name. What it decides is in `dispatcher.rs`, a plain value; what it
//! does with sockets is in `driver.rs`.
//!
//! ```text
//! client ──▶ client_connection ──▶ dispatcher ──▶ outbox of a lane ──▶ worker
//! client ◀── outbox of a client ◀── dispatcher ◀── lane_connection ◀── worker
//! ```

mod dispatcher;
mod driver;
mod failure;
mod machine_memory;
mod status;
#[cfg(test)]
mod tests;

use std::io;
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use gunmetal_supervise::Heartbeat;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::runtime::{Builder, LocalOptions};

/// What a router is given.
#[derive(Debug)]
pub(crate) struct RouterConfig {
    /// The socket that clients connect to, listening.
    pub(crate) listener: UnixListener,
    /// The link to the dirty arbiter; see [`link`](crate::link).
    pub(crate) parent: UnixStream,
    /// How long an action may run, between two chunks if it streams, and how long a call may wait for a lane. `None`, or
    /// zero, for ever.
    pub(crate) dirty_timeout: Option<Duration>,
    /// How many calls may wait for one app; one more is answered with an error at once.
    pub(crate) queue_limit: usize,
    /// How many payload bytes may wait for all apps together.
    pub(crate) queued_bytes_limit: usize,
    /// How long a call may be expected to wait for others that were handed to the same lane before it.
    pub(crate) max_wait: Duration,
    /// Memory that stash tables may take, in bytes; `None` for a quarter of the machine's.
    pub(crate) stash_limit: Option<u64>,
    /// Opens the log file anew.
    pub(crate) reopen_logs: fn(),
    /// What shows the dirty arbiter that the router is alive, and how often.
    pub(crate) heartbeat: Option<(Heartbeat, Duration)>,
    /// How long a client that asks for STATUS waits for the dirty arbiter to say what it knows.
    pub(crate) parent_patience: Duration,
    /// What STATUS calls this server: name and version.
    pub(crate) server: String,
}

impl RouterConfig {
    /// A router with the default limits: no timeout, 10,000 calls, 256 MiB, 200 us.
    #[must_use]
    pub(crate) fn new(listener: UnixListener, parent: UnixStream) -> RouterConfig {
        RouterConfig {
            listener,
            parent,
            dirty_timeout: None,
            queue_limit: 10_000,
            queued_bytes_limit: 256 << 20,
            max_wait: Duration::from_micros(200),
            stash_limit: None,
            reopen_logs: || {},
            heartbeat: None,
            parent_patience: Duration::from_millis(250),
            server: concat!("gunmetal ", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

/// Why a router ended before it was told to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RouterError {
    /// The runtime could not be started.
    #[error("cannot start the router's runtime")]
    Runtime(#[source] io::Error),
    /// The clients' socket can't be used.
    #[error("cannot listen for clients")]
    Listener(#[source] io::Error),
    /// The link to the dirty arbiter failed.
    #[error("the link to the dirty arbiter failed")]
    Parent(#[source] io::Error),
    /// One of the router's tasks panicked.
    #[error("a task of the router panicked")]
    Panicked,
}

/// Runs a router in this process until its parent says stop, has it drained, or is gone.
///
/// Tokio is started here and not before: who calls this has no threads of its own and will not fork.
///
/// # Errors
///
/// If the router can't begin, or can't go on.
pub(crate) fn run(config: RouterConfig) -> Result<(), RouterError> {
    let dirty_timeout = config.dirty_timeout.filter(|limit| !limit.is_zero() && *limit < FOR_EVER);
    let config = RouterConfig { dirty_timeout, ..config };
    allow_many_connections();
    let runtime = Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build_local(LocalOptions::default())
        .map_err(RouterError::Runtime)?;
    runtime.block_on(driver::serve(config))
}

/// Time limits from here on are none: a deadline that far away can't be told from any other.
const FOR_EVER: Duration = Duration::from_secs(10 * 365 * 86_400);

/// Every client and lane is a descriptor: takes as many as the system grants. It is no error if that is few.
fn allow_many_connections() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
    {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}
