//! A service under full load from clients that know of each request what became of it, while an operator is at work: reloads,
//! workers more and fewer, workers that are killed, an upgrade to another build of the program. The service is the example `whoami`.
//!
//! How long each test loads: `LOAD_SECONDS`, by default 10. What it counted: `--nocapture`.

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod connection;
mod crowd;
mod failure;
#[path = "../support/mod.rs"]
mod support;
mod unrest;

use std::time::Duration;

use crowd::under_load;
use unrest::Restless;
use unrest::Step::{Fewer, Kill, More, Reload, Upgrade};

/// How long to go on.
fn duration() -> Duration {
    let seconds = std::env::var("LOAD_SECONDS").ok();
    Duration::from_secs_f64(seconds.map_or(10.0, |text| text.parse().expect("seconds")))
}

/// Ten times HUP, and twenty times each TTIN and TTOU.
#[test]
fn hup_ttin_and_ttou_fail_no_request() {
    let restless = Restless::start(&[]);
    let round = [Reload, More, Fewer, More, Fewer];
    let tally = under_load(restless.address, || {
        restless.goes_through(&round.repeat(10), duration());
    });
    tally.costs_only(&[]);
    restless.stops();
}

/// The same, and ten times KILL.
#[test]
fn what_fails_was_in_flight_on_a_worker_that_was_killed() {
    let restless = Restless::start(&[]);
    let round = [Reload, More, Fewer, Kill, More, Fewer];
    let mut killed = Vec::new();
    let tally = under_load(restless.address, || {
        killed = restless.goes_through(&round.repeat(10), duration());
    });
    assert_eq!(killed.len(), 10);
    tally.costs_only(&killed);
    restless.stops();
}

/// The same, and in the middle of it another build of the program takes over.
#[test]
fn what_fails_around_an_upgrade_was_in_flight_on_a_worker_that_was_killed() {
    let restless = Restless::start(&["--pid", "service.pid"]);
    let half = [Reload, More, Fewer, Kill, More, Fewer].repeat(5);
    let mut killed = Vec::new();
    let tally = under_load(restless.address, || {
        killed = restless.goes_through(&[&half[..], &[Upgrade], &half].concat(), duration());
    });
    assert_eq!(killed.len(), 10);
    tally.costs_only(&killed);
    restless.stops();
}
