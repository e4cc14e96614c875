//! How connections learn that their clients have kept them waiting for too long.

use std::convert::Infallible;
use std::fmt;
use std::future::pending;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use slab::Slab;
use tokio::sync::Notify;
use tokio::time::sleep;

use super::ticks::{Limit, Ticks};
use super::traffic::Traffic;

/// Looks through the connections of a worker, a few times within the limit, and wakes those that have waited for a request
/// too long.
pub(super) struct Keepalive {
    limit: Option<Limit>,
    ticks: Arc<Ticks>,
    open: Mutex<Slab<(Waker, Arc<Traffic>)>>,
    /// Notified when a connection comes and there was none.
    has_come: Notify,
}

impl Keepalive {
    /// `None` is no limit.
    pub(super) fn new(limit: Option<Duration>) -> Self {
        Self {
            limit: limit.map(Limit::of),
            ticks: Arc::default(),
            open: Mutex::default(),
            has_come: Notify::new(),
        }
    }

    /// Keeps the time. Sleeps while there is no connection.
    ///
    /// # Cancel safety
    /// Dropping it stops the time.
    pub(super) async fn sweep(&self) -> Infallible {
        let Some(limit) = self.limit else { return pending().await };
        loop {
            if self.is_empty() {
                self.has_come.notified().await;
            }
            sleep(limit.tick()).await;
            self.tick(limit);
        }
    }

    fn tick(&self, limit: Limit) {
        let now = self.ticks.advance();
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let overdue = open.iter().filter(|(_, (_, traffic))| is_overdue(traffic, limit, now));
        overdue.for_each(|(_, (waker, _))| waker.wake_by_ref());
    }

    fn is_empty(&self) -> bool {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }
}

impl fmt::Debug for Keepalive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keepalive").field("limit", &self.limit).finish_non_exhaustive()
    }
}

/// One connection's wait for its next request.
pub(super) struct KeepaliveWatch {
    keepalive: Arc<Keepalive>,
    traffic: Arc<Traffic>,
    /// Where this task's waker is kept, and a copy of it.
    registered: Option<(usize, Waker)>,
}

impl KeepaliveWatch {
    /// For a connection that waits from now on.
    pub(super) fn new(keepalive: Arc<Keepalive>) -> Self {
        let traffic = Arc::new(Traffic::new(Arc::clone(&keepalive.ticks)));
        Self { keepalive, traffic, registered: None }
    }

    /// The traffic that is watched.
    pub(super) fn traffic(&self) -> &Arc<Traffic> {
        &self.traffic
    }

    /// Ready once the connection has waited for too long. To be asked when all that has come has been read.
    pub(super) fn poll_overdue(&mut self, cx: &Context<'_>) -> Poll<()> {
        let Some(limit) = self.keepalive.limit else { return Poll::Pending };
        if is_overdue(&self.traffic, limit, self.keepalive.ticks.now()) {
            return Poll::Ready(());
        }
        if self.registered.as_ref().is_some_and(|(_, waker)| waker.will_wake(cx.waker())) {
            return Poll::Pending;
        }
        self.forget();
        let waker = cx.waker().clone();
        let mut open = self.keepalive.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.is_empty() {
            self.keepalive.has_come.notify_one();
        }
        let key = open.insert((waker.clone(), Arc::clone(&self.traffic)));
        drop(open);
        self.registered = Some((key, waker));
        Poll::Pending
    }

    fn forget(&mut self) {
        if let Some((key, _)) = self.registered.take() {
            self.keepalive.open.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
        }
    }
}

impl Drop for KeepaliveWatch {
    fn drop(&mut self) {
        self.forget();
    }
}

fn is_overdue(traffic: &Traffic, limit: Limit, now: u32) -> bool {
    traffic.waits_since().is_some_and(|since| limit.is_over(since, now))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::task::Wake;

    use super::*;

    /// Ticks that are more than any limit.
    const MANY: u32 = 100;

    #[derive(Default)]
    struct Count(AtomicU32);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn keepalive(limit: Option<Duration>) -> Arc<Keepalive> {
        Arc::new(Keepalive::new(limit))
    }

    fn tick(keepalive: &Keepalive, count: u32) {
        (0..count).for_each(|_| keepalive.tick(keepalive.limit.unwrap()));
    }

    #[test]
    fn who_waits_too_long_is_woken_and_who_answers_is_not() {
        let keepalive = keepalive(Some(Duration::from_secs(1)));
        let (idle_woken, busy_woken) = (Arc::new(Count::default()), Arc::new(Count::default()));
        let mut idle = KeepaliveWatch::new(Arc::clone(&keepalive));
        let mut busy = KeepaliveWatch::new(Arc::clone(&keepalive));
        let (idle_waker, busy_waker) = (Arc::clone(&idle_woken).into(), Arc::clone(&busy_woken).into());
        let (for_idle, for_busy) = (Context::from_waker(&idle_waker), Context::from_waker(&busy_waker));
        assert!(idle.poll_overdue(&for_idle).is_pending() && busy.poll_overdue(&for_busy).is_pending());
        let answering = busy.traffic().begin_answer();
        tick(&keepalive, 1);
        assert!(idle.poll_overdue(&for_idle).is_pending());
        tick(&keepalive, MANY);
        assert!(idle.poll_overdue(&for_idle).is_ready() && busy.poll_overdue(&for_busy).is_pending());
        assert!(idle_woken.0.load(Ordering::Relaxed) > 0);
        assert_eq!(busy_woken.0.load(Ordering::Relaxed), 0);
        // The time begins with the end of the answer.
        drop(answering);
        assert!(busy.poll_overdue(&for_busy).is_pending());
        tick(&keepalive, MANY);
        assert!(busy.poll_overdue(&for_busy).is_ready());
    }

    #[test]
    fn without_a_limit_nobody_is_watched() {
        let keepalive = keepalive(None);
        let mut watch = KeepaliveWatch::new(Arc::clone(&keepalive));
        (0..MANY).for_each(|_| _ = keepalive.ticks.advance());
        assert!(watch.poll_overdue(&Context::from_waker(Waker::noop())).is_pending());
        assert!(keepalive.is_empty());
    }

    #[test]
    fn a_watch_leaves_nothing_behind() {
        let keepalive = keepalive(Some(Duration::from_secs(1)));
        let mut watch = KeepaliveWatch::new(Arc::clone(&keepalive));
        for _ in 0..2 {
            assert!(watch.poll_overdue(&Context::from_waker(Waker::noop())).is_pending());
        }
        assert_eq!(keepalive.open.lock().unwrap().len(), 1);
        drop(watch);
        assert!(keepalive.is_empty());
    }
}
