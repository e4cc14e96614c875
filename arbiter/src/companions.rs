//! Companions: the processes beside the web tier, and the manager that starts, watches and controls them.
//!
//! ```text
//! master ─ companion manager     one thread, one poll loop around gunmetal_supervise::Companions
//!           ├─ scheduler         a function of the program, forked: it shares what the master has preloaded
//!           └─ socketio          a command, executed
//! ```

mod book;
mod config;
mod control;
mod launch;
mod log;
mod manager;
mod process;
mod status;

pub use config::{
    CompanionBody, CompanionConfig, CompanionOutput, CompanionTarget, CompanionsConfig, RereadCompanions,
};
pub(crate) use manager::Task;
pub(crate) use process::spawn;
