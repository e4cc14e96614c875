//! HTTP workers, from inside.

mod accept;
mod complaint;
mod connection;
mod fair;
mod line;
mod outcome;
mod places;
mod run;
mod serve;
mod share;
mod signals;
mod threads;
mod worker;

use std::time::Duration;

pub use connection::Connection;
pub use outcome::Outcome;
pub use serve::Peer;
pub use worker::HttpWorker;

pub(crate) use outcome::chain;
pub(crate) use run::{Context, HttpClosure, blocking, on_runtime, run};

/// A client that takes longer for its TLS handshake would only occupy the connection.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
