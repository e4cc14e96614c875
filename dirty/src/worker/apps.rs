//! The apps of a worker.

use std::collections::HashMap;

use tracing::{debug, error, info};

use super::{InitHook, panics};
use crate::app::ErasedApp;
use crate::async_runtime::AsyncRuntime;
use crate::init_context::InitContext;
use crate::registry::AppFactory;

/// The apps of a worker, by path.
pub(super) struct Apps {
    by_path: HashMap<String, Box<dyn ErasedApp>>,
    /// Paths in the order of making.
    order: Vec<String>,
}

impl Apps {
    /// Makes the apps in order; the first that fails ends it, and those already made are closed.
    pub(super) fn make(
        wanted: &[(String, AppFactory)],
        slot: u32,
        generation: u64,
        runtime: &AsyncRuntime,
    ) -> Result<Self, String> {
        let mut apps = Apps { by_path: HashMap::new(), order: Vec::new() };
        for (path, factory) in wanted {
            let ctx = InitContext::for_worker(path, slot, generation, runtime);
            let made = match panics::catch(|| factory.init(&ctx)) {
                Ok(Ok(app)) => Ok(app),
                Ok(Err(error)) => Err((error.to_string(), error.traceback())),
                Err(caught) => Err((format!("panicked: {}", caught.message), caught.traceback)),
            };
            match made {
                Ok(app) => {
                    debug!(app = %path, "app made");
                    apps.order.push(path.clone());
                    apps.by_path.insert(path.clone(), app);
                }
                Err((message, traceback)) => {
                    apps.close();
                    debug!(app = %path, traceback, "init failed");
                    return Err(format!("init of {path} failed: {message}"));
                }
            }
        }
        info!(slot, generation, apps = apps.order.len(), "apps made");
        Ok(apps)
    }

    /// Runs the hook that comes once all apps are made; if it fails, they are closed.
    pub(super) fn initialized(mut self, hook: Option<InitHook>) -> Result<Self, String> {
        match hook.map_or(Ok(()), |InitHook(hook)| panics::catch(hook)) {
            Ok(()) => Ok(self),
            Err(caught) => {
                self.close();
                debug!(traceback = caught.traceback, "dirty_worker_init failed");
                Err(format!("dirty_worker_init panicked: {}", caught.message))
            }
        }
    }

    /// The app at `path`.
    pub(super) fn get(&self, path: &str) -> Option<&dyn ErasedApp> {
        self.by_path.get(path).map(|app| &**app)
    }

    /// Closes the apps, last made first; a panic in one spares the others.
    pub(super) fn close(&mut self) {
        for path in self.order.drain(..).rev() {
            let Some(mut app) = self.by_path.remove(&path) else { continue };
            if let Err(caught) = panics::catch(move || app.close()) {
                error!(app = %path, panic = caught.message, "close panicked");
            }
        }
    }
}
