//! What the pool tells the driver.

use std::fmt;

use nix::sys::signal::Signal;

use crate::{ExitStatus, WorkerId};

/// Work for the driver of a [`Pool`](crate::Pool), in the order in which it must be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Fork this worker, then report [`Spawned`](crate::Event::Spawned) or
    /// [`SpawnFailed`](crate::Event::SpawnFailed).
    Spawn(WorkerId),
    /// The worker is in service from now on: give it work.
    Serve(WorkerId),
    /// Give the worker nothing new and report [`Drained`](crate::Event::Drained) once nothing runs in it. A driver
    /// that hands out no work itself (HTTP workers accept on their own) reports it at once: the SIGTERM that follows
    /// is then the drain.
    Drain(WorkerId),
    /// Send the signal. A process that has ended meanwhile is no error.
    Signal(WorkerId, Signal),
    /// The worker's process is gone; forget it. Sent exactly once for each [`Spawn`](Action::Spawn).
    Gone {
        /// The worker that ended.
        worker: WorkerId,
        /// Why it ended.
        departure: Departure,
        /// How it ended; `None` if there never was a process.
        status: Option<ExitStatus>,
    },
    /// The slot waits before its next process is spawned.
    BackingOff {
        /// The slot.
        slot: u32,
        /// How long it waits.
        delay: std::time::Duration,
        /// Failures in a row so far.
        failure_count: u32,
    },
    /// Every slot has been ready: the pool has booted. Sent once.
    Booted,
    /// The pool now has this many slots; what follows from that comes after this.
    Resized {
        /// How many slots there were.
        from: u32,
        /// How many there are.
        to: u32,
        /// How many were asked for; differs from `to` where the minimum or an essential slot stood in the way.
        wanted: u32,
    },
    /// A worker that serves is to be replaced; the spawn of its successor follows.
    RecycleStarted {
        /// The worker that will leave.
        worker: WorkerId,
        /// Why.
        reason: String,
    },
    /// The successor could not be started. The worker serves on, and another attempt follows.
    RecycleFailed {
        /// The worker that should have left.
        worker: WorkerId,
        /// What went wrong with its successor.
        error: String,
        /// How long the next attempt waits at least.
        delay: std::time::Duration,
    },
    /// A reload begins: spawns from here on belong to the new generation.
    ReloadStarted,
    /// The new generation serves; the old one is being drained.
    ReloadDone,
    /// The new generation could not be started; the old one stays in service.
    ReloadFailed(StartupFailure),
    /// The pool cannot be served: report why. Everything is being stopped;
    /// [`PoolStopped`](Action::PoolStopped) follows.
    GiveUp(StartupFailure),
    /// The last process is gone after a stop. Nothing follows.
    PoolStopped,
}

/// Why a worker's process is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Departure {
    /// It was never forked: it was no longer wanted, or the fork failed with this text.
    NotSpawned(Option<String>),
    /// It ended before it was ready, with its own words or ours.
    StartupFailed(String),
    /// It ended after it was ready, and nobody had asked it to.
    Crashed,
    /// It was condemned, for this reason.
    Condemned(String),
    /// It was replaced by a reload or recycled, or its slot was removed.
    Retired,
    /// The same, but it had not finished in time and was killed.
    Overdue,
    /// The pool was stopped.
    Stopped,
}

impl fmt::Display for Departure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Departure::NotSpawned(None) => f.write_str("no longer wanted before it was started"),
            Departure::NotSpawned(Some(error)) => write!(f, "could not be started: {error}"),
            Departure::StartupFailed(error) => write!(f, "failed to start: {error}"),
            Departure::Crashed => f.write_str("ended unexpectedly"),
            Departure::Condemned(reason) => write!(f, "condemned: {reason}"),
            Departure::Retired => f.write_str("retired"),
            Departure::Overdue => f.write_str("killed, as it was to leave and had not finished in time"),
            Departure::Stopped => f.write_str("stopped"),
        }
    }
}

/// A worker that ended before it was ready, or once too often, where that has consequences beyond its slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartupFailure {
    /// The worker.
    pub worker: WorkerId,
    /// What went wrong: the child's own words where it left any.
    pub error: String,
    /// How its process ended; `None` if it could not be forked.
    pub status: Option<ExitStatus>,
    /// Restarts of its slot that had been in vain, in a row; 0 where none was tried.
    pub restarts: u32,
}

impl StartupFailure {
    /// The code the service should exit with: 4 if the child said that the application could not be loaded, else 3.
    #[must_use]
    pub fn exit_code(&self) -> i32 {
        match self.status {
            Some(ExitStatus::Code(APP_LOAD_FAILED)) => APP_LOAD_FAILED,
            _ => STARTUP_FAILED,
        }
    }
}

impl fmt::Display for StartupFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "worker {} failed to start: {}", self.worker, self.error)
    }
}

/// Exit code of a worker, and then of the service, that could not start.
pub const STARTUP_FAILED: i32 = 3;

/// Exit code of a worker, and then of the service, whose application could not be loaded.
pub const APP_LOAD_FAILED: i32 = 4;
