//! Async client of a dirty arbiter, on tokio.
