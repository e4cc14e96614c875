//! What the dirty arbiter and its router tell each other.
//!
//! The two share a socket pair and speak in frames of type LINK whose payload is one of the enums below, through serde.
//! [`encode`] and [`decode`] put them into frames. The link is the router's lifeline too: when it closes, the router's parent is gone and the router ends.
//!
//! ```text
//! parent                                   router
//!   │ ◀───────────────────────────── Ready │   it listens
//!   │ Stashes, Apps, WorkerUp … ─────────▶ │   in this order; again in full to a router that replaces a dead one
//!   │ ◀──────────── Condemn, then Drained  │   a worker hangs: nothing new goes to it, its other lanes finish
//!   │ ◀──────────────────────────── Served │   a worker has had its share of calls, and serves on
//!   │ WorkerStopping ────────────────────▶ │
//!   │ ◀─────────────────────────── Drained │   the worker may be sent SIGTERM
//!   │ WorkerGone ────────────────────────▶ │   always, however it ended
//!   │ ReopenLogs ────────────────────────▶ │   at any time
//!   │ DrainAll ──────────────────────────▶ │   the router ends by itself when the last call is answered
//!   │ Stop ──────────────────────────────▶ │   the router ends at once
//! ```

pub use gunmetal_dirty::link::{LinkError, decode, encode};
use gunmetal_supervise::{WorkerId, WorkerState};
use serde::{Deserialize, Serialize};

/// From the dirty arbiter to its router.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ToRouter {
    /// The stash tables that the apps declare: made unless they are there. Sent before the apps, so that no client is served
    /// without them.
    Stashes(Vec<String>),
    /// The apps that this service is configured with. Clients are accepted from here on; a later one replaces it (reload).
    Apps(Vec<ConfiguredApp>),
    /// A worker said that it is ready. The router connects to it, once per thread, and gives it calls.
    WorkerUp(WorkerUp),
    /// Give this worker nothing new; answered by [`FromRouter::Drained`] once nothing runs on it.
    WorkerStopping {
        /// The worker.
        #[serde(with = "WorkerIdOnLink")]
        worker: WorkerId,
    },
    /// The worker's process has ended; its calls are answered with the cause.
    WorkerGone {
        /// The worker.
        #[serde(with = "WorkerIdOnLink")]
        worker: WorkerId,
        /// How it ended, as the rest of a sentence: `was killed by SIGKILL`, `exited with code 3`.
        cause: String,
    },
    /// Nothing can serve this app now, nor is a worker being started that could: its calls, those that wait and those
    /// to come, are answered at once. Ends with [`ToRouter::AppPending`], or with a [`ToRouter::WorkerUp`] that holds
    /// the app.
    AppUnavailable {
        /// The app, as configured.
        path: String,
        /// Why, as a clause: `its workers fail to start: no such file: weights.bin`.
        reason: String,
    },
    /// A worker for this app is being started: calls wait for it. Every app is in this state to begin with, unless its
    /// limit is 0.
    AppPending {
        /// The app, as configured.
        path: String,
    },
    /// The answer to [`FromRouter::Manage`].
    ManageDone {
        /// The token of the question.
        token: u64,
        /// What was done, or why nothing could be.
        outcome: Result<ManageReport, String>,
    },
    /// The answer to [`FromRouter::Status`].
    Status {
        /// The token of the question.
        token: u64,
        /// Every worker that has a process.
        workers: Vec<WorkerReport>,
    },
    /// Accept no more calls, finish the calls that run or wait, then end with success.
    DrainAll,
    /// Open the log file anew.
    ReopenLogs,
    /// End at once.
    Stop,
}

