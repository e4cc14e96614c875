//! Process supervision.
#![deny(unsafe_code)]

mod exit_status;
mod pool;
mod restart_policy;
mod worker_id;

pub use exit_status::ExitStatus;
pub use nix::sys::signal::Signal;
pub use nix::unistd::Pid;
pub use pool::{
    APP_LOAD_FAILED, Action, Departure, Event, Pool, PoolConfig, STARTUP_FAILED, StartupFailure, StopMode, WorkerState,
};
pub use restart_policy::{Failure, Jitter, RestartHistory, RestartPolicy};
pub use worker_id::WorkerId;
