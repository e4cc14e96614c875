//! Where the arbiter is and how long to wait for it.

use std::env;
use std::path::PathBuf;
use std::time::Duration;

/// The environment variable that names the dirty arbiter's socket; the arbiter exports it to its
/// HTTP workers and dirty workers.
pub const SOCKET_VARIABLE: &str = "GUNMETAL_DIRTY_SOCKET";

/// gunicorn's name for the same, looked at when [`SOCKET_VARIABLE`] is not set.
pub const GUNICORN_SOCKET_VARIABLE: &str = "GUNICORN_DIRTY_SOCKET";

/// Settings of a client, of either kind.
///
/// ```
/// use gunmetal_client_core::ClientConfig;
/// use std::time::Duration;
///
/// let config = ClientConfig::new("/run/dirty.sock")
///     .with_connect_timeout(Duration::from_millis(500))
///     .with_call_timeout(None);
/// assert_eq!(config.idle_timeout, Some(Duration::from_secs(30)));
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ClientConfig {
    /// The arbiter's socket.
    pub socket_path: PathBuf,
    /// How long connecting may take, the arbiter's first answer included (default 5 s). While an
    /// arbiter's router is being replaced, a connection waits in its accept queue.
    pub connect_timeout: Duration,
    /// How long a call may take unless it says otherwise, connecting and waiting for its turn
    /// included (default 30 s, as gunicorn's client); `None`: for ever. A stream has no such limit
    /// unless its call sets one: see [`idle_timeout`](ClientConfig::idle_timeout).
    pub call_timeout: Option<Duration>,
    /// How long a stream's reader waits for the next chunk, the first included (default 30 s);
    /// `None`: for ever.
    pub idle_timeout: Option<Duration>,
    /// Calls that the async client keeps in flight on its shared connection (default 1,024; what is
    /// outside 1..=[`MAX_OPEN_CALLS`](crate::MAX_OPEN_CALLS) is brought into it). Further calls
    /// wait, within their deadline, for one of these to end.
    pub max_in_flight: usize,
    /// Connections kept open for the next stream or blocking call (default 16). More are opened
    /// while they are needed.
    pub max_idle_connections: usize,
}

impl ClientConfig {
    /// Settings for the arbiter that listens at `socket_path`, everything else at its default.
    #[must_use]
    pub fn new(socket_path: impl Into<PathBuf>) -> ClientConfig {
        ClientConfig {
            socket_path: socket_path.into(),
            connect_timeout: Duration::from_secs(5),
            call_timeout: Some(Duration::from_secs(30)),
            idle_timeout: Some(Duration::from_secs(30)),
            max_in_flight: 1024,
            max_idle_connections: 16,
        }
    }

    /// Settings for the arbiter that the environment names: [`SOCKET_VARIABLE`], else
    /// [`GUNICORN_SOCKET_VARIABLE`]. Inside a worker of the service both are set.
    ///
    /// # Errors
    ///
    /// [`ConfigError::NoSocket`] if neither is set, or what is set is empty.
    pub fn from_env() -> Result<ClientConfig, ConfigError> {
        ClientConfig::from_variables(|name| env::var_os(name).map(PathBuf::from))
    }

    /// [`ClientConfig::from_env`] with the environment as an argument.
    fn from_variables(variable: impl Fn(&str) -> Option<PathBuf>) -> Result<ClientConfig, ConfigError> {
        [SOCKET_VARIABLE, GUNICORN_SOCKET_VARIABLE]
            .into_iter()
            .filter_map(variable)
            .find(|path| !path.as_os_str().is_empty())
            .map(ClientConfig::new)
            .ok_or(ConfigError::NoSocket)
    }

    /// Sets [`connect_timeout`](ClientConfig::connect_timeout).
    #[must_use]
    pub fn with_connect_timeout(mut self, timeout: Duration) -> ClientConfig {
        self.connect_timeout = timeout;
        self
    }

    /// Sets [`call_timeout`](ClientConfig::call_timeout).
    #[must_use]
    pub fn with_call_timeout(mut self, timeout: impl Into<Option<Duration>>) -> ClientConfig {
        self.call_timeout = timeout.into();
        self
    }

    /// Sets [`idle_timeout`](ClientConfig::idle_timeout).
    #[must_use]
    pub fn with_idle_timeout(mut self, timeout: impl Into<Option<Duration>>) -> ClientConfig {
        self.idle_timeout = timeout.into();
        self
    }

    /// Sets [`max_in_flight`](ClientConfig::max_in_flight).
    #[must_use]
    pub fn with_max_in_flight(mut self, count: usize) -> ClientConfig {
        self.max_in_flight = count;
        self
    }

    /// Sets [`max_idle_connections`](ClientConfig::max_idle_connections).
    #[must_use]
    pub fn with_max_idle_connections(mut self, count: usize) -> ClientConfig {
        self.max_idle_connections = count;
        self
    }
}

/// A client could not be configured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Nothing says where the arbiter is.
    #[error(
        "no dirty arbiter socket: give its path, or set {SOCKET_VARIABLE} (or {GUNICORN_SOCKET_VARIABLE}), \
         which is set inside the workers of a service that has dirty apps"
    )]
    NoSocket,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket_of(variables: &[(&str, &str)]) -> Result<PathBuf, ConfigError> {
        let lookup =
            |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, path)| PathBuf::from(path));
        ClientConfig::from_variables(lookup).map(|config| config.socket_path)
    }

    #[test]
    fn our_variable_wins_over_gunicorns() {
        let both = [(GUNICORN_SOCKET_VARIABLE, "/theirs"), (SOCKET_VARIABLE, "/ours")];
        assert_eq!(socket_of(&both), Ok(PathBuf::from("/ours")));
        assert_eq!(socket_of(&both[..1]), Ok(PathBuf::from("/theirs")));
        assert_eq!(socket_of(&[(SOCKET_VARIABLE, ""), both[0]]), Ok(PathBuf::from("/theirs")));
    }

    #[test]
    fn without_a_socket_the_error_names_both_variables() {
        let text = socket_of(&[]).unwrap_err().to_string();
        assert!(text.contains("GUNMETAL_DIRTY_SOCKET") && text.contains("GUNICORN_DIRTY_SOCKET"), "{text}");
    }
}
