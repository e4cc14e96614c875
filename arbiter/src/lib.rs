//! The processes of a gunmetal service: master, dirty arbiter, router.
#![forbid(unsafe_code)]

mod allocation;
mod app_spec;
mod bind_address;
pub mod link;
mod listener;
mod router;

pub use allocation::{Allocation, AppLimit, Shortage};
pub use app_spec::{APP_SPEC_FORMS, AppSpec, AppSpecError, MAX_WORKERS};
pub use bind_address::{BIND_ADDRESS_FORMS, BindAddress, BindAddressError};
pub use listener::{BindError, Listener};
