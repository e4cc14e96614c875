//! Companions that are functions of the program, from inside.

mod functions;
mod signals;

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use gunmetal_client::Client;
use gunmetal_client_core::ConfigError;

use crate::http::chain;
use crate::shutdown::Shutdown;

pub(crate) use functions::{CompanionClosure, FunctionError, Functions, blocking, on_runtime};
pub(crate) use signals::StopTerms;

/// One companion process, seen from inside: its name, its clients, and the wish that it ends.
///
/// Until the function first asks for that wish, with [`shutdown_requested`](Self::shutdown_requested),
/// [`wait_for_shutdown`](Self::wait_for_shutdown) or [`shutdown`](Self::shutdown), signals have the effects that they have in any
/// process: SIGTERM ends it at once. From then on SIGTERM, SIGINT, SIGQUIT and the configured stop signal are the wish and
/// nothing else, and the function has the companion's `stop_timeout` or `reload_timeout`, whichever is longer, to return. The
/// manager's SIGKILL may come before.
///
/// Clones mean the same companion.
#[derive(Clone)]
pub struct Companion {
    shared: Arc<Shared>,
}

struct Shared {
    name: String,
    terms: StopTerms,
    /// Made when the function first asks; `None` if the system did not let it.
    shutdown: OnceLock<Option<Arc<Shutdown>>>,
}

impl Companion {
    pub(crate) fn new(name: &str, terms: StopTerms) -> Self {
        Self { shared: Arc::new(Shared { name: name.to_owned(), terms, shutdown: OnceLock::new() }) }
    }

    /// What it is called in the configuration, in commands and by `ps`.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// Whether the companion is to end. Begins to listen for signals.
    pub fn shutdown_requested(&self) -> bool {
        self.wish().is_some_and(|shutdown| shutdown.is_requested())
    }

    /// Blocks until the companion is to end, at most for `timeout`. Returns whether it is. Begins to listen for signals.
    pub fn wait_for_shutdown(&self, timeout: Duration) -> bool {
        if let Some(shutdown) = self.wish() {
            return shutdown.wait(timeout);
        }
        thread::sleep(timeout);
        false
    }

    /// Ends when the companion is to end. Begins to listen for signals at once, not only when it is polled; may be called any
    /// number of times.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub fn shutdown(&self) -> impl Future<Output = ()> + Send + 'static {
        let wish = self.wish().cloned();
        async move {
            match wish {
                Some(shutdown) => shutdown.wait_async().await,
                None => std::future::pending().await,
            }
        }
    }

    /// A new async client of the service's dirty arbiter. Clones of a client share its connections, a second one does
    /// not: make one and clone it.
    ///
    /// # Errors
    ///
    /// The service has no dirty arbiter.
    pub fn client(&self) -> Result<Client, ConfigError> {
        Client::from_env()
    }

    /// A new blocking client of the service's dirty arbiter. Clones share their connections, as with
    /// [`client`](Self::client).
    ///
    /// # Errors
    ///
    /// The service has no dirty arbiter.
    pub fn blocking_client(&self) -> Result<gunmetal_client_blocking::Client, ConfigError> {
        gunmetal_client_blocking::Client::from_env()
    }

    /// The wish to end, for which this process listens from the first call on. Where it cannot, signals keep their effects.
    fn wish(&self) -> Option<&Arc<Shutdown>> {
        let listen = || match signals::listen(self.shared.terms) {
            Ok(shutdown) => Some(shutdown),
            Err(error) => {
                let companion = self.name();
                tracing::error!(companion, error = chain(&error), "no signal can be listened for");
                None
            }
        };
        self.shared.shutdown.get_or_init(listen).as_ref()
    }
}

impl fmt::Debug for Companion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Companion").field("name", &self.shared.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
