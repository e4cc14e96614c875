//! What gunmetal's two clients share: the messages they send, what the replies mean, the calls in
//! flight, errors and settings. No I/O, no clock, no tokio.
//!
//! ```text
//!  Outgoing ──encode──▶ bytes ──▶ (a driver's socket) ──▶ dirty arbiter
//!  CallTable::open        id in the frame's header             │
//!                                                              ▼
//!  CallTable::poll ◀── CallTable::answer ◀── frame; then Outgoing::read_reply
//! ```
//!
//! A call is opened in the [`CallTable`] before its bytes are sent, so neither a fast reply nor a
//! caller that gave up can miss it. The driver of the connection (`gunmetal-client` on tokio) hands
//! each frame that arrives to [`CallTable::answer`], ticks [`CallTable::expire`] at
//! [`CallTable::next_deadline`], and calls [`CallTable::end`] when the connection is over: every call
//! in flight gets an answer. A driver that makes one call at a time (`gunmetal-client-blocking`, a
//! stream) needs no table and goes from [`Outgoing::encode`] to [`Outgoing::read_reply`] directly.
//!
//! Everything that can go wrong with a call is a [`CallError`].
//!
//! The stash takes the same way: a [`StashMessage`] is one more kind of [`Outgoing`], and a [`TableScan`]
//! says what to ask next while a table is read part by part.
//!
//! ```
//! use gunmetal_client_core::ClientConfig;
//! use std::time::Duration;
//!
//! let config = ClientConfig::new("/run/dirty.sock").with_call_timeout(Duration::from_secs(5));
//! assert_eq!(config.socket_path.to_str(), Some("/run/dirty.sock"));
//! ```
#![forbid(unsafe_code)]

mod call_table;
mod config;
mod connection_end;
mod error;
mod outgoing;
mod pending_call;
mod reply;
mod stash;
mod status;

pub use call_table::{CallId, CallTable, MAX_OPEN_CALLS};
pub use config::{ClientConfig, ConfigError, GUNICORN_SOCKET_VARIABLE, SOCKET_VARIABLE};
pub use connection_end::ConnectionEnd;
pub use error::{CallError, ConnectionStage};
pub use outgoing::Outgoing;
pub use pending_call::PendingCall;
pub use reply::{Reply, ReplyError};
pub use stash::{
    ScanSupport, ScanWindow, StashError, StashKey, StashMessage, StashValue, TableInfo, TableScan,
};
pub use status::{ManageReply, Status, WorkerStatus};
