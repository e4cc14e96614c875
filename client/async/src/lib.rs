//! Async client of a dirty arbiter, on tokio: a call to a worker process that feels like a call of
//! an async function.
//!
//! ```no_run
//! use futures_util::StreamExt;
//! use gunmetal_client::{Client, args};
//!
//! # async fn f() -> Result<(), gunmetal_client::CallError> {
//! // Inside a worker of the service, the environment says where the arbiter is.
//! let client = Client::from_env()?;
//!
//! let photo = std::fs::read("cat.jpg").unwrap();
//! let thumbnail: Vec<u8> = client.execute("images:ImageApp", "thumbnail", args![photo; size = 128]).await?;
//!
//! let mut tokens = client.stream::<String>("chat:Model", "answer", args!["why?"]);
//! while let Some(token) = tokens.next().await {
//!     print!("{}", token?);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # The path of a call
//!
//! ```text
//! execute ──▶ call table, outbox ──▶ socket ──▶ dirty arbiter      (one connection, many calls)
//!    ▲              the driver ◀────── socket ◀──────┘
//!    └── woken with its frame
//!
//! stream  ──▶ a connection of its own ──▶ dirty arbiter            (from a pool)
//! ```
//!
//! [`Client::execute`] puts its request into the outbox of a connection that all calls share. If the
//! connection is quiet the caller writes it at once, with one system call; while other calls are in
//! flight the connection's task writes for all who have something to say. The reply is matched by
//! its request id and wakes its caller, who decodes it.
//!
//! [`Client::stream`] takes a connection of its own, so that a slow reader holds up nobody else.
//!
//! Towards an arbiter that takes one call at a time on a connection, gunicorn's own, every call does
//! so. Which kind it is, the arbiter says in its answer to a first STATUS request.
//!
//! # The stash
//!
//! Tables that all processes of the service share: [`Client::stash`]. A [`Table`] is used like a map.
//! Operations go the way of calls.
//!
//! # When things go wrong
//!
//! - A dropped future or stream cancels its call; a reply that still comes is ignored.
//! - A call that takes longer than its limit ends with [`CallError::Timeout`], and is cancelled.
//! - When the arbiter goes away, all calls in flight end at once with [`CallError::Connection`]; the
//!   next call connects again. A call whose request had not begun to leave is made again by itself.
//! - [`CallError::is_retry_safe`] tells whether a call may have run.
#![forbid(unsafe_code)]

mod call;
mod client;
mod connect;
mod connections;
mod driver;
mod entries;
mod exclusive;
mod pool;
mod receive;
mod send;
mod shared;
mod socket;
mod stash;
mod stream;
mod table;

pub use bytes::Bytes;
pub use gunmetal_client_core::{
    CallError, ClientConfig, ConfigError, ConnectionStage, ManageReply, StashError, StashKey, StashValue,
    Status, TableInfo, WorkerStatus,
};
pub use gunmetal_protocol::{Args, ManageOp, Value, args, value};

pub use call::Call;
pub use client::Client;
pub use entries::{Entries, Keys};
pub use stash::Stash;
pub use stream::ReplyStream;
pub use table::Table;
