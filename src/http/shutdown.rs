//! How an HTTP worker learns that it is to finish.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, Signal};
use signal_hook::consts::{SIGABRT, SIGINT, SIGQUIT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;
use tokio::sync::watch;

use crate::logging;

/// The wish to finish, for every way of waiting: async, blocking, and with `poll(2)`.
#[derive(Debug)]
pub(super) struct Shutdown {
    requested: watch::Sender<bool>,
    requested_blocking: Mutex<bool>,
    changed: Condvar,
    /// Readable, at its end, once the other half is dropped.
    readable: UnixStream,
    other_half: Mutex<Option<UnixStream>>,
}

impl Shutdown {
    pub(super) fn new() -> io::Result<Self> {
        let (readable, other_half) = UnixStream::pair()?;
        Ok(Self {
            requested: watch::Sender::new(false),
            requested_blocking: Mutex::new(false),
            changed: Condvar::new(),
            readable,
            other_half: Mutex::new(Some(other_half)),
        })
    }

    pub(super) fn request(&self) {
        self.requested.send_replace(true);
        *self.requested_blocking.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
        self.other_half.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    pub(super) fn is_requested(&self) -> bool {
        *self.requested.borrow()
    }

    /// Ends once the wish is there.
    pub(super) async fn wait_async(&self) {
        // The sender is `self`, so it cannot be gone.
        let _ = self.requested.subscribe().wait_for(|requested| *requested).await;
    }

    /// Blocks until the wish is there, or until `timeout` is over. Returns whether it is there.
    pub(super) fn wait(&self, timeout: Duration) -> bool {
        let requested = self.requested_blocking.lock().unwrap_or_else(PoisonError::into_inner);
        let outcome = self.changed.wait_timeout_while(requested, timeout, |requested| !*requested);
        *outcome.unwrap_or_else(PoisonError::into_inner).0
    }

    /// A descriptor that becomes readable with the wish.
    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.readable.as_fd()
    }
}

/// What a signal means to a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// SIGTERM: accept no more, finish what runs.
    Finish,
    /// SIGINT and SIGQUIT: the process ends once this has been obeyed.
    Leave,
    /// SIGABRT from the master, to a worker that hangs: the process ends once this has been obeyed.
    Abort,
}

/// Listens for the signals of a worker, on a thread of its own, and has `obey` act on them. A worker that is still there when
/// `graceful_timeout` is over after a SIGTERM is ended. SIGUSR1 opens the log file anew.
///
/// Handlers, not a signalfd: a server that also asks tokio for SIGTERM must still get it.
pub(super) fn listen(graceful_timeout: Duration, obey: impl Fn(Order) + Send + 'static) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGQUIT, SIGABRT, SIGUSR1])?;
    // The master has it blocked up to here.
    SigSet::from(Signal::SIGUSR1).thread_unblock()?;
    thread::Builder::new().name("signals".into()).spawn(move || {
        let mut is_finishing = false;
        for signal in signals.forever() {
            match signal {
                SIGUSR1 => logging::reopen(),
                SIGTERM if is_finishing => {}
                SIGTERM => {
                    is_finishing = true;
                    obey(Order::Finish);
                    // The master does the same, but a master that was killed cannot.
                    let end = Instant::now() + graceful_timeout + AFTER_THE_MASTER;
                    let _ = thread::Builder::new().name("deadline".into()).spawn(move || {
                        thread::sleep(end.saturating_duration_since(Instant::now()));
                        signal_hook::low_level::exit(1);
                    });
                }
                SIGABRT => {
                    obey(Order::Abort);
                    // The end that the master expects, core dump included.
                    let _ = signal_hook::low_level::emulate_default_handler(SIGABRT);
                }
                _ => {
                    obey(Order::Leave);
                    signal_hook::low_level::exit(0);
                }
            }
        }
    })?;
    Ok(())
}

/// The master's SIGKILL at the same deadline is the one that is logged.
const AFTER_THE_MASTER: Duration = Duration::from_millis(500);

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
