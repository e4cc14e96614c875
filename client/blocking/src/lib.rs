//! Blocking client of a dirty arbiter, without tokio.
