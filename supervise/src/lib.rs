//! Process supervision.
