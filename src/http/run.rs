//! Running a closure as an HTTP worker process.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use gunmetal_arbiter::{Hooks, HttpProcess};
use gunmetal_supervise::{APP_LOAD_FAILED, STARTUP_FAILED};

use super::{HttpWorker, Outcome, chain};
use crate::preload::{LoadError, Loaders};
use crate::{Settings, runtime};

/// What an HTTP worker does, the kind of its closure forgotten.
pub(crate) type HttpClosure = Box<dyn Fn(HttpWorker) -> Result<(), String>>;

/// A closure that blocks, on the process's main thread.
pub(crate) fn blocking<R: Outcome>(closure: impl Fn(HttpWorker) -> R + 'static) -> HttpClosure {
    Box::new(move |worker| closure(worker).into_result())
}

/// An async closure, on a tokio runtime that also beats the heart.
pub(crate) fn on_runtime<R: Outcome>(closure: impl AsyncFn(HttpWorker) -> R + 'static) -> HttpClosure {
    Box::new(move |worker| {
        let serving = async {
            if let Some(timeout) = worker.settings().timeout {
                tokio::spawn(beat(worker.clone(), timeout / 2));
            }
            closure(worker.clone()).await
        };
        runtime::block_on("http", serving)?.into_result()
    })
}

/// What HTTP workers of one configuration have in common.
pub(crate) struct Context {
    pub(crate) settings: Arc<Settings>,
    pub(crate) tls: Option<Arc<rustls::ServerConfig>>,
    pub(crate) hooks: Arc<dyn Hooks>,
    /// What each worker loads for itself, unless the master has.
    pub(crate) loaders: Arc<Loaders>,
}

/// Runs an HTTP worker process to its end; returns its exit code.
pub(crate) fn run(closure: &HttpClosure, process: HttpProcess, context: Context) -> i32 {
    let loaders = Arc::clone(&context.loaders);
    let worker = match HttpWorker::start(process, context) {
        Ok(worker) => worker,
        Err(error) => {
            tracing::error!(error = chain(&error), "HTTP worker cannot be set up");
            return STARTUP_FAILED;
        }
    };
    let code = match loaders.run() {
        Ok(()) => serve(closure, &worker),
        Err(words) => {
            worker.fail(&LoadError(words).to_string());
            APP_LOAD_FAILED
        }
    };
    worker.exits();
    code
}

fn serve(closure: &HttpClosure, worker: &HttpWorker) -> i32 {
    let result = catch_unwind(AssertUnwindSafe(|| closure(worker.clone())));
    let reason = match result {
        Ok(Ok(())) if worker.shutdown_requested() => return 0,
        Ok(Ok(())) => "the HTTP closure returned although nobody asked it to".to_owned(),
        Ok(Err(reason)) => reason,
        Err(panic) => format!("panicked: {}", panic_text(panic.as_ref())),
    };
    if worker.fail(&reason) {
        return STARTUP_FAILED;
    }
    tracing::error!(reason, "HTTP worker failed");
    1
}

/// Tokio's timers drive this: a runtime that is stuck as a whole beats no more.
async fn beat(worker: HttpWorker, every: Duration) {
    let mut ticks = tokio::time::interval(every);
    loop {
        ticks.tick().await;
        worker.beat();
    }
}

pub(super) fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}
