//! The worker runtime: what a forked dirty worker does until it exits.
//!
//! ```text
//! main thread, the steward              lane threads, one per `threads`
//!   poll: stop, listener, controls,       loop: next lane connection → LaneReady
//!         hang-ups of lanes, heartbeat           loop: REQUEST → app.call → reply
//! ```
//!
//! [`run`] is called by the process that was forked, on its only thread. The steward never waits for anything but its
//! poll, so it beats, takes requests back and sees hang-ups whatever the actions do. An action runs on its lane's
//! thread and may block as long as it likes. What both touch, the lane's gate, is locked for moments
//! only.
//!
//! A reply is held back only while another whole request has arrived behind it, a chunk only while chunks come within
//! microseconds of each other; the steward sends what is held every millisecond, or when the router takes requests
//! back. So one system call carries many small frames, and no frame waits for an action.
//!
//! States, by what is polled for:
//!
//! ```text
//! starting (apps are made on a thread of their own) → serving → draining (no new requests, running ones finish) → end
//! ```

use std::fmt;
use std::io::Write;
use std::os::unix::net::UnixListener;
use std::time::Duration;

use crate::registry::AppFactory;

mod apps;
mod bell;
mod connection;
mod gate;
mod lane;
mod lane_input;
mod lane_output;
mod lane_queue;
mod lane_thread;
mod lane_threads;
mod lifeline;
mod panics;
mod pulse;
mod serve;
mod socket;
mod steward;
mod stop;
mod watched_lanes;

pub use lifeline::{Fate, Lifeline, Station};
pub use stop::{StopHandle, StopSource};

/// Everything a worker needs to know.
#[derive(Debug)]
pub struct WorkerConfig {
    /// Where the router connects: bound and listening.
    pub listener: UnixListener,
    /// The worker's slot, for apps and logs.
    pub slot: u32,
    /// The slot's generation, for apps and logs.
    pub generation: u64,
    /// Lanes served at the same time; 0 is taken as 1.
    pub threads: usize,
    /// The apps to make, in order.
    pub apps: Vec<(String, AppFactory)>,
    /// What is done once the apps are made, before the worker is ready.
    pub init_hook: Option<InitHook>,
    /// The sign of life.
    pub heartbeat: Option<Heartbeat>,
    /// Where to say that the worker is ready, or why it never will be.
    pub ready: Option<ReadyWriter>,
    /// What ends the worker.
    pub stop: StopSource,
    /// Who the worker lives for, if that may change.
    pub lifeline: Option<Lifeline>,
    /// Opens the log file anew: what SIGUSR1 does to a worker that is stopped by [`StopSource::Signals`].
    pub reopen_logs: fn(),
}

/// Called on the thread that made the apps. A panic in it is a failed start.
pub struct InitHook(pub Box<dyn FnOnce() + Send>);

/// A worker's sign of life, given by its main thread from the start on.
pub struct Heartbeat {
    /// Time between two beats.
    pub interval: Duration,
    /// Gives one.
    pub beat: Box<dyn FnMut() + Send>,
}

/// Takes the one message about readiness: `R`, or `E` and the reason why not; then it is closed.
pub struct ReadyWriter(pub Box<dyn Write + Send>);

/// How a worker ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkerExit {
    /// It was told to stop; what ran has finished and the apps are closed.
    Drained,
    /// It was told to stop at once: actions may still run, so the process has to exit now.
    Immediate,
    /// An app could not be made; the text says which and why.
    InitFailed(String),
}

impl WorkerExit {
    /// The process's exit code: 0, or 3 for a failed start.
    #[must_use]
    pub fn code(&self) -> i32 {
        match self {
            Self::Drained | Self::Immediate => 0,
            Self::InitFailed(_) => 3,
        }
    }
}

/// Why a worker could not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkerError {
    /// The system refused something that a worker needs before it serves.
    #[error("worker cannot {what}")]
    Setup {
        /// What it needs.
        what: &'static str,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The main loop's poll failed.
    #[error("worker cannot wait for events")]
    Poll {
        /// The system's answer.
        source: std::io::Error,
    },
}

/// Makes the apps, says ready, and serves until told to stop.
///
/// # Errors
///
/// Only what the system refuses; a failing app is a [`WorkerExit`], and a failing call is answered.
pub fn run(config: WorkerConfig) -> Result<WorkerExit, WorkerError> {
    steward::Steward::start(config)?.run()
}

impl fmt::Debug for Heartbeat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Heartbeat").field("interval", &self.interval).finish_non_exhaustive()
    }
}

impl fmt::Debug for InitHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InitHook")
    }
}

impl fmt::Debug for ReadyWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReadyWriter")
    }
}
