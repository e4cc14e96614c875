//! The news that nobody waits for a call any more.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// Tells an action that nobody waits for its call any more: the client left, or the call timed out.
///
/// An action that takes a `&CancelToken` should look at it now and then and return; what it returns is dropped.
/// One that does not look costs its worker if it runs on past the grace period. Async actions need no token: their
/// future is dropped. Clones share one state, so a token can be handed to other threads.
///
/// ```
/// # use gunmetal_dirty::CancelToken;
/// fn sum(numbers: &[u64], cancel: &CancelToken) -> Option<u64> {
///     numbers.iter().try_fold(0, |sum, n| (!cancel.is_cancelled()).then_some(sum + n))
/// }
/// assert_eq!(sum(&[1, 2, 3], &CancelToken::new()), Some(6));
/// ```
#[derive(Clone, Debug, Default)]
pub struct CancelToken {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Set once, under the lock; read without it.
    cancelled: AtomicBool,
    /// Futures to wake.
    waiting: Mutex<Vec<Waker>>,
    /// Threads to wake.
    changed: Condvar,
}

impl CancelToken {
    /// A token that is not cancelled yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether the call is cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.shared.cancelled.load(Ordering::Acquire)
    }

    /// Cancels: wakes everyone who waits. A second time changes nothing.
    pub fn cancel(&self) {
        let wakers = {
            let mut waiting = self.lock();
            self.shared.cancelled.store(true, Ordering::Release);
            std::mem::take(&mut *waiting)
        };
        self.shared.changed.notify_all();
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Blocks until cancelled, at most for `timeout`; returns whether it is cancelled.
    ///
    /// A sleep that ends early when there is no reason to go on sleeping.
    #[must_use]
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        let condition = |_: &mut Vec<Waker>| !self.is_cancelled();
        let waited = self.shared.changed.wait_timeout_while(self.lock(), timeout, condition);
        drop(waited);
        self.is_cancelled()
    }

    /// Completes once cancelled.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost if the future is dropped.
    pub fn cancelled(&self) -> Cancelled<'_> {
        Cancelled { token: self }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Waker>> {
        // Wakers are whole at every moment, whoever panicked.
        self.shared.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The future of [`CancelToken::cancelled`].
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Cancelled<'a> {
    token: &'a CancelToken,
}

impl Future for Cancelled<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.token.is_cancelled() {
            return Poll::Ready(());
        }
        let mut waiting = self.token.lock();
        // Again, under the lock: `cancel` may have taken the wakers since.
        if self.token.is_cancelled() {
            return Poll::Ready(());
        }
        if !waiting.iter().any(|known| known.will_wake(cx.waker())) {
            waiting.push(cx.waker().clone());
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn cancelling_wakes_a_sleeping_thread() {
        let token = CancelToken::new();
        let sleeper = thread::spawn({
            let token = token.clone();
            move || token.wait_timeout(Duration::from_secs(60))
        });
        token.cancel();
        assert!(sleeper.join().unwrap(), "the sleeper saw the cancellation");
    }

    #[test]
    fn a_wait_that_times_out_says_not_cancelled() {
        assert!(!CancelToken::new().wait_timeout(Duration::ZERO));
    }

    #[test]
    fn cancelling_completes_the_future() {
        let token = CancelToken::new();
        let mut future = std::pin::pin!(token.cancelled());
        let mut cx = Context::from_waker(Waker::noop());
        assert_eq!(future.as_mut().poll(&mut cx), Poll::Pending);
        assert_eq!(token.lock().len(), 1);
        token.clone().cancel();
        assert_eq!(future.as_mut().poll(&mut cx), Poll::Ready(()));
        assert!(token.lock().is_empty(), "wakers are taken once");
    }
}
