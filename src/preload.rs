//! What a program loads once, for all that the service does.

use std::any::{Any, TypeId};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::http::Outcome;

/// The value that [`Server::preload`](crate::Server::preload) has loaded, in any process of the service: `None` in a process
/// that has not loaded any of this type.
///
/// With the setting `preload_app` all processes share the memory of one.
pub fn preloaded<T: Send + Sync + 'static>() -> Option<Arc<T>> {
    let loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    let value = loaded.iter().find(|value| value.as_ref().type_id() == TypeId::of::<T>())?;
    Arc::clone(value).downcast().ok()
}

/// Loads something and keeps it; the text says why it could not.
type Load = Box<dyn Fn() -> Result<(), String> + Send + Sync>;

/// All that a program preloads.
#[derive(Default)]
pub(crate) struct Loaders {
    loads: Vec<Load>,
    /// Whether this process, or one that it was forked from, has run them.
    have_run: AtomicBool,
}

impl Loaders {
    /// Adds a loader of values of one type.
    pub(crate) fn add<T, E>(&mut self, load: impl Fn() -> Result<T, E> + Send + Sync + 'static)
    where
        T: Send + Sync + 'static,
        Result<(), E>: Outcome,
    {
        self.loads.push(Box::new(move || {
            match load() {
                Ok(value) => LOADED.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::new(value)),
                Err(error) => return Err::<(), E>(error).into_result(),
            }
            Ok(())
        }));
    }

    /// Runs the loaders in their order, up to the first that fails or panics; nothing if that was done before the fork: what
    /// the parent has loaded is there.
    pub(crate) fn run(&self) -> Result<(), String> {
        if self.have_run.load(Ordering::Acquire) {
            return Ok(());
        }
        for load in &self.loads {
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(load));
            outcome.unwrap_or_else(|panic| {
                let text = panic.downcast_ref::<&str>().copied();
                let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
                Err(format!("panicked: {}", text.unwrap_or("no message")))
            })?;
        }
        self.have_run.store(true, Ordering::Release);
        Ok(())
    }
}

/// The application could not be loaded.
#[derive(Debug, thiserror::Error)]
#[error("the application could not be loaded: {0}")]
pub(crate) struct LoadError(pub(crate) String);

static LOADED: Mutex<Vec<Arc<dyn Any + Send + Sync>>> = Mutex::new(Vec::new());

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;

    #[test]
    fn a_value_is_found_by_its_type_and_a_failure_is_told_with_its_causes() {
        struct Table(u32);
        struct Missing;
        of(|| Ok::<_, String>(Table(7))).run().unwrap();
        assert_eq!(preloaded::<Table>().unwrap().0, 7);
        assert!(preloaded::<Missing>().is_none());
        let failing = of(|| Err::<Table, _>(std::io::Error::other("no table at /data")));
        assert_eq!(failing.run(), Err("no table at /data".to_owned()));
        let panicking = of(|| -> Result<Table, String> { panic!("no {}", "licence") });
        assert_eq!(panicking.run(), Err("panicked: no licence".to_owned()));
        assert_eq!(LoadError("x".into()).to_string(), "the application could not be loaded: x");
    }

    #[test]
    fn what_has_been_loaded_is_not_loaded_again_and_what_has_failed_is_tried_again() {
        let count = Arc::new(AtomicU32::new(0));
        let counting = Arc::clone(&count);
        let loaders = of(move || match counting.fetch_add(1, Ordering::Relaxed) {
            0 => Err("not there yet".to_owned()),
            run => Ok(run),
        });
        assert_eq!(
            [loaders.run().is_ok(), loaders.run().is_ok(), loaders.run().is_ok()],
            [false, true, true]
        );
        assert_eq!(count.load(Ordering::Relaxed), 2);
    }

    fn of<T, E>(load: impl Fn() -> Result<T, E> + Send + Sync + 'static) -> Loaders
    where
        T: Send + Sync + 'static,
        Result<(), E>: Outcome,
    {
        let mut loaders = Loaders::default();
        loaders.add(load);
        loaders
    }
}
