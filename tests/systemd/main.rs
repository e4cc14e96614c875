//! What a service tells systemd, and what it takes from it. The supervisor here is a socket that is as strict as systemd
//! (`NotifyAccess=main`); the services are real, most of them `examples/systemd`, whose workers can be held before they are ready.

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod activation;
mod greeter;
mod notices;
mod supervisor;
#[path = "../support/mod.rs"]
mod support;
mod trouble;
mod units;
mod upgrade;
mod watchdog;
