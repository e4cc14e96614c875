//! Gunmetal runs the slow, heavy and dangerous work of a web service in supervised worker processes, and makes calling it
//! feel like calling a function. It speaks the protocol of gunicorn's dirty arbiters.
//!
//! ```text
//! master                 binds, forks, supervises; never touches a request
//!  ├─ http worker × N    your server, with a client in it
//!  └─ dirty arbiter      forks and watches the dirty workers
//!      ├─ router         takes the calls, queues them per app, passes payloads through undecoded
//!      └─ dirty worker   your apps, loaded once; `dirty_threads` calls at a time
//! ```
//!
//! A program registers its apps and says what its HTTP workers do; [`Server::run`] makes the processes.
//!
//! ```no_run
//! use axum::{Router, extract::Path, http::StatusCode, routing::get};
//! use gunmetal::dirty::prelude::*;
//! use gunmetal::{HttpWorker, Server, args};
//!
//! struct Greeter;
//!
//! #[dirty_app(workers = 2)]
//! impl Greeter {
//!     fn init(_: &InitContext) -> Result<Self> {
//!         Ok(Greeter) // once per worker: load the model here
//!     }
//!
//!     #[action]
//!     fn greet(&self, name: String, #[default = "Hello".into()] greeting: String) -> String {
//!         format!("{greeting}, {name}!")
//!     }
//! }
//!
//! async fn serve(worker: HttpWorker) -> anyhow::Result<()> {
//!     let client = worker.client()?;
//!     let greet = async move |Path(name): Path<String>| {
//!         let args = args![name; greeting = "Good day"];
//!         let reply = client.execute::<String>("hello:Greeter", "greet", args).await;
//!         reply.map_err(|error| (StatusCode::BAD_GATEWAY, error.to_string()))
//!     };
//!     Ok(worker.serve(Router::new().route("/{name}", get(greet))).await?)
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     Server::new().app::<Greeter>("hello:Greeter").http_async(serve).run()
//! }
//! ```
//!
//! # The life of a call
//!
//! [`client::Client::execute`] (or [`blocking::Client::execute`]) writes one frame to the dirty socket. The router reads
//! the app's path from it, waits for a free lane of a worker that has the app, and passes the rest on as it came. A thread
//! of that worker binds the arguments to the action ([`dirty::DirtyApp`]), runs it and writes the answer, which goes back
//! the same way.
//!
//! # Settings
//!
//! The command line of the program, `GUNMETAL_…` variables and a TOML file, all under gunicorn's names; see [`Settings`]
//! and `--help`. `--check-config` says whether they are in order, `--print-config` what they are and where each came from.
#![forbid(unsafe_code)]

mod companion;
mod http;
mod log_level;
mod logging;
mod preload;
mod program;
mod runtime;
mod server;
mod settings;
mod shutdown;
mod text_file;
pub mod tls;

pub use companion::Companion;
pub use gunmetal_arbiter::{
    BindAddress, DirtyArbiterStart, DirtyWorker, DirtyWorkerExit, ExitStatus, Hooks, HttpWorkerExit,
    HttpWorkerProcess, Listener, MasterProcess,
};
pub use gunmetal_protocol::{self as protocol, Args, Bytes, Dict, Value, args, value};
pub use http::{Connection, HttpWorker, Outcome, Peer};
pub use log_level::LogLevel;
pub use preload::preloaded;
pub use rustls;
pub use server::Server;
pub use settings::{AcceptMode, GroupName, LogFormat, Settings, UserName};

/// Dirty apps: the trait, the attributes, and what actions are given.
pub mod dirty {
    pub use gunmetal_dirty::*;
}

/// The stash: named tables that all processes of a service share, by way of [`client::Client::stash`] and
/// [`blocking::Client::stash`].
///
/// From inside an app, the client finds its arbiter in the environment:
///
/// ```
/// use gunmetal::blocking::{Client, Table};
/// use gunmetal::dirty::prelude::*;
///
/// struct Sessions {
///     table: Table,
/// }
///
/// #[dirty_app(stashes = ["sessions"])]
/// impl Sessions {
///     fn init(_: &InitContext) -> Result<Self> {
///         Ok(Sessions { table: Client::from_env()?.stash().table("sessions") })
///     }
///
///     #[action]
///     fn user_of(&self, session: String) -> Result<Option<String>> {
///         Ok(self.table.get(session)?)
///     }
/// }
/// ```
pub mod stash {
    pub use gunmetal_client_core::{StashError, StashKey, StashValue, TableInfo};
}

/// The async client.
pub mod client {
    pub use gunmetal_client::*;
}

/// The blocking client.
pub mod blocking {
    pub use gunmetal_client_blocking::*;
}

/// The README's example compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// So do those of the page about the stash.
#[cfg(doctest)]
#[doc = include_str!("../docs/stash.md")]
struct StashPage;

/// And that of the page about HTTP workers.
#[cfg(doctest)]
#[doc = include_str!("../docs/http.md")]
struct HttpPage;

/// And that of the page about companions.
#[cfg(doctest)]
#[doc = include_str!("../docs/companions.md")]
struct CompanionsPage;
