//! News from lanes: ready, answers, progress of large payloads, taken-back calls, the end.

use std::time::Instant;

use gunmetal_supervise::WorkerId;

use super::call::{Body, Caller};
use super::deadlines::{NEWS_GRACE, READER_STALL};
use super::lane::{ConnectionEnd, LaneId, LaneState, Phase, STALL};
use super::worker::WorkerState;
use super::{Action, Dispatcher};

/// What a frame on a lane is to its call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reply {
    /// All of the answer: RESPONSE, or ERROR without chunks before it.
    Whole,
    /// Part of a stream.
    Chunk,
    /// The end of a stream: END, or ERROR after chunks.
    End,
}

/// A worker answered a call that it was not expected to answer now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("worker {worker} answered call {found} of its lane, expected was {expected:?}")]
pub(crate) struct Violation {
    pub(crate) worker: WorkerId,
    pub(crate) found: u64,
    /// `None` if no call was running.
    pub(crate) expected: Option<u64>,
}

impl Dispatcher {
    /// A lane thread has taken up the connection.
    pub(crate) fn lane_ready(&mut self, id: LaneId, now: Instant) {
        if let Some(lane) = self.lane_mut(id)
            && lane.state == LaneState::Connecting
        {
            lane.state = LaneState::Open;
            lane.ready_by = None;
            lane.moved = now;
            self.unsettled = true;
        }
    }

    /// For whom the lane answers with this sequence number; `Ok(None)` if nobody waits any more.
    ///
    /// # Errors
    ///
    /// If the lane has no such call, or it is not the first one.
    pub(crate) fn caller(&self, id: LaneId, seq: u64) -> Result<Option<Caller>, Violation> {
        // A frame that was on its way when the lane was given up.
        let Some(lane) = self.lane(id) else { return Ok(None) };
        match lane.handed.front() {
            Some(first) if first.seq == seq && lane.phase != Phase::Uploading => Ok(first.call.caller),
            first => Err(Violation {
                worker: self.worker_id(lane.worker),
                found: seq,
                expected: first.map(|first| first.seq),
            }),
        }
    }

    /// The lane answers its first call, or continues to. To be asked of [`caller`](Dispatcher::caller) first.
    pub(crate) fn reply(&mut self, id: LaneId, seq: u64, reply: Reply, now: Instant) {
        let index = id.index as usize;
        let Some(lane) =
            self.lane_mut(id).filter(|lane| lane.handed.front().is_some_and(|first| first.seq == seq))
        else {
            return;
        };
        lane.moved = now;
        if reply == Reply::Chunk {
            if let Some((app, action)) = lane.streams() {
                self.apps[app].actions.streams(action);
                // Who waits behind a stream would wait for its end.
                self.revoke(index, now);
            }
            return;
        }
        let Some(first) = lane.pop() else { return };
        if reply == Reply::Whole {
            if lane.answered.is_empty() {
                self.answered.push(index);
            }
            let lane = self.lanes[index].as_mut().expect("the lane that was just found");
            lane.answered.push((first.call.app, first.call.action));
        } else {
            lane.since = now;
            self.apps[first.call.app].actions.streams(first.call.action);
        }
        self.first_has_left(index, now);
    }

    /// The lane is not read until its client has taken what it was sent: the time limit stops, but the client's patience
    /// with others does not.
    pub(crate) fn lane_paused(&mut self, id: LaneId, now: Instant) {
        if let Some(lane) = self.lane_mut(id)
            && lane.phase == Phase::Running
        {
            lane.phase = Phase::Paused;
            lane.moved = now;
            self.wake_no_later_than(now + READER_STALL);
        }
    }

    /// The lane is read again: the time limit starts anew.
    pub(crate) fn lane_resumed(&mut self, id: LaneId, now: Instant) {
        if let Some(lane) = self.lane_mut(id)
            && lane.phase == Phase::Paused
        {
            lane.phase = Phase::Running;
            lane.moved = now;
            self.unsettled = true;
            if let Some(limit) = self.limits.dirty_timeout {
                self.wake_no_later_than(now + limit);
            }
        }
    }

