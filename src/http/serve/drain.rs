//! How connections learn that the worker is to shut down.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use slab::Slab;

/// Tells every connection of a worker that it is to end.
///
/// While nothing is to end, a connection that looks pays for one atomic load: tokio's channels take a lock that all
/// connections share, each time one is polled.
#[derive(Default)]
pub(super) struct Drain {
    begun: AtomicBool,
    waiting: Mutex<Slab<Waker>>,
}

impl Drain {
    pub(super) fn begin(&self) {
        self.begun.store(true, Ordering::Release);
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.iter().for_each(|(_, waker)| waker.wake_by_ref());
    }

    pub(super) fn has_begun(&self) -> bool {
        self.begun.load(Ordering::Acquire)
    }
}

impl fmt::Debug for Drain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drain").field("begun", &self.begun).finish_non_exhaustive()
    }
}

/// One task's wait for the drain.
pub(super) struct DrainWatch {
    drain: Arc<Drain>,
    /// Where the drain has this task's waker, and a copy of it.
    registered: Option<(usize, Waker)>,
}

impl DrainWatch {
    pub(super) fn new(drain: Arc<Drain>) -> Self {
        Self { drain, registered: None }
    }

    /// Ready once the drain has begun.
    pub(super) fn poll_begun(&mut self, cx: &Context<'_>) -> Poll<()> {
        if self.drain.has_begun() {
            return Poll::Ready(());
        }
        if self.registered.as_ref().is_some_and(|(_, waker)| waker.will_wake(cx.waker())) {
            return Poll::Pending;
        }
        self.forget();
        let waker = cx.waker().clone();
        let key = self.drain.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(waker.clone());
        self.registered = Some((key, waker));
        // The drain may have begun, and woken everybody else, just before the lock was ours.
        if self.drain.has_begun() { Poll::Ready(()) } else { Poll::Pending }
    }

    fn forget(&mut self) {
        if let Some((key, _)) = self.registered.take() {
            self.drain.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
        }
    }
}

impl Drop for DrainWatch {
    fn drop(&mut self) {
        self.forget();
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;
    use crate::http::places::block_on;

    #[test]
    fn who_waits_is_woken_and_who_comes_late_does_not_wait() {
        let drain = Arc::new(Drain::default());
        let waiting: Vec<_> = (0..3)
            .map(|_| {
                let mut watch = DrainWatch::new(Arc::clone(&drain));
                std::thread::spawn(move || block_on(poll_fn(|cx| watch.poll_begun(cx))))
            })
            .collect();
        drain.begin();
        waiting.into_iter().for_each(|waiter| waiter.join().unwrap());
        let mut late = DrainWatch::new(Arc::clone(&drain));
        block_on(poll_fn(|cx| late.poll_begun(cx)));
    }

    #[test]
    fn a_watch_leaves_nothing_behind() {
        let drain = Arc::new(Drain::default());
        let mut watch = DrainWatch::new(Arc::clone(&drain));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(watch.poll_begun(&cx).is_pending());
        assert!(watch.poll_begun(&cx).is_pending());
        assert_eq!(drain.waiting.lock().unwrap().len(), 1);
        cx = Context::from_waker(Waker::noop());
        assert!(watch.poll_begun(&cx).is_pending());
        drop(watch);
        assert_eq!(drain.waiting.lock().unwrap().len(), 0);
    }
}
