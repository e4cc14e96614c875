//! The raw system calls of the workspace, each behind a safe function.
//!
//! This is the only module with `unsafe` in it. A function here makes one step safe and decides nothing; what the
//! steps are for is told where they are used.
#![allow(unsafe_code)]

pub(crate) mod descriptors;
pub(crate) mod dispositions;
pub(crate) mod environment;
pub(crate) mod fork;
pub(crate) mod inherited;
pub(crate) mod malloc;
pub(crate) mod pidfd;
pub(crate) mod socket;
pub(crate) mod title;
