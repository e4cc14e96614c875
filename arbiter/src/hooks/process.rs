//! What hooks are told of the processes.

use std::path::PathBuf;

use gunmetal_supervise::{ExitStatus, WorkerId};

use crate::DirtyConfig;

/// A master.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MasterProcess {
    /// Its process.
    pub pid: u32,
    /// `Master`, or `Master.2` while it waits for the end of the one that it replaces.
    pub name: &'static str,
    /// Where it listens for HTTP, as the log shows it; empty before it does.
    pub addresses: Vec<String>,
    /// How many HTTP workers there shall be.
    pub workers: u32,
}

/// An HTTP worker.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HttpWorkerProcess {
    /// Its process; `None` before it has been forked.
    pub pid: Option<u32>,
    /// The process of its master.
    pub master_pid: u32,
    /// Its place among the workers, from 0; a replacement has the same.
    pub slot: u32,
    /// Which one in that place it is, from 1.
    pub generation: u64,
    /// When it was forked, counted over all HTTP workers of its master: 1, 2, 3 …
    pub age: u64,
}

impl HttpWorkerProcess {
    /// What hooks are told of a worker.
    pub(crate) fn new(worker: WorkerId, pid: Option<u32>, master_pid: u32, age: u64) -> Self {
        Self { pid, master_pid, slot: worker.slot, generation: worker.generation, age }
    }
}

/// An HTTP worker that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HttpWorkerExit {
    /// Which one.
    pub worker: HttpWorkerProcess,
    /// How its process ended.
    pub status: ExitStatus,
    /// Why, as the rest of a sentence: `exited with code 0`, `was killed by signal 9 (SIGKILL)`.
    pub cause: String,
}

/// A dirty arbiter that is about to start.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DirtyArbiterStart {
    /// Its process.
    pub pid: u32,
    /// The master's process; `None` where a dirty arbiter runs alone.
    pub master_pid: Option<u32>,
    /// Where it listens.
    pub socket: PathBuf,
    /// How many workers it starts.
    pub workers: u32,
    /// The apps that they are given.
    pub apps: Vec<String>,
}

/// A dirty worker.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DirtyWorker {
    /// Its process.
    pub pid: u32,
    /// The process of its dirty arbiter.
    pub arbiter_pid: u32,
    /// Its place among the workers, from 0; a replacement has the same.
    pub slot: u32,
    /// Which one in that place it is, from 0.
    pub generation: u64,
    /// When it was forked, counted over all workers of its dirty arbiter: 1, 2, 3 …
    pub age: u64,
    /// The apps that it is given.
    pub apps: Vec<String>,
}

impl DirtyWorker {
    /// What hooks are told of a worker.
    pub(crate) fn new(worker: WorkerId, pid: u32, arbiter_pid: u32, age: u64, config: &DirtyConfig) -> Self {
        let apps = config.allocation.apps_of(worker.slot).map(str::to_owned).collect();
        Self { pid, arbiter_pid, slot: worker.slot, generation: worker.generation, age, apps }
    }
}

/// A dirty worker that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DirtyWorkerExit {
    /// Which one.
    pub worker: DirtyWorker,
    /// How its process ended.
    pub status: ExitStatus,
    /// Why, as the rest of a sentence: `exited with code 0`, `was killed by signal 9 (SIGKILL) (no heartbeat)`.
    pub cause: String,
}
