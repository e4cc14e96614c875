//! HTTP workers, from inside.

mod accept;
mod outcome;
mod run;
mod shutdown;
mod worker;

pub use accept::Connection;
pub use outcome::HttpOutcome;
pub use worker::HttpWorker;

pub(crate) use outcome::chain;
pub(crate) use run::{HttpClosure, blocking, on_runtime, run};
