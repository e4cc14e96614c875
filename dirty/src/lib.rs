//! Dirty apps: the code that a service runs in worker processes of its own, and the runtime of those processes.
//!
//! An app is a type whose value is made once per worker, loads what it needs, and answers calls for as long as the
//! worker lives. [`#[dirty_app]`](dirty_app) turns the methods marked `#[action]` into what clients can call:
//!
//! ```
//! use gunmetal_dirty::prelude::*;
//!
//! struct ImageApp {
//!     quality: u32,
//! }
//!
//! #[dirty_app(workers = 2, stashes = ["thumbnails"])]
//! impl ImageApp {
//!     fn init(ctx: &InitContext) -> Result<Self> {
//!         println!("{} loads its model", ctx.app_path());
//!         Ok(ImageApp { quality: 90 })
//!     }
//!
//!     #[action]
//!     fn thumbnail(&self, image: Bytes, #[default = 128] size: u32) -> Result<Bytes> {
//!         if image.is_empty() {
//!             Err("the image is empty")?; // any error will do
//!         }
//!         Ok(image.slice(..image.len().min(size as usize)))
//!     }
//!
//!     #[action]
//!     async fn caption(&self, image: Bytes) -> String {
//!         format!("{} bytes at quality {}", image.len(), self.quality)
//!     }
//!
//!     #[action]
//!     fn tiles(&self, image: Bytes, cancel: &CancelToken) -> impl Iterator<Item = Result<Bytes>> {
//!         (0..image.len()).take_while(|_| !cancel.is_cancelled()).map(move |at| Ok(image.slice(at..=at)))
//!     }
//!
//!     fn close(&mut self) {}
//! }
//! ```
//!
//! # Actions
//!
//! **Arguments** bind as in Python: by position, by name, from defaults. Any type that serde can deserialize will do.
//! [`Bytes`], [`Value`], `&str` and `&[u8]` share the request's memory instead of copying it ([`FromArgument`]).
//!
//! | parameter | given by the caller |
//! |---|---|
//! | `x: T` | by position or name, required; `Option<T>` too, whose `None` is Python's |
//! | `#[default = 128] x: T`, `#[default] x: T` | may be left out |
//! | `#[args] rest: Vec<T>` | positional arguments left over; parameters behind it are given by name only |
//! | `#[kwargs] rest: Dict` or `HashMap<String, T>` | keyword arguments left over |
//! | `cancel: &CancelToken`, `call: &Call<'_>` | not by the caller: recognised by the type |
//!
//! Whatever does not fit is a [`BindError`] that names the argument, in Python's words.
//!
//! **Results** are values or streams of values, each either plain or a `Result` whose error is any error at all
//! ([`ActionError`]):
//!
//! | return type | the client sees |
//! |---|---|
//! | `T: Serialize` | one value; `Bytes`, `Vec<u8>` and [`Value`] are moved, not copied, and bytes stay bytes |
//! | `impl Iterator<Item = T>`, `Box<dyn Iterator<…>>` | a stream; the next item is made when the last has been taken |
//! | `impl Stream<Item = T>` | the same, from asynchronous code |
//! | `async fn … -> ` any of these, `impl Future<Output = …>` | what the future yields |
//!
//! **Calls overlap** if a worker has several lanes (`dirty_threads`), hence `&self`: state lives in locks or atomics,
//! and the compiler insists. A panic is an error of its call; the worker and its state live on. `init`, `close` and
//! names with a leading underscore are never actions.
//!
//! **Cancellation**: when nobody waits any more, the call's [`CancelToken`] is set, an async action is dropped where
//! it awaits, an iterator or stream is dropped after the item in the making.
//!
//! # The path of a call
//!
//! ```text
//!            REQUEST                      Call              Signature::bind          Reply
//! router ───────────────▶ lane thread ──────────▶ DirtyApp::call ──────▶ your method ──────┐
//!    ▲                        │                                                            │
//!    └── RESPONSE, CHUNK* END ┴── one vectored write ◀── Segments (large bytes linked) ◀───┘
//! ```
//!
//! 1. [`worker::run`] is the main function of a worker process. Its lane threads read REQUEST frames from the router,
//!    each on a connection of its own; [`link`] has what the two say to each other beside calls.
//! 2. The payload is checked once and becomes a [`Call`]: views of the received bytes.
//! 3. The app at the call's path, made from its [`AppFactory`] in the [`AppRegistry`], matches the action and binds
//!    the arguments ([`Signature`]); the method runs on the lane's thread.
//! 4. Its [`Reply`] leaves in one vectored write; a stream's chunks one by one, and a reader that is slow makes only
//!    its own stream wait.
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
#[doc(no_inline)]
pub use bytes::Bytes;
pub use call::Call;
pub use cancel_token::{CancelToken, Cancelled};
/// Marks a method of a [`#[dirty_app]`](dirty_app) block as an action that clients can call.
///
/// `#[action(name = "type")]` gives it another name for clients. The parameters and return types that an action may
/// have are on the [crate's page](crate#actions).
///
/// What cannot be sent does not compile:
///
/// ```compile_fail
/// # use gunmetal_dirty::prelude::*;
/// struct App;
/// #[dirty_app]
/// impl App {
///     fn init() -> Self { App }
///     #[action]
///     fn start(&self) -> std::time::Instant { std::time::Instant::now() }
/// }
/// ```
pub use gunmetal_dirty_macros::action;
/// Implements [`DirtyApp`] for the type of an `impl` block whose methods are its `#[action]`s.
///
/// The block needs `fn init(ctx: &InitContext) -> Result<Self>` (or `fn init() -> Self`, or anything in between) and
/// may have `fn close(&mut self)`. Everything in it stays an ordinary method.
///
/// | option | |
/// |---|---|
/// | `workers = 2` | [`DirtyApp::WORKERS`] |
/// | `stashes = ["a", "b"]` | [`DirtyApp::STASHES`] |
/// | `crate = path` | where this crate is found, if not as `gunmetal_dirty` or `gunmetal::dirty` |
///
/// Actions share the app, so it has to be `Sync`:
///
/// ```compile_fail
/// # use gunmetal_dirty::prelude::*;
/// struct App { hits: std::cell::Cell<u64> }
/// #[dirty_app]
/// impl App {
///     fn init() -> Self { App { hits: 0.into() } }
/// }
/// ```
///
/// An action takes `&self`:
///
/// ```compile_fail
/// # use gunmetal_dirty::prelude::*;
/// struct App;
/// #[dirty_app]
/// impl App {
///     fn init() -> Self { App }
///     #[action]
///     fn grow(&mut self) {}
/// }
/// ```
pub use gunmetal_dirty_macros::dirty_app;
pub use gunmetal_protocol::Value;
pub use init_context::InitContext;
pub use registry::{AppFactory, AppRegistry, RegistryError};
pub use reply::{ChunkIter, ChunkStream, Reply, ReplyFuture};
pub use signature::{Bound, Param, RestKwargs, Signature};
