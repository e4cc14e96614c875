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
mod shutdown;
mod threads;
mod worker;

use std::time::Duration;

pub use connection::Connection;
pub use outcome::HttpOutcome;
pub use serve::Peer;
pub use worker::HttpWorker;

pub(crate) use outcome::chain;
pub(crate) use run::{Context, HttpClosure, blocking, on_runtime, run};

/// How long a connection without a request is kept when the worker drains, for a request that is on its way; and how long
/// one that was closed is read from, so that its last answer is not lost.
const LINGER: Duration = Duration::from_secs(2);

/// A client that takes longer for its TLS handshake would only occupy the connection.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
