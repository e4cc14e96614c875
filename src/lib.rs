//! Gunmetal runs the slow, heavy and dangerous work of a web service in supervised worker processes.
#![forbid(unsafe_code)]

mod http;
mod log_level;
mod logging;
mod server;
mod settings;

pub use gunmetal_arbiter::{BindAddress, Listener};
pub use gunmetal_protocol::{self as protocol, Args, Bytes, Dict, Value, args, value};
pub use http::{Connection, HttpOutcome, HttpWorker};
pub use log_level::LogLevel;
pub use server::Server;
pub use settings::Settings;

/// Dirty apps: the trait, the attributes, and what actions are given.
pub mod dirty {
    pub use gunmetal_dirty::*;
}

/// The async client.
pub mod client {
    pub use gunmetal_client::*;
    pub use gunmetal_client_core::{CallError, ClientConfig};
}

/// The blocking client.
pub mod blocking {
    pub use gunmetal_client_blocking::*;
}
