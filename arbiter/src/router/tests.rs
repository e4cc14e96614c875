//! A whole router, with everybody around it played by the test.

mod calls;
mod rig;
mod speed;
