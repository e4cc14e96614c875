//! HTTP workers, from inside.

mod accept;
mod complaint;
mod outcome;
mod places;
mod run;
mod serve;
mod share;
mod shutdown;
mod worker;

pub use accept::Connection;
pub use outcome::HttpOutcome;
pub use serve::Peer;
pub use worker::HttpWorker;

pub(crate) use outcome::chain;
pub(crate) use run::{Context, HttpClosure, blocking, on_runtime, run};
