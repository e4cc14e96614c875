//! A tokio runtime for an async function of the program.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use tokio::runtime::Builder;

use crate::http::chain;

/// Runs a future to its end on a multi-threaded runtime of its own, whose threads have this name. What still blocks a thread
/// of the pool then does not hold up the end, nor does it if the future panics.
///
/// # Errors
///
/// The runtime cannot be made.
pub(crate) fn block_on<T>(thread_name: &str, future: impl Future<Output = T>) -> Result<T, String> {
    let runtime = Builder::new_multi_thread()
        .enable_all()
        .thread_name(thread_name)
        .build()
        .map_err(|error| format!("tokio runtime: {}", chain(&error)))?;
    let outcome = catch_unwind(AssertUnwindSafe(|| runtime.block_on(future)));
    runtime.shutdown_background();
    outcome.map_or_else(|panic| resume_unwind(panic), Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_goes_through_and_does_not_wait_for_what_blocks() {
        let (release, blocked) = std::sync::mpsc::channel::<()>();
        let panic = catch_unwind(AssertUnwindSafe(|| {
            block_on("test", async {
                tokio::task::spawn_blocking(move || blocked.recv());
                panic!("no licence");
            })
        }));
        assert_eq!(panic.unwrap_err().downcast_ref(), Some(&"no licence"));
        drop(release);
    }
}
