//! The wish that a process finishes.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::watch;

/// The wish to finish, for every way of waiting: async, blocking, and with `poll(2)`.
#[derive(Debug)]
pub(crate) struct Shutdown {
    requested: watch::Sender<bool>,
    requested_blocking: Mutex<bool>,
    changed: Condvar,
    /// Readable, at its end, once the other half is dropped.
    readable: UnixStream,
    other_half: Mutex<Option<UnixStream>>,
}

impl Shutdown {
    pub(crate) fn new() -> io::Result<Self> {
        let (readable, other_half) = UnixStream::pair()?;
        Ok(Self {
            requested: watch::Sender::new(false),
            requested_blocking: Mutex::new(false),
            changed: Condvar::new(),
            readable,
            other_half: Mutex::new(Some(other_half)),
        })
    }

    pub(crate) fn request(&self) {
        self.requested.send_replace(true);
        *self.requested_blocking.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
        self.other_half.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    pub(crate) fn is_requested(&self) -> bool {
        *self.requested.borrow()
    }

    /// Ends once the wish is there.
    pub(crate) async fn wait_async(&self) {
        // The sender is `self`, so it cannot be gone.
        let _ = self.requested.subscribe().wait_for(|requested| *requested).await;
    }

    /// Blocks until the wish is there, or until `timeout` is over. Returns whether it is there.
    pub(crate) fn wait(&self, timeout: Duration) -> bool {
        let requested = self.requested_blocking.lock().unwrap_or_else(PoisonError::into_inner);
        let outcome = self.changed.wait_timeout_while(requested, timeout, |requested| !*requested);
        *outcome.unwrap_or_else(PoisonError::into_inner).0
    }

    /// A descriptor that becomes readable with the wish.
    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        self.readable.as_fd()
    }
}

/// Ends this process soon after `limit` is over, whatever it does then. The parent does the same, but a parent that was killed
/// cannot.
pub(crate) fn end_after(limit: Duration) {
    let end = Instant::now() + limit + AFTER_THE_PARENT;
    // Without a thread left there is still the parent.
    let _ = thread::Builder::new().name("deadline".into()).spawn(move || {
        thread::sleep(end.saturating_duration_since(Instant::now()));
        signal_hook::low_level::exit(1);
    });
}

/// The parent's SIGKILL at the same deadline is the one that is logged.
const AFTER_THE_PARENT: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn every_waiter_is_woken() {
        let shutdown = Arc::new(Shutdown::new().unwrap());
        assert!(!shutdown.is_requested());
        assert!(!shutdown.wait(Duration::ZERO));
        let waiters: Vec<_> = (0..3)
            .map(|_| {
                let shutdown = Arc::clone(&shutdown);
                thread::spawn(move || shutdown.wait(Duration::from_secs(60)))
            })
            .collect();
        shutdown.request();
        assert!(waiters.into_iter().all(|waiter| waiter.join().unwrap()));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(shutdown.wait_async());
    }
}
