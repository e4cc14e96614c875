//! Calls that nobody waits for any more, lanes that are closed under them, and workers that don't let go.
//!
//! Closing a lane is the cancellation of the call that runs on it. If others wait behind that call they are taken back
//! first: once the lane is closed nobody could tell whether they had started.

use std::time::Instant;

use super::call::{Body, Caller, ClientId};
use super::deadlines::READY_GRACE;
use super::lane::{ConnectionEnd, Handed, Lane, LaneId, LaneState, Phase, STALL};
use super::worker::{Worker, WorkerState};
use super::{Action, Call, Dispatcher, Failure, Service};

impl Dispatcher {
    /// The client has lost interest in one call; no answer will follow.
    pub(crate) fn cancel(&mut self, caller: Caller, now: Instant) {
        self.forget(|other| other == caller, now);
    }

    /// The client is gone, and with it everybody who waited for its calls.
    pub(crate) fn client_gone(&mut self, client: ClientId, now: Instant) {
        self.forget(|caller| caller.client == client, now);
    }

    /// The service ends now: no more calls are taken, and everybody who waits is told so.
    pub(crate) fn cut(&mut self) {
        for app in 0..self.apps.len() {
            let app_path = self.apps[app].path.to_string();
            self.fail_waiting(app, &Failure::Stopping { app_path });
        }
        for handed in self.lanes.iter_mut().flatten().flat_map(|lane| &mut lane.handed) {
            if let Some(caller) = handed.call.caller.take() {
                self.actions.push_back(Action::Fail { caller, failure: Failure::Cut });
            }
        }
        self.drain();
    }

    fn forget(&mut self, is_meant: impl Fn(Caller) -> bool, now: Instant) {
        for app in &mut self.apps {
            let queued_bytes = &mut self.queued_bytes;
            app.queue.retain(|call| {
                let meant = call.caller.is_some_and(&is_meant);
                if meant {
                    *queued_bytes -= call.held_len();
                }
                !meant
            });
        }
        self.unsettled = true;
        for index in 0..self.lanes.len() {
            let Some(lane) = &mut self.lanes[index] else { continue };
            let mut found = false;
            for handed in lane.handed.iter_mut().filter(|handed| handed.call.caller.is_some_and(&is_meant)) {
                handed.call.caller = None;
                found = true;
            }
            if found {
                let worker = lane.worker;
                self.give_up_if_unwanted(index, now);
                self.check_drained(worker);
            }
        }
    }

    /// The app's calls that wait can't be served.
    pub(super) fn fail_waiting(&mut self, app: usize, failure: &Failure) {
        for call in std::mem::take(&mut self.apps[app].queue) {
            self.queued_bytes -= call.held_len();
            self.fail(call, failure.clone());
        }
        self.unsettled = true;
    }

    pub(super) fn fail(&mut self, call: Call, failure: Failure) {
        if let Some(caller) = call.caller {
            self.actions.push_back(Action::Fail { caller, failure });
        }
    }

    /// Gives up the lane's first call if nobody waits for it: at once if it is alone and can't be expected to end in a
    /// moment by itself.
    pub(super) fn give_up_if_unwanted(&mut self, index: usize, now: Instant) {
        let Some(lane) = &self.lanes[index] else { return };
        let Some(first) = lane.handed.front().filter(|first| first.call.caller.is_none()) else { return };
        if lane.state != LaneState::Open {
            return;
        }
        if first.expected.is_some() && now < lane.moved + STALL {
            // A new connection would cost more than the rest of a short call.
            let patience = lane.moved + STALL;
            self.wake_no_later_than(patience);
        } else if lane.handed.len() > 1 {
            self.revoke(index, now);
        } else {
            self.close(index, Some(now + READY_GRACE), now);
        }
    }

    /// Asks for the calls that wait behind the lane's first one.
    pub(super) fn revoke(&mut self, index: usize, now: Instant) {
        let Some(lane) = self.lanes[index].as_mut().filter(|lane| lane.state == LaneState::Open) else {
            return;
        };
        if lane.handed.len() > 1 {
            lane.state = LaneState::Revoking { answer_by: Some(now + READY_GRACE) };
            let (id, upto, worker) = (lane.id, lane.last_seq, lane.worker);
            let worker = self.worker_id(worker);
            self.actions.push_back(Action::Revoke { lane: id, worker, upto });
            self.wake_no_later_than(now + READY_GRACE);
        }
    }

    /// Takes the last calls of a lane, as long as they are such, back to the front of their queues.
    pub(super) fn requeue(&mut self, index: usize, is_meant: impl Fn(&Handed) -> bool) {
        while let Some(lane) = &mut self.lanes[index]
            && lane.handed.back().is_some_and(&is_meant)
            && let Some(handed) = lane.pop_last()
        {
            if lane.handed.is_empty()
                && std::mem::replace(&mut lane.phase, Phase::Running) == Phase::Uploading
            {
                self.upload_count -= 1;
            }
            let pid = self.workers[lane.worker].as_ref().map_or(0, |worker| worker.pid);
            let call = handed.call;
            let Some(app) = self.apps.get_mut(call.app).filter(|_| call.caller.is_some()) else { continue };
            match (&app.service, &call.body) {
                (Service::Offered, Body::Kept(payload)) => {
                    self.queued_bytes += payload.len();
                    if let Some(limit) = self.limits.dirty_timeout {
                        let overdue = call.arrived + limit;
                        self.wake_by = Some(self.wake_by.map_or(overdue, |wake_by| wake_by.min(overdue)));
                    }
                    self.apps[call.app].queue.push_front(call);
                }
                (Service::Offered, Body::Passed { .. } | Body::Upload { .. }) => {
                    // Only a call that was alone on its lane has such a body: it was not asked for.
                    let cause = "stopped before it could start the call".to_owned();
                    self.fail(call, Failure::WorkerLost { pid, cause });
                }
                (Service::NotConfigured | Service::Unavailable(_), _) => {
                    let failure = self.refusal(call.app);
                    self.fail(call, failure);
                }
            }
        }
    }

