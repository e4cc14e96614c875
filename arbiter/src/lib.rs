//! The processes of a gunmetal service: master, dirty arbiter, router.
#![forbid(unsafe_code)]

mod allocation;
mod app_spec;
mod bind_address;
mod config;
mod crew;
mod dirty_arbiter;
mod environment;
mod http_process;
pub mod link;
mod listener;
mod master;
mod report;
mod router;
mod service_error;

pub use allocation::{Allocation, AppLimit, Shortage};
pub use app_spec::{APP_SPEC_FORMS, AppSpec, AppSpecError, MAX_WORKERS};
pub use bind_address::{BIND_ADDRESS_FORMS, BindAddress, BindAddressError};
pub use config::{DirtyConfig, MasterConfig};
pub use dirty_arbiter::run_dirty_only;
pub use http_process::HttpProcess;
pub use listener::{BindError, Listener};
pub use master::run_master;
pub use service_error::ServiceError;
