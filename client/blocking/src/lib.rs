//! Blocking client of a dirty arbiter, without tokio: a call to a worker process that feels like a
//! call of a function.
//!
//! ```no_run
//! use gunmetal_client_blocking::{Client, args};
//!
//! # fn main() -> Result<(), gunmetal_client_blocking::CallError> {
//! // Inside a worker of the service, the environment says where the arbiter is.
//! let client = Client::from_env()?;
//!
//! let photo = std::fs::read("cat.jpg").unwrap();
//! let thumbnail: Vec<u8> = client.execute("images:ImageApp", "thumbnail", args![photo; size = 128])?;
//!
//! for token in client.stream::<String>("chat:Model", "answer", args!["why?"]) {
//!     print!("{}", token?);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # The path of a call
//!
//! ```text
//! execute ──▶ the connection used last, or a new one ──▶ dirty arbiter
//!    ◀────────────────────────────────────────────────────────┘
//! ```
//!
//! A call writes its request and reads its reply on the calling thread; a thread that calls again
//! finds its connection again. Limits are the kernel's socket timeouts. Large arguments are written
//! where they lie, large results arrive in memory that is used again for the next one.
//!
//! # The stash
//!
//! Tables that all processes of the service share: [`Client::stash`]. A [`Table`] is used like a map.
//!
//! # When things go wrong
//!
//! - A call that takes longer than its limit ends with [`CallError::Timeout`]; closing its
//!   connection cancels it. So does dropping a [`ReplyIter`] before its end.
//! - A connection that the arbiter closed while it was idle is replaced without the call noticing.
//! - When the arbiter goes away, a call in flight ends at once with [`CallError::Connection`]; the
//!   next call connects again. [`CallError::is_retry_safe`] tells whether a call may have run.
#![forbid(unsafe_code)]

mod call;
mod client;
mod connection;
mod entries;
mod reply_iter;
mod stash;
mod table;
mod timed_socket;

pub use bytes::Bytes;
pub use gunmetal_client_core::{
    CallError, ClientConfig, ConfigError, ConnectionStage, ManageReply, StashError, StashKey, StashValue,
    Status, TableInfo, WorkerStatus,
};
pub use gunmetal_protocol::{Args, ManageOp, Value, args, value};

pub use call::Call;
pub use client::Client;
pub use entries::{Entries, Keys};
pub use reply_iter::ReplyIter;
pub use stash::Stash;
pub use table::Table;
