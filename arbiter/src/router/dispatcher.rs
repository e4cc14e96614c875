//! Which call goes where: the router's state and all its decisions, without a socket or a clock.
//!
//! The driver tells what happened, with the time, by one of the methods in the table; then it calls
//! [`settle`](Dispatcher::settle), does what [`poll_action`](Dispatcher::poll_action) says until there is nothing left,
//! and calls [`tick`](Dispatcher::tick) when [`next_deadline`](Dispatcher::next_deadline) has come.
//!
//! | news | method | file |
//! |---|---|---|
//! | a client's request, CANCEL, end | `request`, `cancel`, `client_gone` | here, `giving_up.rs` |
//! | a lane's answers, readiness, end | `lane_ready`, `caller`, `reply`, `revoked`, `lane_ended` … | `lane_news.rs` |
//! | the parent's apps and workers | `configure`, `worker_up`, `worker_gone` … | `worker_news.rs` |
//!
//! Every call that was queued or handed gets exactly one outcome: the last frame of an answer, one
//! [`Action::Fail`], or nobody waits for it any more.

mod action;
mod app;
mod call;
mod deadlines;
mod estimate;
mod giving_up;
mod lane;
mod lane_news;
mod placement;
#[cfg(test)]
mod tests;
mod worker;
mod worker_news;

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use gunmetal_supervise::WorkerId;

pub(crate) use action::Action;
use app::{App, Service};
use call::{Body, Call};
pub(crate) use call::{Caller, ClientId, Payload, Request};
use deadlines::{STARVED, UPLOAD_STALL_IN_DEMAND};
pub(crate) use lane::LaneId;
use lane::{Lane, MAX_BATCHED_LEN};
pub(crate) use lane_news::{Reply, Violation};
use worker::{Worker, WorkerState};

use super::failure::Failure;

/// The limits of a [`Dispatcher`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// How long an action may run, and a call may wait; `None` for ever.
    pub(crate) dirty_timeout: Option<Duration>,
    /// How many calls may wait for one app.
    pub(crate) queue_len: usize,
    /// How many payload bytes may wait in all queues together.
    pub(crate) queued_bytes: usize,
    /// How long a short call may be expected to wait for those before it on its lane; also, what a short call is.
    pub(crate) max_wait: Duration,
}

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Dispatcher {
    limits: Limits,
    apps: Vec<App>,
    app_by_path: HashMap<Box<str>, usize>,
    workers: Vec<Option<Worker>>,
    lanes: Vec<Option<Lane>>,
    /// How many lanes there have been: makes their ids unique.
    lane_serial: u32,
    /// How many calls have been handed to lanes.
    turn_count: u64,
    /// Payload bytes held by the queues.
    queued_bytes: usize,
    /// Lanes with answers that are not accounted for yet.
    answered: Vec<usize>,
    /// Something changed since the last [`settle`](Dispatcher::settle) that may let a waiting call go.
    unsettled: bool,
    /// Lanes that wait for the rest of a client's payload.
    upload_count: usize,
    /// No deadline is earlier. It may be too early, never too late.
    wake_by: Option<Instant>,
    service: Draining,
    actions: VecDeque<Action>,
}

/// Whether new calls are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Draining {
    No,
    Yes,
    Finished,
}

/// What becomes of a request at once.
#[derive(Debug, PartialEq)]
pub(crate) enum Admission {
    /// A lane was idle: send it there with this sequence number (a large payload: as it arrives).
    Hand { lane: LaneId, seq: u64 },
    /// It waits; an action will come.
    Queued,
    /// It is not taken; answer the caller with this.
    Refused(Failure),
}

impl Dispatcher {
    /// A dispatcher that knows no app and no worker.
    pub(crate) fn new(limits: Limits) -> Dispatcher {
        Dispatcher {
            limits,
            apps: Vec::new(),
            app_by_path: HashMap::new(),
            workers: Vec::new(),
            lanes: Vec::new(),
            lane_serial: 0,
            turn_count: 0,
            queued_bytes: 0,
            answered: Vec::new(),
            unsettled: false,
            upload_count: 0,
            wake_by: None,
            service: Draining::No,
            actions: VecDeque::new(),
        }
    }

    /// A client asks for a call. If a lane is idle the call goes there at once and its payload need not be kept.
    pub(crate) fn request(&mut self, request: Request<'_>, now: Instant) -> Admission {
        let app = match self.admit(&request) {
            Ok(app) => app,
            Err(failure) => return Admission::Refused(failure),
        };
        let action = request.action.and_then(|name| self.apps[app].actions.index(name));
        let call = |body| Call { caller: Some(request.caller), app, action, arrived: now, body };
        if self.apps[app].queue.is_empty()
            && let Some(lane) = self.idle_lane(app)
        {
            let body = match request.payload {
                // Others may be put behind it, and then it may be taken back with them.
                Payload::Whole(bytes) if bytes.len() <= MAX_BATCHED_LEN => Body::Kept(bytes.into()),
                Payload::Whole(bytes) => Body::Passed { len: bytes.len() },
                Payload::Upload { len } => Body::Upload { len },
            };
            let (lane, seq) = self.hand(lane, call(body), now);
            return Admission::Hand { lane, seq };
        }
        if let Some(failure) = self.overflow(app, &request.payload) {
            return Admission::Refused(failure);
        }
        let body = match request.payload {
            Payload::Whole(bytes) => Body::Kept(bytes.into()),
            Payload::Upload { len } => Body::Upload { len },
        };
        self.enqueue(call(body));
        Admission::Queued
    }

