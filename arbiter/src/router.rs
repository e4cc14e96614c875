//! The router.
#![allow(dead_code)]

mod dispatcher;
mod failure;
