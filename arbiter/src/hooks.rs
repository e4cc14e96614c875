//! What a program does at the stations of its processes' lives.
//!
//! ```text
//! master          on_starting, when_ready, nworkers_changed … on_reload … pre_exec … on_exit
//!                        └─ pre_fork ─ fork ─┐                        ┌─ reaped, child_exit ─┘
//! http worker                                post_fork, post_worker_init, ready … worker_exit
//!
//! dirty arbiter   on_dirty_starting                                               dirty_worker_exit
//!                        └─ fork ─┐                                              ┌─ reaped ─┘
//! dirty worker                    dirty_post_fork, init of each app, dirty_worker_init, ready … close
//! ```

mod call;
mod process;

pub(crate) use call::{in_child, in_parent, may_refuse, starting};
pub use process::{
    DirtyArbiterStart, DirtyWorker, DirtyWorkerExit, HttpWorkerExit, HttpWorkerProcess, MasterProcess,
};

use std::fmt;

/// Functions of the program that are called at the stations of the processes' lives, under gunicorn's names. Each does
/// nothing unless it is written.
///
/// Every process has its own copy of the value, as it was when the process was forked: what a hook changes in it is seen
/// by later hooks in the same process and in processes forked from it.
///
/// A hook that runs in the master or in the dirty arbiter holds up the supervision of every worker while it runs, and must
/// not leave a thread behind: a process with threads is never forked, so no worker could be started any more. If it panics,
/// that is logged, and the process goes on; only [`on_starting`](Self::on_starting) and [`when_ready`](Self::when_ready)
/// refuse the start of the service by a panic.
///
/// A hook that runs in a worker before that is ready may do what its app may do, threads included. If it panics, the worker
/// has failed to start: at the first boot the service stops with the panic's message.
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
    /// In the master, before it has opened a socket: the pid file is written, the settings have been checked.
    fn on_starting(&self, master: &MasterProcess) {
        let _ = master;
    }

    /// In the master, once it listens, before it starts the first process.
    fn when_ready(&self, master: &MasterProcess) {
        let _ = master;
    }

    /// In the master when it reloads: the new configuration has been read and checked, its sockets listen, and the workers of
    /// the new generation are about to be forked. `master` shows what is to be.
    fn on_reload(&self, master: &MasterProcess) {
        let _ = master;
    }

    /// In the master, whenever the number of HTTP workers that there shall be has changed: at the start, where it was `None`,
    /// by a reload, and by SIGTTIN, SIGTTOU and SIGWINCH.
    fn nworkers_changed(&self, master: &MasterProcess, new: u32, old: Option<u32>) {
        let _ = (master, new, old);
    }

    /// In the master, before it forks an HTTP worker, which has no pid yet.
    fn pre_fork(&self, worker: &HttpWorkerProcess) {
        let _ = worker;
    }

    /// In each new HTTP worker, right after the fork.
    fn post_fork(&self, worker: &HttpWorkerProcess) {
        let _ = worker;
    }

    /// In each HTTP worker once it has what it needs, before it says that it is ready and accepts connections; on the thread
    /// that first asks for the listeners or calls `ready`.
    fn post_worker_init(&self, worker: &HttpWorkerProcess) {
        let _ = worker;
    }

    /// In an HTTP worker that the master aborts because it has been silent for longer than `timeout`: SIGABRT has come, and
    /// ends the process after this. The thread that hangs may hold any lock, and after a second SIGKILL follows.
    fn worker_abort(&self, worker: &HttpWorkerProcess) {
        let _ = worker;
    }

    /// In an HTTP worker that ends, whatever it had come to; not in one that is killed.
    fn worker_exit(&self, worker: &HttpWorkerProcess) {
        let _ = worker;
    }

    /// In the master, for each HTTP worker that has ended and been reaped, however it ended.
    fn child_exit(&self, exit: &HttpWorkerExit) {
        let _ = exit;
    }

    /// In a child of the master, just before it becomes the new master of an upgrade by SIGUSR2.
    fn pre_exec(&self, master: &MasterProcess) {
        let _ = master;
    }

    /// In the master, at its end: everything else of the service is gone.
    fn on_exit(&self, master: &MasterProcess) {
        let _ = master;
    }

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

/// Nothing is done anywhere.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoHooks;

impl Hooks for NoHooks {}

impl fmt::Debug for dyn Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hooks")
    }
}
