//! What happens when nothing happens: time limits, stalls, grace periods.

use std::time::{Duration, Instant};

use super::lane::{LaneState, Phase, STALL};
use super::{Dispatcher, Failure};

impl Dispatcher {
    /// Does what is due at `now`. Early or repeated calls change nothing.
    pub(crate) fn tick(&mut self, now: Instant) {
        for app in 0..self.apps.len() {
            self.expire_waiting(app, now);
        }
        for lane in 0..self.lanes.len() {
            self.tick_lane(lane, now);
        }
        self.wake_by = self.earliest_deadline();
    }

    pub(super) fn wake_no_later_than(&mut self, deadline: Instant) {
        self.wake_by = Some(self.wake_by.map_or(deadline, |wake_by| wake_by.min(deadline)));
    }

    fn expire_waiting(&mut self, app: usize, now: Instant) {
        let Some(limit) = self.limits.dirty_timeout else { return };
        while let Some(call) = self.apps[app].queue.pop_front_if(|call| call.arrived + limit <= now) {
            self.queued_bytes -= call.held_len();
            self.unsettled = true;
            self.fail(call, Failure::QueueTimeout { limit });
        }
    }

    fn tick_lane(&mut self, index: usize, now: Instant) {
        let Some(lane) = &mut self.lanes[index] else { return };
        if lane.ready_by.is_some_and(|ready_by| ready_by <= now) {
            lane.ready_by = None;
            let worker = lane.worker;
            self.condemn(worker, "a thread did not come back within 1 s after its call was given up");
            return;
        }
        match lane.state {
            LaneState::Ending { until, .. } if until <= now => return self.resolve(index, now),
            LaneState::Revoking { answer_by: Some(answer_by) } if answer_by <= now => {
                lane.state = LaneState::Revoking { answer_by: None };
                let worker = lane.worker;
                self.condemn(worker, "it did not answer on its control connection within 1 s");
            }
            LaneState::Connecting
            | LaneState::Open
            | LaneState::Revoking { .. }
            | LaneState::Ending { .. } => {}
        }
        self.time_out_first(index, now);
        self.stop_stalled_client(index, now);
        if self.lanes[index].as_ref().is_some_and(|lane| lane.moved + STALL <= now) {
            self.revoke(index, now);
            self.give_up_if_unwanted(index, now);
        }
    }

    /// Answers for the lane's first call if it runs past the time limit.
    fn time_out_first(&mut self, index: usize, now: Instant) {
        let (Some(limit), Some(lane)) = (self.limits.dirty_timeout, &mut self.lanes[index]) else { return };
        let overdue = lane.phase == Phase::Running && lane.moved + limit <= now;
        if let Some(first) = lane.handed.front_mut().filter(|_| overdue)
            && let Some(caller) = first.call.caller.take()
        {
            let worker = lane.worker;
            self.actions.push_back(super::Action::Fail { caller, failure: Failure::ActionTimeout { limit } });
            self.give_up_if_unwanted(index, now);
            self.check_drained(worker);
            self.unsettled = true;
        }
    }

    /// Gives up a lane whose client stopped in the middle of a large payload, or reads nothing while others starve.
    fn stop_stalled_client(&mut self, index: usize, now: Instant) {
        if self.client_deadline(index).is_none_or(|deadline| now < deadline) {
            return;
        }
        let Some(lane) = &mut self.lanes[index] else { return };
        let (worker, limit) = (lane.worker, now.saturating_duration_since(lane.moved));
        let failure = match lane.phase {
            Phase::Uploading => Failure::UploadStalled { limit },
            Phase::Paused | Phase::Running => Failure::ReaderStalled { limit },
        };
        if let Some(first) = lane.handed.front_mut()
            && let Some(caller) = first.call.caller.take()
        {
            self.actions.push_back(super::Action::Fail { caller, failure });
            self.give_up_if_unwanted(index, now);
            self.check_drained(worker);
            self.unsettled = true;
        }
    }

    /// Until when the lane waits for its client, if it does: for the rest of a payload, or for room for an answer. Sooner if
    /// others wait for a lane of this worker; a client that reads nothing may take all the time there is if none does.
    fn client_deadline(&self, index: usize) -> Option<Instant> {
        let lane = self.lanes[index].as_ref()?;
        let apps = &self.workers[lane.worker].as_ref()?.apps;
        let waiting_since = apps.iter().filter_map(|&app| Some(self.apps[app].queue.front()?.arrived)).min();
        match (lane.phase, waiting_since) {
            (Phase::Uploading, Some(_)) => Some(lane.moved + UPLOAD_STALL_IN_DEMAND),
            (Phase::Uploading, None) => Some(lane.moved + UPLOAD_STALL),
            (Phase::Paused, Some(since)) => Some((lane.moved + READER_STALL).max(since + STARVED)),
            (Phase::Paused, None) | (Phase::Running, _) => None,
        }
    }

    fn earliest_deadline(&self) -> Option<Instant> {
        let lanes = (0..self.lanes.len()).filter_map(|index| self.lane_deadline(index)).min();
        let limit = self.limits.dirty_timeout;
        let queues = self.apps.iter().filter_map(|app| Some(app.queue.front()?.arrived + limit?)).min();
        [lanes, queues].into_iter().flatten().min()
    }

    fn lane_deadline(&self, index: usize) -> Option<Instant> {
        let lane = self.lanes[index].as_ref()?;
        let state = match lane.state {
            LaneState::Ending { until, .. } => Some(until),
            LaneState::Revoking { answer_by } => answer_by,
            LaneState::Connecting | LaneState::Open => None,
        };
        let first = lane.handed.front();
        let limit = self.limits.dirty_timeout.filter(|_| lane.phase == Phase::Running);
        let timeout =
            first.filter(|first| first.call.caller.is_some()).and_then(|_| Some(lane.moved + limit?));
        let client =
            first.filter(|first| first.call.caller.is_some()).and_then(|_| self.client_deadline(index));
        let unwanted = first.is_some_and(|first| first.call.caller.is_none() && first.expected.is_some());
        let stalls = lane.state == LaneState::Open && (lane.handed.len() > 1 || unwanted);
        let stall = stalls.then_some(lane.moved + STALL);
        [lane.ready_by, state, timeout, client, stall].into_iter().flatten().min()
    }
}

/// How long a worker may take to pick up a new lane after one was closed, or to answer a revocation, before it is
/// condemned.
pub(super) const READY_GRACE: Duration = Duration::from_secs(1);

/// How long the news of a connection's end and that of the process's end wait for each other.
pub(super) const NEWS_GRACE: Duration = Duration::from_millis(50);

/// How long a client may stop in the middle of a large payload while others wait for the lane. On a machine that is busy
/// shorter pauses are the scheduler's.
pub(super) const UPLOAD_STALL_IN_DEMAND: Duration = Duration::from_secs(1);

/// How long a client may stop in the middle of a large payload while nobody waits for the lane.
const UPLOAD_STALL: Duration = Duration::from_secs(30);

/// How long a client may take nothing of its answer while another call is [`STARVED`].
pub(super) const READER_STALL: Duration = Duration::from_secs(5);

/// How long a call waits before a lane that is held by a stalled reader is taken from that.
pub(super) const STARVED: Duration = Duration::from_secs(1);
