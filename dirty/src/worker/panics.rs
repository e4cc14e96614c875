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
    // Left there by a panic that the work caught itself.
    LAST.set(None);
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
    let backtrace = Backtrace::force_capture().to_string();
    let frames = of_the_app(&backtrace);
    Caught { traceback: format!("panicked{place}:\n{message}\nstack backtrace:\n{frames}"), message }
}

/// The frames between the panic's machinery and the worker's; all of them where symbols are missing.
fn of_the_app(backtrace: &str) -> &str {
    let line_end = |at: usize| backtrace[at..].find('\n').map_or(backtrace.len(), |len| at + len + 1);
    let line_start = |at: usize| backtrace[..at].rfind('\n').map_or(0, |before| before + 1);
    // The last thing that a panic runs before our hook, and the line with its place.
    let begin = ["rust_begin_unwind", "rust_panic_with_hook"].iter().find_map(|name| backtrace.rfind(name));
    let begin = begin.map_or(0, |at| line_end(line_end(at)));
    let end = backtrace[begin..]
        .find("gunmetal_dirty::worker::")
        .map_or(backtrace.len(), |at| line_start(begin + at));
    &backtrace[begin..end]
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
    fn a_traceback_begins_with_the_app_and_ends_with_it() {
        let text = "   0: gunmetal_dirty::worker::panics::describe\n             at panics.rs\n   \
                    1: __rustc::rust_begin_unwind\n             at panicking.rs\n   \
                    2: core::panicking::panic_fmt\n             at panicking.rs\n   \
                    3: images::ImageApp::thumbnail\n             at images.rs\n   \
                    4: gunmetal_dirty::worker::serve::answer\n             at serve.rs\n";
        assert_eq!(
            of_the_app(text),
            "   2: core::panicking::panic_fmt\n             at panicking.rs\n   \
             3: images::ImageApp::thumbnail\n             at images.rs\n"
        );
        assert_eq!(of_the_app("   0: <unknown>\n"), "   0: <unknown>\n");
    }

    #[test]
    fn a_panic_with_another_payload_is_caught_too() {
        let caught = catch(|| panic::panic_any(7)).unwrap_err();
        assert_eq!(caught.message, "panic with a payload that is no text");
    }
}
