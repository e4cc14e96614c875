//! Dirty apps and the worker runtime that serves them.
#![forbid(unsafe_code)]

// The macros write `::gunmetal_dirty`, which has to exist in our own tests too.
#[cfg(test)]
extern crate self as gunmetal_dirty;

#[doc(hidden)]
#[path = "private.rs"]
#[allow(missing_docs)]
pub mod __private;
mod action_error;
mod app;
mod argument;
mod async_runtime;
mod bind_error;
mod call;
mod cancel_token;
mod deserialize;
mod init_context;
pub mod link;
pub mod prelude;
mod registry;
mod reply;
mod signature;
pub mod worker;

pub use action_error::{ActionError, Result, UnknownAction};
pub use app::{DirtyApp, ErasedApp};
pub use argument::FromArgument;
pub use bind_error::BindError;
pub use call::Call;
pub use cancel_token::{CancelToken, Cancelled};
pub use gunmetal_dirty_macros::{action, dirty_app};
pub use gunmetal_protocol::Value;
pub use init_context::InitContext;
pub use registry::{AppFactory, AppRegistry, RegistryError};
pub use reply::{ChunkIter, ChunkStream, Reply, ReplyFuture};
pub use signature::{Bound, Param, RestKwargs, Signature};
