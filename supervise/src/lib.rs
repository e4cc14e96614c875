//! Process supervision.
#![deny(unsafe_code)]

mod child_setup;
mod close_on_exec;
mod environment;
mod exit_status;
mod fork;
mod heartbeat;
mod memory;
mod orphans;
mod poller;
mod pool;
mod readiness;
mod restart_policy;
mod run_dir;
mod signals;
mod sys;
mod threads;
mod title;
mod unix_socket;
mod worker_id;

pub use child_setup::{BecomeChildError, ChildSetup, Parent};
pub use close_on_exec::{OnExec, set_on_exec};
pub use environment::{remove_env, set_env};
pub use exit_status::ExitStatus;
pub use fork::{Child, Fork, ForkError, Newborn, fork, spawn_child};
pub use heartbeat::Heartbeat;
pub use memory::keep_large_buffers;
pub use nix::sys::signal::Signal;
pub use nix::unistd::Pid;
pub use orphans::reap_orphans;
pub use poller::Poller;
pub use pool::{
    APP_LOAD_FAILED, Action, Departure, Event, Pool, PoolConfig, STARTUP_FAILED, StartupFailure, StopMode,
    WorkerState,
};
pub use readiness::{Readiness, ReadyReader, ReadyWriter, readiness_pipe};
pub use restart_policy::{Failure, Jitter, RestartHistory, RestartPolicy};
pub use run_dir::{RunDir, RunDirError};
pub use signals::Signals;
pub use threads::{SingleThread, ThreadsError};
pub use title::set_title;
pub use unix_socket::{BACKLOG, BindError, bind_unix, set_send_buffer_len};
pub use worker_id::WorkerId;
