//! Lane connections that wait for a thread.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::lane::Lane;

/// Lane connections that wait for a thread. As many as the router opens: it opens one per thread, plus one for each
/// lane it closed while an action would not end.
#[derive(Debug, Default)]
pub(super) struct LaneQueue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Arc<Lane>>,
    is_closed: bool,
}

impl LaneQueue {
    /// Adds a lane; a closed queue drops it.
    pub(super) fn push(&self, lane: Arc<Lane>) {
        let mut state = self.lock();
        if !state.is_closed {
            state.waiting.push_back(lane);
            self.changed.notify_one();
        }
    }

    /// Waits for the next lane that nobody has hung up; `None` once closed.
    pub(super) fn pop(&self) -> Option<Arc<Lane>> {
        let mut state = self.lock();
        loop {
            if state.is_closed {
                return None;
            }
            match state.waiting.pop_front() {
                Some(lane) if lane.gate().is_hung_up() => {}
                Some(lane) => return Some(lane),
                None => state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    /// Hands out no more lanes.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        state.waiting.clear();
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