    /// More of a large payload has been passed on to the lane, or from it.
    pub(crate) fn moved(&mut self, id: LaneId, now: Instant) {
        if let Some(lane) = self.lane_mut(id) {
            lane.moved = now;
        }
    }

    /// All of a large payload has been passed on: the call runs.
    pub(crate) fn upload_done(&mut self, id: LaneId, now: Instant) {
        if let Some(lane) = self.lane_mut(id)
            && lane.phase == Phase::Uploading
        {
            lane.phase = Phase::Running;
            (lane.moved, lane.since) = (now, now);
            self.upload_count -= 1;
            if let Some(limit) = self.limits.dirty_timeout {
                self.wake_no_later_than(now + limit);
            }
        }
    }

    /// The worker gives calls back: those from `first` on will not run there. They return to the front of their queues,
    /// in order. It does so as the answer to [`Action::Revoke`], and unasked when somebody made
    /// it stop.
    pub(crate) fn revoked(&mut self, id: LaneId, first: u64, now: Instant) {
        let index = id.index as usize;
        let Some(lane) = self.lane_mut(id) else { return };
        let worker = lane.worker;
        match lane.state {
            LaneState::Revoking { .. } => lane.state = LaneState::Open,
            LaneState::Connecting | LaneState::Open => self.leaves_unasked(worker),
            LaneState::Ending { .. } => {}
        }
        self.requeue(index, |handed| handed.seq >= first);
        self.unsettled = true;
        self.give_up_if_unwanted(index, now);
        self.check_drained(worker);
    }

    /// The lane's connection is over, after `written` bytes of all the frames handed to it had left the router.
    pub(crate) fn lane_ended(&mut self, id: LaneId, written: u64, now: Instant) {
        let index = id.index as usize;
        if self.lane(id).is_none() {
            return;
        }
        // Who did not get all of a request can't have run it.
        self.requeue(index, |handed| handed.frame_end > written && matches!(handed.call.body, Body::Kept(_)));
        self.unsettled = true;
        let lane = self.lanes[index].as_mut().expect("the lane that was just found");
        let worker = self.workers[lane.worker].as_ref();
        let cause_known = worker.is_none_or(|worker| matches!(worker.state, WorkerState::Gone { .. }));
        if cause_known {
            self.resolve(index, now);
        } else {
            let until = now + NEWS_GRACE;
            lane.state = LaneState::Ending { until, end: ConnectionEnd::Seen };
            self.wake_no_later_than(until);
        }
    }

    /// The worker cannot be connected to; if it `has_ended`, its parent will see that, and how. Returns the worker if this is
    /// news.
    pub(crate) fn lane_refused(&mut self, id: LaneId, has_ended: bool) -> Option<WorkerId> {
        let index = self.lane(id)?.worker;
        if has_ended {
            self.leaves_unasked(index);
        }
        let worker = self.workers[index].as_mut()?;
        (!std::mem::replace(&mut worker.is_refusing, true)).then_some(worker.id)
    }

    /// After the first call of a lane was answered.
    fn first_has_left(&mut self, index: usize, now: Instant) {
        self.unsettled = true;
        let Some(lane) = &self.lanes[index] else { return };
        let (more, worker) = (lane.handed.len(), lane.worker);
        if let Some(worker) = &mut self.workers[worker] {
            worker.answered_count += 1;
            if worker.max_calls == Some(worker.answered_count) {
                let (worker, calls) = (worker.id, worker.answered_count);
                self.actions.push_back(Action::Served { worker, calls });
            }
        }
        if more > 1 {
            self.wake_no_later_than(now + STALL);
        }
        if more > 0
            && let Some(limit) = self.limits.dirty_timeout
        {
            self.wake_no_later_than(now + limit);
        }
        self.give_up_if_unwanted(index, now);
        self.check_drained(worker);
    }

    pub(super) fn worker_id(&self, worker: usize) -> WorkerId {
        self.workers[worker].as_ref().expect("a worker outlives its lanes").id
    }
}
