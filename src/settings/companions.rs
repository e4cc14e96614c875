//! What the service is told of its companions: keys of a TOML file that are neither flags nor variables.
//!
//! ```text
//! keys       which keys there are, what each may be, what it is without a value
//! terms      what is said of all companions, and again of one: the same keys, one over the other
//! worker     a table of companion_workers, as a companion
//! between    what companions may not be to each other
//! ```

mod between;
mod keys;
mod printed;
mod read;
mod terms;
mod value;
mod worker;

use std::path::PathBuf;
use std::time::Duration;

use gunmetal_arbiter::CompanionConfig;

use super::layer::Given;
use super::origin::Origin;
use super::{required, value as given};

pub(super) use keys::is_name;
pub(super) use read::{Files, Place, read};

use terms::Terms;
use value::Mode;

/// The companions of a service, checked.
#[derive(Clone, Debug)]
pub(crate) struct Companions {
    /// In the order of the configuration.
    pub(crate) companions: Vec<CompanionConfig>,
    /// Where the manager listens, absolute.
    pub(crate) control_socket: PathBuf,
    pub(crate) manager: Manager,
    /// Where each companion was written.
    origins: Vec<Origin>,
    /// What was said of all of them.
    shared: Terms,
    /// Whether there is a list of companions, be it an empty one: without it every function of the program is one.
    is_listed: bool,
}

/// What the manager itself is told, beside its socket. It takes this over at its start only.
#[derive(Clone, Debug, Default)]
pub(crate) struct Manager {
    control_socket_mode: Option<Given<Mode>>,
    shutdown_buffer: Option<Given<Duration>>,
    stop_timeout: Option<Given<Duration>>,
}

impl Manager {
    /// The mode of the control socket.
    pub(crate) fn control_socket_mode(&self) -> u32 {
        required(self.control_socket_mode.clone()).0
    }

    /// Time beyond the longest of the companions after which a manager that stops leaves what is left.
    pub(crate) fn shutdown_buffer(&self) -> Duration {
        required(self.shutdown_buffer.clone())
    }

    /// Time for all companions to end when the manager stops; `None` is what each is given by itself.
    pub(crate) fn stop_timeout(&self) -> Option<Duration> {
        given(self.stop_timeout.clone())
    }

    /// The names of keys that differ in `other`.
    pub(crate) fn changed(&self, other: &Self) -> Vec<&'static str> {
        [
            ("companion_control_socket_mode", self.control_socket_mode() != other.control_socket_mode()),
            ("companion_manager_shutdown_buffer", self.shutdown_buffer() != other.shutdown_buffer()),
            ("companion_manager_stop_timeout", self.stop_timeout() != other.stop_timeout()),
        ]
        .into_iter()
        .filter_map(|(name, has_changed)| has_changed.then_some(name))
        .collect()
    }
}

#[cfg(test)]
mod tests;