    /// Fails what is left on a lane whose connection or process is over.
    pub(super) fn resolve(&mut self, index: usize, now: Instant) {
        let Some(lane) = &mut self.lanes[index] else { return };
        let left = std::mem::take(&mut lane.handed);
        let ready_by = lane.ready_by;
        let worker = self.workers[lane.worker].as_ref();
        let pid = worker.map_or(0, |worker| worker.pid);
        let cause = match worker.map(|worker| &worker.state) {
            Some(WorkerState::Gone { cause }) => cause.clone(),
            Some(WorkerState::Up | WorkerState::Leaving { .. }) | None => {
                "can't be reached: connection to worker lost".to_owned()
            }
        };
        // Not only the first one: the worker may hold back answers while it has more to do, so each of the calls it was
        // sent may have run. None may run twice.
        for handed in left {
            self.fail(handed.call, Failure::WorkerLost { pid, cause: cause.clone() });
        }
        self.close(index, Some(ready_by.unwrap_or(now + READY_GRACE)), now);
    }

    /// Closes a lane with what is left on it, and opens another if the worker is up.
    fn close(&mut self, index: usize, ready_by: Option<Instant>, now: Instant) {
        let Some(lane) = self.lanes[index].take() else { return };
        if lane.phase == Phase::Uploading {
            self.upload_count -= 1;
        }
        self.actions.push_back(Action::CloseLane { lane: lane.id });
        self.unsettled = true;
        if self.takes_work(lane.worker) {
            self.open_at(index, lane.worker, ready_by, now);
        } else {
            for app in &mut self.apps {
                app.lanes.retain(|&other| other != index);
            }
            self.check_drained(lane.worker);
            self.drop_worker_without_lanes(lane.worker);
        }
    }

    /// Opens a lane to a worker in a free place.
    pub(super) fn open(&mut self, worker: usize, now: Instant) {
        let index = self.lanes.iter().position(Option::is_none).unwrap_or_else(|| {
            self.lanes.push(None);
            self.lanes.len() - 1
        });
        for app in self.workers[worker].as_ref().map(|worker| worker.apps.clone()).unwrap_or_default() {
            self.apps[app].lanes.push(index);
        }
        self.open_at(index, worker, None, now);
    }

    fn open_at(&mut self, index: usize, worker: usize, ready_by: Option<Instant>, now: Instant) {
        self.lane_serial += 1;
        let index_on_wire = u32::try_from(index).expect("fewer lanes than a u32 counts");
        let id = LaneId { index: index_on_wire, serial: self.lane_serial };
        self.lanes[index] = Some(Lane::new(id, worker, ready_by, now));
        let worker = self.worker_id(worker);
        self.actions.push_back(Action::OpenLane { lane: id, worker });
        if let Some(ready_by) = ready_by {
            self.wake_no_later_than(ready_by);
        }
    }

    /// The worker is given nothing new, and the parent is to replace it.
    pub(super) fn condemn(&mut self, worker_index: usize, reason: &str) {
        let Some(worker) =
            self.workers[worker_index].as_mut().filter(|worker| worker.state == WorkerState::Up)
        else {
            return;
        };
        worker.state = WorkerState::Leaving { drained: false };
        self.actions.push_back(Action::Condemn { worker: worker.id, reason: reason.to_owned() });
        self.check_drained(worker_index);
    }

    /// The worker stops without having been told by the parent, which will see its end.
    pub(super) fn leaves_unasked(&mut self, worker_index: usize) {
        if let Some(worker) =
            self.workers[worker_index].as_mut().filter(|worker| worker.state == WorkerState::Up)
        {
            worker.state = WorkerState::Leaving { drained: true };
        }
    }

    /// Says so when nobody waits for anything on a worker that is to leave.
    pub(super) fn check_drained(&mut self, worker_index: usize) {
        let wanted = |lane: &Lane| lane.worker == worker_index && lane.is_wanted();
        if self.workers[worker_index].as_ref().is_some_and(Worker::is_undrained)
            && !self.lanes.iter().flatten().any(wanted)
            && let Some(worker) = &mut self.workers[worker_index]
        {
            worker.state = WorkerState::Leaving { drained: true };
            self.actions.push_back(Action::Drained { worker: worker.id });
        }
    }

    pub(super) fn drop_worker_without_lanes(&mut self, worker_index: usize) {
        let gone = |worker: &Worker| matches!(worker.state, WorkerState::Gone { .. });
        if self.workers[worker_index].as_ref().is_some_and(gone)
            && !self.lanes.iter().flatten().any(|lane| lane.worker == worker_index)
        {
            self.workers[worker_index] = None;
        }
    }

    pub(super) fn takes_work(&self, worker: usize) -> bool {
        self.workers[worker].as_ref().is_some_and(|worker| worker.state == WorkerState::Up)
    }

    /// The lane's process has ended: what it still wrote may be read for a moment.
    pub(super) fn end_of_process(&mut self, index: usize, until: Instant, now: Instant) {
        let Some(lane) = &mut self.lanes[index] else { return };
        let unseen = match lane.state {
            LaneState::Connecting => false,
            LaneState::Open | LaneState::Revoking { .. } => !lane.handed.is_empty(),
            LaneState::Ending { end, .. } => end == ConnectionEnd::NotSeen,
        };
        if unseen {
            lane.state = LaneState::Ending { until, end: ConnectionEnd::NotSeen };
            self.wake_no_later_than(until);
        } else {
            self.resolve(index, now);
        }
    }
}
