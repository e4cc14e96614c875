//! The processes of a gunmetal service: who forks whom, who watches whom, and who passes the calls on.
//!
//! ```text
//! run_master ─ master              binds, forks, supervises: one thread, one poll loop
//!               ├─ http worker     the body given to run_master, in a process of its own
//!               ├─ dirty arbiter   the same kind of loop, or run_dirty_only without a master
//!               │   ├─ router      tokio; the only process that touches a call on its way
//!               │   └─ dirty worker   gunmetal_dirty::worker::run
//!               └─ companion manager   the same kind of loop around gunmetal_supervise::Companions
//!                   └─ companion   a function of the program, or another program
//! ```
//!
//! Who forks has one thread and no tokio; who has threads is a leaf. Each parent is a loop around one pool machine
//! ([`gunmetal_supervise::Pool`]) for each kind of child: `crew.rs` joins a pool with its processes, `master.rs` and
//! `dirty_arbiter.rs` have two crews each. What a parent and its router say to each other is in [`link`].
//!
//! # The life of a process
//!
//! 1. The pool asks for it. The parent makes what the two share (readiness pipe, heartbeat, socket) and forks.
//! 2. The child sheds everything that its role does not name, and says *ready*, or why not.
//! 3. From ready on it is in service: the router connects to a dirty worker, an HTTP worker accepts.
//! 4. It ends. The parent learns of it through a pidfd within a millisecond, and the pool decides what follows: at the
//!    first boot a failed start ends the service, later it is tried again; a crash is answered by a replacement in the
//!    same slot, with the same apps.
//!
//! # Where things are
//!
//! The dirty socket (`gunmetal-dirty-<pid>.sock`, mode 0600) and the run directory (`gunmetal-<pid>/`, mode 0700, with the
//! workers' sockets and records) lie in the temporary directory and go with the service. They are the master's, so that
//! they survive a dirty arbiter, like its workers: the next one adopts those, see `dirty_arbiter/adoption.rs`. A dirty
//! arbiter that survives its master removes them. The pid file
//! (`<dirty socket>.pid`) tells the next start what is left of a service that was killed, see `dirty_arbiter/predecessor.rs`.
#![forbid(unsafe_code)]

mod allocation;
mod app_spec;
mod bind_address;
mod companions;
mod config;
mod crew;
mod dirty_arbiter;
mod environment;
mod handed_over;
mod hooks;
mod http_listener;
mod http_listeners;
mod http_process;
pub mod link;
mod listener;
mod master;
mod memory_limit;
mod process_config;
mod report;
mod router;
mod service_error;

pub use allocation::{Allocation, AppLimit, Shortage};
pub use app_spec::{APP_SPEC_FORMS, AppSpec, AppSpecError, MAX_WORKERS};
pub use bind_address::{BIND_ADDRESS_FORMS, BindAddress, BindAddressError};
pub use companions::{
    CompanionBody, CompanionConfig, CompanionOutput, CompanionTarget, CompanionsConfig, RereadCompanions,
};
pub use config::{DirtyConfig, HttpBody, Load, MasterConfig};
pub use dirty_arbiter::run_dirty_only;
pub use gunmetal_supervise::{Account, ExitStatus};
pub use hooks::{
    DirtyArbiterStart, DirtyWorker, DirtyWorkerExit, Hooks, HttpWorkerExit, HttpWorkerProcess, MasterProcess,
    NoHooks,
};
pub use http_process::HttpProcess;
pub use listener::{BindError, Listener};
pub use master::{StartContext, run_master};
pub use process_config::ProcessConfig;
pub use service_error::ServiceError;
