//! A whole router, with everybody around it played by the test.

mod calls;
mod faults;
mod frames;
mod questions;
mod rig;
mod stash;
