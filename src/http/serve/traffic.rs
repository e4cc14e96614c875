//! What a connection is busy with, for the question whether it may be closed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::ticks::Ticks;

/// The traffic of one connection.
#[derive(Debug)]
pub(super) struct Traffic {
    ticks: Arc<Ticks>,
    /// The tick in which the client's turn began: at the start, and when an answer was complete.
    waits_since: AtomicU32,
    /// Requests whose answers are not complete.
    answering: AtomicU32,
    /// Whether the client has to read before more can be written.
    is_blocked: AtomicBool,
    /// Whether a stream of it has become a WebSocket.
    has_tunnel: AtomicBool,
    /// Whether anything has been read since somebody looked.
    received: AtomicBool,
    /// Whether an answer has become complete since somebody looked.
    answered: AtomicBool,
}

impl Traffic {
    /// Of a connection whose client is to begin.
    pub(super) fn new(ticks: Arc<Ticks>) -> Self {
        Self {
            waits_since: AtomicU32::new(ticks.now()),
            ticks,
            answering: AtomicU32::new(0),
            is_blocked: AtomicBool::new(false),
            has_tunnel: AtomicBool::new(false),
            received: AtomicBool::new(false),
            answered: AtomicBool::new(false),
        }
    }

    /// Notes that something has been read.
    pub(super) fn receive(&self) {
        self.received.store(true, Ordering::Relaxed);
    }

    /// Notes that a request has come, until all that its answer consists of has dropped what this returns.
    pub(super) fn begin_answer(self: &Arc<Self>) -> Answering {
        self.answering.fetch_add(1, Ordering::Relaxed);
        Answering(Arc::clone(self))
    }

    /// Notes whether what was to be written waits for the client. That the client reads slowly is not its turn.
    pub(super) fn set_blocked(&self, is_blocked: bool) {
        if self.is_blocked.load(Ordering::Relaxed) != is_blocked {
            self.waits_since.store(self.ticks.now(), Ordering::Relaxed);
            self.is_blocked.store(is_blocked, Ordering::Relaxed);
        }
    }

    /// The tick since which the connection waits for the head of a request; `None` if it is busy.
    pub(super) fn waits_since(&self) -> Option<u32> {
        (!self.is_busy()).then(|| self.waits_since.load(Ordering::Relaxed))
    }

    /// Begins a time of which [`was_idle`](Self::was_idle) and [`was_unasked`](Self::was_unasked) tell.
    pub(super) fn watch(&self) {
        self.received.store(false, Ordering::Relaxed);
        self.answered.store(false, Ordering::Relaxed);
    }

    /// Whether nothing has been read since [`watch`](Self::watch), and no answer is under way.
    pub(super) fn was_idle(&self) -> bool {
        !self.received.load(Ordering::Relaxed) && !self.is_busy()
    }

    /// Whether no answer was under way since [`watch`](Self::watch), whatever may have been read.
    pub(super) fn was_unasked(&self) -> bool {
        !self.is_busy() && !self.answered.load(Ordering::Relaxed)
    }

    fn is_busy(&self) -> bool {
        // With this the end of the last answer is seen together with its time.
        self.answering.load(Ordering::Acquire) != 0
            || self.is_blocked.load(Ordering::Relaxed)
            || self.has_tunnel.load(Ordering::Relaxed)
    }
}

/// A request whose answer is not complete, or a part of that answer.
#[derive(Debug)]
pub(super) struct Answering(Arc<Traffic>);

impl Answering {
    /// Notes that the stream, one of HTTP/2, goes on after its answer. Nobody sees when it ends: the connection counts as busy
    /// from now on.
    pub(super) fn becomes_tunnel(&self) {
        self.0.has_tunnel.store(true, Ordering::Relaxed);
    }
}

impl Clone for Answering {
    fn clone(&self) -> Self {
        self.0.begin_answer()
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        let traffic = &self.0;
        traffic.waits_since.store(traffic.ticks.now(), Ordering::Relaxed);
        traffic.answered.store(true, Ordering::Relaxed);
        traffic.answering.fetch_sub(1, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn traffic() -> (Arc<Ticks>, Arc<Traffic>) {
        let ticks = Arc::new(Ticks::default());
        let traffic = Arc::new(Traffic::new(Arc::clone(&ticks)));
        (ticks, traffic)
    }

    #[test]
    fn a_connection_is_idle_when_nothing_comes_and_nothing_is_answered() {
        let (_, traffic) = traffic();
        assert!(traffic.was_idle() && traffic.was_unasked());
        traffic.receive();
        assert!(!traffic.was_idle() && traffic.was_unasked());
        traffic.watch();
        let answer = traffic.begin_answer();
        let rest = answer.clone();
        drop(answer);
        assert!(!traffic.was_idle() && !traffic.was_unasked());
        drop(rest);
        assert!(traffic.was_idle() && !traffic.was_unasked());
        traffic.watch();
        assert!(traffic.was_unasked());
    }

    #[test]
    fn the_wait_begins_at_the_start_and_after_each_answer_and_a_byte_does_not_change_it() {
        let (ticks, traffic) = traffic();
        assert_eq!(traffic.waits_since(), Some(0));
        ticks.advance();
        traffic.receive();
        assert_eq!(traffic.waits_since(), Some(0));
        let (first, second) = (traffic.begin_answer(), traffic.begin_answer());
        drop(first);
        assert_eq!(traffic.waits_since(), None);
        ticks.advance();
        drop(second);
        assert_eq!(traffic.waits_since(), Some(2));
    }

    #[test]
    fn who_reads_slowly_has_the_whole_time_once_everything_is_written() {
        let (ticks, traffic) = traffic();
        traffic.set_blocked(true);
        ticks.advance();
        assert_eq!(traffic.waits_since(), None);
        traffic.set_blocked(false);
        assert_eq!(traffic.waits_since(), Some(1));
        ticks.advance();
        traffic.set_blocked(false);
        assert_eq!(traffic.waits_since(), Some(1));
    }

    #[test]
    fn a_connection_with_a_tunnel_is_busy_after_the_answer_too() {
        let (_, traffic) = traffic();
        let answer = traffic.begin_answer();
        answer.becomes_tunnel();
        drop(answer);
        assert!(!traffic.was_idle());
        assert_eq!(traffic.waits_since(), None);
    }
}
