//! Panics in actions, with all that can be known about them.

use std::any::Any;
use std::backtrace::Backtrace;
use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::Once;

/// A panic that was caught.
#[derive(Debug)]
pub(super) struct Caught {
    /// What the panic said.
    pub(super) message: String,
    /// Where it was, and the frames that led there.
    pub(super) traceback: String,
}

/// Runs `work`; a panic in it becomes an error.
pub(super) fn catch<T>(work: impl FnOnce() -> T) -> Result<T, Caught> {
    install_hook();
    let outer = CATCHING.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(work));
    CATCHING.set(outer);
    result.map_err(|payload| {
        LAST.take().unwrap_or_else(|| Caught { message: text_of(&*payload), traceback: String::new() })
    })
}

/// Once per process: panics outside `catch` are reported as before.
fn install_hook() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if CATCHING.get() {
                LAST.set(Some(describe(info)));
            } else {
                previous(info);
            }
        }));
    });
}

fn describe(info: &PanicHookInfo<'_>) -> Caught {
    let message = text_of(info.payload());
    let place = info.location().map(|location| format!(" at {location}")).unwrap_or_default();
    let backtrace = Backtrace::force_capture();
    Caught { traceback: format!("panicked{place}:\n{message}\nstack backtrace:\n{backtrace}"), message }
}

fn text_of(payload: &(dyn Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&str>() {
        return (*text).to_owned();
    }
    payload
        .downcast_ref::<String>()
        .cloned()
        .unwrap_or_else(|| "panic with a payload that is no text".to_owned())
}

thread_local! {
    /// Whether this thread's panics are ours to describe.
    static CATCHING: Cell<bool> = const { Cell::new(false) };
    /// The panic that unwinds.
    static LAST: RefCell<Option<Caught>> = const { RefCell::new(None) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_caught_with_message_and_place() {
        let caught = catch(|| panic!("{} times", 3)).unwrap_err();
        assert_eq!(caught.message, "3 times");
        assert!(caught.traceback.contains("panics.rs"), "{}", caught.traceback);
        assert!(caught.traceback.contains("stack backtrace"), "{}", caught.traceback);
    }

    #[test]
    fn a_panic_with_another_payload_is_caught_too() {
        let caught = catch(|| panic::panic_any(7)).unwrap_err();
        assert_eq!(caught.message, "panic with a payload that is no text");
    }
}
