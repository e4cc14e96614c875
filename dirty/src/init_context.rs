//! What an app may know when it is made.

use std::future::Future;

use tokio::runtime::Handle;

use crate::async_runtime::AsyncRuntime;

/// What an app may know about its worker when it is made.
#[derive(Debug, Clone)]
pub struct InitContext {
    app_path: String,
    slot: u32,
    generation: u64,
    runtime: AsyncRuntime,
}

impl InitContext {
    /// A context for an app of its own, as tests need it.
    #[must_use]
    pub fn new(app_path: impl Into<String>) -> Self {
        Self { app_path: app_path.into(), slot: 0, generation: 0, runtime: AsyncRuntime::default() }
    }

    pub(crate) fn for_worker(app_path: &str, slot: u32, generation: u64, runtime: &AsyncRuntime) -> Self {
        Self { app_path: app_path.to_owned(), slot, generation, runtime: runtime.clone() }
    }

    /// The path under which the app is served, such as `images:ImageApp`.
    #[must_use]
    pub fn app_path(&self) -> &str {
        &self.app_path
    }

    /// The worker's slot: 0, 1, 2 …, kept by its replacements.
    #[must_use]
    pub fn slot(&self) -> u32 {
        self.slot
    }

    /// How often the slot has been filled; grows with each replacement.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The worker's tokio runtime, on which async actions run as well; started by its first use.
    #[must_use]
    pub fn runtime(&self) -> Handle {
        self.runtime.handle()
    }

    /// Runs asynchronous work to its end on the worker's runtime.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime().block_on(future)
    }
}
