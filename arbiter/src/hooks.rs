//! What a program does at the stations of its processes' lives.
//!
//! ```text
//! dirty arbiter   on_dirty_starting                                               dirty_worker_exit
//!                        └─ fork ─┐                                              ┌─ reaped ─┘
//! dirty worker                    dirty_post_fork, init of each app, dirty_worker_init, ready … close
//! ```

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use gunmetal_supervise::{ExitStatus, Pid, SingleThread, WorkerId};

use crate::{DirtyConfig, report};

/// Functions of the program that are called at the stations of the processes' lives, under gunicorn's names. Each does
/// nothing unless it is written.
///
/// Every process has its own copy of the value, as it was when the process was forked: what a hook changes in it is seen
/// by later hooks in the same process and in processes forked from it.
///
/// A hook that runs in the dirty arbiter holds up the supervision of every worker while it runs, and must not leave a
/// thread behind: a process with threads is never forked, so no worker could be started any more. If it panics, that is
/// logged, and the dirty arbiter goes on.
///
/// A hook that runs in a dirty worker may do what an app may do, threads included. If it panics, the worker has failed
/// to start: at the first boot the service stops with the panic's message.
///
/// ```
/// use gunmetal_arbiter::{DirtyWorker, DirtyWorkerExit, Hooks};
///
/// struct Journal;
///
/// impl Hooks for Journal {
///     fn dirty_worker_init(&self, worker: &DirtyWorker) {
///         eprintln!("worker {} is ready with {}", worker.pid, worker.apps.join(", "));
///     }
///
///     fn dirty_worker_exit(&self, exit: &DirtyWorkerExit) {
///         eprintln!("worker {} {}", exit.worker.pid, exit.status);
///     }
/// }
/// ```
pub trait Hooks: Send + Sync {
    /// In each dirty arbiter's process, just before it starts its router and its workers. Its pid file is written, its
    /// socket listens, and clients of the processes to come will find it in the environment.
    ///
    /// The pid file must not be opened in this process: closing it would let go of the lock by which the next start finds an
    /// orphan.
    fn on_dirty_starting(&self, arbiter: &DirtyArbiterStart) {
        let _ = arbiter;
    }

    /// In each new dirty worker, right after the fork: before its apps are made.
    fn dirty_post_fork(&self, worker: &DirtyWorker) {
        let _ = worker;
    }

    /// In each dirty worker once all its apps have been made, on the same thread, before it says that it is ready.
    fn dirty_worker_init(&self, worker: &DirtyWorker) {
        let _ = worker;
    }

    /// In the dirty arbiter, for each dirty worker that has ended and been reaped, however it ended: stopped, replaced,
    /// killed, or failed to start.
    fn dirty_worker_exit(&self, exit: &DirtyWorkerExit) {
        let _ = exit;
    }
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

/// Nothing is done anywhere.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoHooks;

impl Hooks for NoHooks {}

impl fmt::Debug for dyn Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hooks")
    }
}

/// Runs `on_dirty_starting`, in the process of the dirty arbiter that starts.
pub(crate) fn starting(config: &DirtyConfig, master_pid: Option<Pid>, socket: &Path) {
    let start = DirtyArbiterStart {
        pid: std::process::id(),
        master_pid: master_pid.map(|pid| pid.as_raw().unsigned_abs()),
        socket: socket.to_owned(),
        workers: config.workers,
        apps: config.allocation.apps().iter().map(|app| app.path.clone()).collect(),
    };
    in_parent("on_dirty_starting", || config.hooks.on_dirty_starting(&start));
}

/// Runs a hook in a process that forks: whatever it does wrong is logged under its name.
pub(crate) fn in_parent(name: &str, hook: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(hook)) {
        tracing::error!("{name} panicked: {}", panic_text(panic.as_ref()));
    }
    // The next fork says the same, but cannot say whose thread it is.
    if let Err(error) = SingleThread::check() {
        tracing::error!("{name} left a thread behind, no worker can be forked: {}", report::chain(&error));
    }
}

/// Runs a hook in a process that starts; a panic is why it does not.
pub(crate) fn in_child(name: &str, hook: impl FnOnce()) -> Result<(), String> {
    catch_unwind(AssertUnwindSafe(hook))
        .map_err(|panic| format!("{name} panicked: {}", panic_text(panic.as_ref())))
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_in_a_child_is_told_with_its_words() {
        assert_eq!(in_child("dirty_post_fork", || {}), Ok(()));
        let told = in_child("dirty_post_fork", || panic!("no {}", "licence"));
        assert_eq!(told, Err("dirty_post_fork panicked: no licence".to_owned()));
    }
}
