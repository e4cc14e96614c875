//! Frames and values of the dirty arbiter protocol.
