//! The worker runtime over real sockets, with the test as its router.
#![allow(unreachable_pub, clippy::unwrap_used, reason = "a test program")]

mod app;
mod calls;
mod lanes;
mod lifecycle;
mod router;
mod streams;
