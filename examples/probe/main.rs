//! The probe: one dirty app that does a little of everything, for clients, benches and fault scripts.
//!
//! ```text
//! cargo run --release --example probe -- --dirty-only --dirty-socket PATH --dirty-workers 3 --dirty-timeout 3
//! ```
//!
//! `app.rs` has the actions; the other paths registered here have the same ones under other limits.

mod app;
mod environment;

use std::process::ExitCode;

use app::{AttrLimitedApp, BenchApp, LimitedApp, StashDeclApp};
use gunmetal::Server;

fn main() -> ExitCode {
    Server::new()
        .app::<BenchApp>("bench_app:BenchApp")
        .app::<LimitedApp>("bench_app:LimitedApp")
        .app::<AttrLimitedApp>("bench_app:AttrLimitedApp")
        .app::<StashDeclApp>("bench_app:StashDeclApp")
        .run()
}
