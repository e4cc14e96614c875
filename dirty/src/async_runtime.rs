//! The tokio runtime of a worker.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};

/// A worker's tokio runtime, started by its first use: after the fork, and never if nothing is asynchronous.
///
/// One thread of its own drives timers, I/O and spawned tasks. Actions themselves are polled on their lane's thread.
#[derive(Debug, Clone, Default)]
pub(crate) struct AsyncRuntime {
    runtime: Arc<OnceLock<Runtime>>,
}

impl AsyncRuntime {
    /// The runtime, started if it was not.
    ///
    /// # Panics
    ///
    /// If the system refuses a thread or a descriptor: nothing asynchronous can run then.
    pub(crate) fn handle(&self) -> Handle {
        self.runtime.get_or_init(start).handle().clone()
    }

    /// Ends what still runs, waiting at most for `timeout`.
    pub(crate) fn stop(self, timeout: Duration) {
        // A handle kept by an app holds no `Arc` of ours; only a forgotten `InitContext` does.
        if let Some(runtime) = Arc::into_inner(self.runtime).and_then(OnceLock::into_inner) {
            runtime.shutdown_timeout(timeout);
        }
    }
}

fn start() -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("dirty-async")
        .enable_all()
        .build()
        .expect("a runtime needs one thread and an epoll descriptor")
}
