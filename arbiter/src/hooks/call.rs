//! Running hooks, whatever they do.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use gunmetal_supervise::{Pid, SingleThread};

use super::DirtyArbiterStart;
use crate::{DirtyConfig, ServiceError, report};

/// Runs `on_dirty_starting`, in the process of the dirty arbiter that starts.
pub(crate) fn starting(config: &DirtyConfig, master_pid: Option<Pid>, socket: &Path) {
    let start = DirtyArbiterStart {
        pid: std::process::id(),
        master_pid: master_pid.map(|pid| pid.as_raw().unsigned_abs()),
        socket: socket.to_owned(),
        workers: config.workers,
        apps: config.allocation.apps().iter().map(|app| app.path.clone()).collect(),
    };
    in_parent("on_dirty_starting", || config.hooks.on_dirty_starting(&start));
}

/// Runs a hook in a process that forks: whatever it does wrong is logged under its name.
pub(crate) fn in_parent(name: &str, hook: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(hook)) {
        tracing::error!("{name} panicked: {}", panic_text(panic.as_ref()));
    }
    // The next fork says the same, but cannot say whose thread it is.
    if let Err(error) = SingleThread::check() {
        tracing::error!("{name} left a thread behind, no worker can be forked: {}", report::chain(&error));
    }
}

/// Runs a hook in a process that starts; a panic is why it does not.
pub(crate) fn in_child(name: &str, hook: impl FnOnce()) -> Result<(), String> {
    catch_unwind(AssertUnwindSafe(hook))
        .map_err(|panic| format!("{name} panicked: {}", panic_text(panic.as_ref())))
}

/// Runs a hook without which the service does not start: a panic is why.
pub(crate) fn may_refuse(name: &'static str, hook: impl FnOnce()) -> Result<(), ServiceError> {
    catch_unwind(AssertUnwindSafe(hook))
        .map_err(|panic| ServiceError::Hook { name, words: panic_text(panic.as_ref()).to_owned() })?;
    SingleThread::check().map(drop).map_err(|error| ServiceError::Hook {
        name,
        words: format!("it left a thread behind: {}", report::chain(&error)),
    })
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_in_a_child_is_told_with_its_words() {
        assert_eq!(in_child("dirty_post_fork", || {}), Ok(()));
        let told = in_child("dirty_post_fork", || panic!("no {}", "licence"));
        assert_eq!(told, Err("dirty_post_fork panicked: no licence".to_owned()));
    }
}
