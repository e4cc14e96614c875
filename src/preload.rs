//! What a program loads once, for all that the service does.

use std::any::{Any, TypeId};
use std::sync::{Arc, Mutex, PoisonError};

use crate::http::HttpOutcome;

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
pub(crate) type Load = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// A loader of values of one type.
pub(crate) fn loader<T, E>(load: impl Fn() -> Result<T, E> + Send + Sync + 'static) -> Load
where
    T: Send + Sync + 'static,
    Result<(), E>: HttpOutcome,
{
    Arc::new(move || {
        match load() {
            Ok(value) => LOADED.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::new(value)),
            Err(error) => return Err::<(), E>(error).into_result(),
        }
        Ok(())
    })
}

/// Runs loaders in their order, up to the first that fails or panics.
pub(crate) fn run(loaders: &[Load]) -> Result<(), String> {
    for load in loaders {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| load()));
        outcome.unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<&str>().copied();
            let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
            Err(format!("panicked: {}", text.unwrap_or("no message")))
        })?;
    }
    Ok(())
}

/// The application could not be loaded.
#[derive(Debug, thiserror::Error)]
#[error("the application could not be loaded: {0}")]
pub(crate) struct LoadError(pub(crate) String);

static LOADED: Mutex<Vec<Arc<dyn Any + Send + Sync>>> = Mutex::new(Vec::new());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_found_by_its_type_and_a_failure_is_told_with_its_causes() {
        struct Table(u32);
        struct Missing;
        run(&[loader(|| Ok::<_, String>(Table(7)))]).unwrap();
        assert_eq!(preloaded::<Table>().unwrap().0, 7);
        assert!(preloaded::<Missing>().is_none());
        let failing = loader(|| Err::<Table, _>(std::io::Error::other("no table at /data")));
        assert_eq!(run(&[failing]), Err("no table at /data".to_owned()));
        let panicking = loader(|| -> Result<Table, String> { panic!("no {}", "licence") });
        assert_eq!(run(&[panicking]), Err("panicked: no licence".to_owned()));
        assert_eq!(LoadError("x".into()).to_string(), "the application could not be loaded: x");
    }
}