/// From the router to the dirty arbiter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum FromRouter {
    /// The router accepts clients. Sent once, first.
    Ready,
    /// This worker does not let go of a call that was cancelled or timed out. It is given nothing new; after the
    /// [`FromRouter::Drained`] that follows, or when patience ends, it should be killed and replaced.
    Condemn {
        /// The worker.
        #[serde(with = "WorkerIdOnLink")]
        worker: WorkerId,
        /// What it did, as a clause for the log.
        reason: String,
    },
    /// Nothing runs any more on this stopping or condemned worker, but for calls that nobody waits for.
    Drained {
        /// The worker.
        #[serde(with = "WorkerIdOnLink")]
        worker: WorkerId,
    },
    /// This worker has answered as many calls as [`WorkerUp::max_calls`] says. It goes on serving until its parent has a
    /// successor for it. Sent once.
    Served {
        /// The worker.
        #[serde(with = "WorkerIdOnLink")]
        worker: WorkerId,
        /// How many those are.
        calls: u64,
    },
    /// A client asks for more or fewer workers; to be answered by [`ToRouter::ManageDone`] with the same token.
    Manage {
        /// Names this question.
        token: u64,
        /// Which way.
        op: ManageOp,
        /// How many, at least 1.
        count: u64,
    },
    /// A client asks for STATUS, which is what the router knows of its workers and what the parent does; to be answered by
    /// [`ToRouter::Status`] with the same token, soon.
    Status {
        /// Names this question.
        token: u64,
    },
}

/// An app that the service is configured with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfiguredApp {
    /// `module:Name`, as clients write it.
    pub path: String,
    /// How many workers may hold it; `None` for all. At 0 it is unavailable.
    pub limit: Option<u32>,
}

/// A worker that is ready to be given calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerUp {
    /// Its name.
    #[serde(with = "WorkerIdOnLink")]
    pub worker: WorkerId,
    /// Its process.
    pub pid: u32,
    /// When it was forked, counted over all workers of this dirty arbiter: 1, 2, 3 … (STATUS reports it).
    pub age: u64,
    /// The paths of the apps it holds.
    pub apps: Vec<String>,
    /// The path of the socket it listens on.
    pub socket: String,
    /// How many lanes it serves, at least 1.
    pub threads: u32,
    /// The number of answered calls at which the parent wants to hear [`FromRouter::Served`].
    pub max_calls: Option<u64>,
}

/// What the parent knows of a worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkerReport {
    /// Its name.
    #[serde(with = "WorkerIdOnLink")]
    pub worker: WorkerId,
    /// Its process.
    pub pid: u32,
    /// See [`WorkerUp::age`].
    pub age: u64,
    /// The paths of the apps it holds, or will hold.
    pub apps: Vec<String>,
    /// What it is doing.
    #[serde(with = "WorkerStateOnLink")]
    pub state: WorkerState,
    /// Whether it has said that it is ready.
    pub booted: bool,
    /// Seconds since its last heartbeat; `None` if it has none.
    pub heartbeat_age: Option<f64>,
}

/// What a client may ask for with MANAGE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ManageOp {
    /// More workers.
    Add,
    /// Fewer workers.
    Remove,
}

/// What came of a [`FromRouter::Manage`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManageReport {
    /// How many workers were started, or are being stopped, because of the question.
    pub changed: u32,
    /// How many of those are not ready yet.
    pub starting: u32,
    /// How many more were to be started, and failed; they are tried again.
    pub failed: u32,
    /// Why that is fewer than asked for.
    pub reason: Option<String>,
    /// How many workers there are now.
    pub total_workers: u32,
    /// How many there are to be.
    pub target_workers: u32,
}

/// How a [`WorkerId`] travels: `supervise` knows no serde.
#[derive(Serialize, Deserialize)]
#[serde(remote = "WorkerId")]
struct WorkerIdOnLink {
    slot: u32,
    generation: u64,
}

/// The same for a [`WorkerState`].
#[derive(Serialize, Deserialize)]
#[serde(remote = "WorkerState")]
enum WorkerStateOnLink {
    Starting,
    Standby,
    Serving,
    Draining,
    Stopping,
}