    /// The next thing to do.
    pub(crate) fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// The payload of a call that [`Action::Hand`] is about.
    pub(crate) fn body(&self, lane: LaneId, seq: u64) -> Option<&[u8]> {
        match &self.lane(lane)?.handed(seq)?.call.body {
            Body::Kept(payload) => Some(payload),
            Body::Passed { .. } | Body::Upload { .. } => None,
        }
    }

    /// When to call [`tick`](Dispatcher::tick) next. Nothing is due before; perhaps nothing is due then either.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.wake_by
    }

    /// Takes no more calls; [`Action::Finished`] comes when the last one has been answered.
    pub(crate) fn drain(&mut self) {
        if self.service == Draining::No {
            self.service = Draining::Yes;
            self.unsettled = true;
        }
    }

    /// The workers that are up or finishing, in the order in which they were forked.
    pub(crate) fn workers(&self) -> Vec<WorkerView<'_>> {
        let mut workers: Vec<_> = self
            .workers
            .iter()
            .enumerate()
            .filter_map(|(index, worker)| Some((index, worker.as_ref()?)))
            .filter(|(_, worker)| !matches!(worker.state, WorkerState::Gone { .. }))
            .map(|(index, worker)| WorkerView {
                worker: worker.id,
                is_leaving: worker.state != WorkerState::Up,
                pid: worker.pid,
                age: worker.age,
                apps: worker.apps.iter().map(|&app| &*self.apps[app].path).collect(),
                since: worker.since,
                answered_count: worker.answered_count,
                running_count: self
                    .lanes
                    .iter()
                    .flatten()
                    .filter(|lane| lane.worker == index)
                    .map(|lane| lane.handed.len())
                    .sum(),
            })
            .collect();
        workers.sort_by_key(|worker| worker.age);
        workers
    }

    /// The paths of the configured apps, in the order of the configuration.
    pub(crate) fn configured(&self) -> impl Iterator<Item = &str> {
        self.apps.iter().filter(|app| app.service != Service::NotConfigured).map(|app| &*app.path)
    }

    /// The app of a request, if the request can be taken at all.
    fn admit(&self, request: &Request<'_>) -> Result<usize, Failure> {
        if self.service != Draining::No {
            return Err(Failure::Stopping { app_path: request.app_path.to_owned() });
        }
        match self.app_by_path.get(request.app_path) {
            Some(&index) if self.apps[index].service == Service::Offered => Ok(index),
            Some(&index) => Err(self.refusal(index)),
            None => Err(self.not_configured(request.app_path)),
        }
    }

    /// Why one more call can't wait.
    fn overflow(&self, app: usize, payload: &Payload<'_>) -> Option<Failure> {
        let app = &self.apps[app];
        if app.queue.len() >= self.limits.queue_len {
            return Some(Failure::QueueFull { app_path: app.path.to_string(), limit: self.limits.queue_len });
        }
        match payload {
            Payload::Whole(payload) if self.queued_bytes + payload.len() > self.limits.queued_bytes => {
                Some(Failure::MemoryFull { limit: self.limits.queued_bytes })
            }
            Payload::Whole(_) | Payload::Upload { .. } => None,
        }
    }

    fn enqueue(&mut self, call: Call) {
        let queue = &mut self.apps[call.app].queue;
        // If others wait already, they could not be placed, and neither can this one: first in, first out.
        let is_first = queue.is_empty();
        self.unsettled |= is_first;
        self.queued_bytes += call.held_len();
        let arrived = call.arrived;
        queue.push_back(call);
        if let Some(limit) = self.limits.dirty_timeout {
            self.wake_no_later_than(arrived + limit);
        }
        if is_first {
            self.wake_no_later_than(arrived + STARVED);
        }
        if self.upload_count > 0 {
            self.wake_no_later_than(arrived + UPLOAD_STALL_IN_DEMAND);
        }
    }

    fn lane(&self, id: LaneId) -> Option<&Lane> {
        self.lanes.get(id.index as usize)?.as_ref().filter(|lane| lane.id == id)
    }

    fn lane_mut(&mut self, id: LaneId) -> Option<&mut Lane> {
        self.lanes.get_mut(id.index as usize)?.as_mut().filter(|lane| lane.id == id)
    }
}

/// What STATUS tells of a worker.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct WorkerView<'a> {
    pub(crate) worker: WorkerId,
    pub(crate) is_leaving: bool,
    pub(crate) pid: u32,
    pub(crate) age: u64,
    pub(crate) apps: Vec<&'a str>,
    pub(crate) since: Instant,
    pub(crate) answered_count: u64,
    pub(crate) running_count: usize,
}
