//! Gunmetal.
#![forbid(unsafe_code)]

mod log_level;
mod settings;

pub use log_level::LogLevel;
pub use settings::Settings;
