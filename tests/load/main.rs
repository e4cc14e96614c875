//! Under load, HUP, TTIN and TTOU for a while, at any moment and on top of each other, lose no call and no stash entry; a
//! worker that is killed costs the calls that it had. The app is the probe (`examples/probe`).
//!
//! How long each test loads: `LOAD_SECONDS`, by default 20.

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod chaos;
mod churn;
mod gunicorn_clients;
mod our_clients;
#[path = "../support/mod.rs"]
mod support;
mod unrest;

use std::time::Duration;

/// How long to go on.
fn duration() -> Duration {
    let seconds = std::env::var("LOAD_SECONDS").ok();
    Duration::from_secs_f64(seconds.map_or(20.0, |text| text.parse().expect("seconds")))
}
