//! The choice of a lane for a waiting call.
//!
//! An idle lane of any worker that holds the app comes first. If there is none, a *short* call may be handed to a busy
//! lane behind others, where it is expected to wait least: one wake-up of the worker then serves many calls. Short means
//! that the action's measured time is at most [`Limits::max_wait`](super::Limits). An action that was not measured yet, or streams, or comes
//! with a payload beyond [`MAX_BATCHED_LEN`], is never put behind another call, nor another behind it.

use std::time::{Duration, Instant};

use super::call::{Body, Call};
use super::lane::{LaneId, MAX_BATCHED_LEN, Phase, STALL};
use super::{Action, Dispatcher, Draining};

impl Dispatcher {
    /// Accounts for the answers of this turn and hands over what can go. To be called once after the news of a turn.
    pub(crate) fn settle(&mut self, now: Instant) {
        while let Some(lane) = self.answered.pop() {
            self.account(lane, now);
        }
        if std::mem::take(&mut self.unsettled) {
            self.place_waiting(now);
        }
        if self.service == Draining::Yes && self.is_done() {
            self.service = Draining::Finished;
            self.actions.push_back(Action::Finished);
        }
    }

    /// Of the idle lanes of workers that hold the app, the one that has been idle the longest: calls that come one by
    /// one go round, as gunicorn's do.
    pub(super) fn idle_lane(&self, app: usize) -> Option<usize> {
        let idle = self.apps[app].lanes.iter().filter_map(|&index| {
            let lane = self.lanes[index].as_ref()?;
            (lane.is_idle() && self.takes_work(lane.worker)).then_some((lane.turn, index))
        });
        idle.min().map(|(_, index)| index)
    }

    /// Gives a lane one more call; returns the lane's name and the call's sequence number there.
    pub(super) fn hand(&mut self, lane_index: usize, call: Call, now: Instant) -> (LaneId, u64) {
        let expected = self.expected(&call);
        let limit = self.limits.dirty_timeout;
        self.turn_count += 1;
        let lane = self.lanes[lane_index].as_mut().expect("a lane that was just chosen");
        lane.turn = self.turn_count;
        if matches!(call.body, Body::Upload { .. }) {
            lane.phase = Phase::Uploading;
            self.upload_count += 1;
        }
        let seq = lane.push(call, expected, now);
        let (id, moved, uploading) = (lane.id, lane.moved, lane.phase == Phase::Uploading);
        let waits_behind = lane.handed.len() > 1;
        if uploading {
            self.wake_no_later_than(now + super::deadlines::UPLOAD_STALL_IN_DEMAND);
        } else if waits_behind {
            self.wake_no_later_than(moved + STALL);
        } else if let Some(limit) = limit {
            self.wake_no_later_than(now + limit);
        }
        (id, seq)
    }

    /// Hands over waiting calls, the oldest of all apps first, until none can be placed.
    fn place_waiting(&mut self, now: Instant) {
        if self.apps.iter().all(|app| app.queue.is_empty()) {
            return;
        }
        let mut stuck = vec![false; self.apps.len()];
        while let Some(app) = self.oldest_waiting(&stuck) {
            let Some(lane) = self.lane_for_first(app, now) else {
                stuck[app] = true;
                continue;
            };
            let call = self.apps[app].queue.pop_front().expect("the call that was just placed");
            self.queued_bytes -= call.held_len();
            let upload = match (&call.body, call.caller) {
                (Body::Upload { .. }, Some(caller)) => Some(caller.client),
                (Body::Upload { .. } | Body::Kept(_) | Body::Passed { .. }, _) => None,
            };
            let (lane, seq) = self.hand(lane, call, now);
            self.actions.push_back(match upload {
                Some(client) => Action::Grant { lane, seq, client },
                None => Action::Hand { lane, seq },
            });
        }
    }

    /// The app, not known to be stuck, whose first waiting call is the oldest.
    fn oldest_waiting(&self, stuck: &[bool]) -> Option<usize> {
        let waiting = self.apps.iter().enumerate().filter(|(index, _)| !stuck[*index]);
        let fronts = waiting.filter_map(|(index, app)| Some((app.queue.front()?.arrived, index)));
        fronts.min().map(|(_, index)| index)
    }

    /// Where the app's first waiting call can go now.
    fn lane_for_first(&self, app: usize, now: Instant) -> Option<usize> {
        if let Some(idle) = self.idle_lane(app) {
            return Some(idle);
        }
        // A call that nothing may wait behind doesn't wait behind others either.
        self.expected(self.apps[app].queue.front()?)?;
        let open = self.apps[app].lanes.iter().filter_map(|&index| {
            let lane = self.lanes[index].as_ref().filter(|lane| self.takes_work(lane.worker))?;
            Some((lane.wait_behind(self.limits.max_wait, now)?, index))
        });
        open.min().map(|(_, index)| index)
    }

    /// The expected service time of a call that may wait behind others and have others wait behind it; `None` if it
    /// must be alone.
    fn expected(&self, call: &Call) -> Option<Duration> {
        match &call.body {
            Body::Kept(payload) if payload.len() <= MAX_BATCHED_LEN => self.apps[call.app]
                .actions
                .expected(call.action)
                .filter(|&expected| expected <= self.limits.max_wait),
            Body::Kept(_) | Body::Passed { .. } | Body::Upload { .. } => None,
        }
    }

    /// Shares the time since the lane's last accounting among the calls answered since.
    fn account(&mut self, lane_index: usize, now: Instant) {
        let Some(lane) = &mut self.lanes[lane_index] else { return };
        let answered = std::mem::take(&mut lane.answered);
        let count = u32::try_from(answered.len()).unwrap_or(u32::MAX);
        let share = now.saturating_duration_since(lane.since).checked_div(count).unwrap_or_default();
        lane.since = now;
        for &(app, action) in &answered {
            self.apps[app].actions.served(action, share);
        }
        // Put back for its capacity; the lane is refilled in the turn that follows.
        if let Some(lane) = &mut self.lanes[lane_index] {
            lane.answered = answered;
            lane.answered.clear();
        }
    }

    fn is_done(&self) -> bool {
        self.apps.iter().all(|app| app.queue.is_empty())
            && self.lanes.iter().flatten().all(|lane| !lane.is_wanted())
    }
}
