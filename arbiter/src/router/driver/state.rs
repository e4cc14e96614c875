//! The connections beside the dispatcher, and what its actions do to them.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use gunmetal_dirty::link::ToWorker;
use gunmetal_protocol::{ErrorPayload, Header, MessageType, Segments, encode_error};
use gunmetal_stash::Stash;
use gunmetal_supervise::WorkerId;
use serde::Serialize;
use slab::Slab;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use tracing::{debug, warn};

use super::outbox::Outbox;
use super::questions::Questions;
use super::{Shared, control_connection, lane_connection};
use crate::link::{self, FromRouter, WorkerUp};
use crate::router::dispatcher::{Action, Caller, ClientId, Dispatcher, LaneId};

/// See the [module](self).
pub(super) struct State {
    pub(super) dispatcher: Dispatcher,
    pub(super) stash: Stash,
    pub(super) clients: Slab<Client>,
    lanes: HashMap<LaneId, Lane>,
    workers: HashMap<WorkerId, Worker>,
    parent: Rc<Outbox>,
    /// Outboxes to be flushed at the end of the turn.
    pub(super) to_flush: Vec<Rc<Outbox>>,
    /// Calls and answers passed on since the last flush.
    pub(super) passed_on: u32,
    pub(super) questions: Questions,
    finished: bool,
    cut: bool,
}

pub(super) struct Client {
    pub(super) outbox: Rc<Outbox>,
    /// Set while the client waits for a lane to pass a large payload on.
    grant: Option<(u64, oneshot::Sender<Grant>)>,
}

struct Lane {
    outbox: Option<Rc<Outbox>>,
    task: AbortHandle,
}

struct Worker {
    socket: Rc<str>,
    control: Option<Rc<Outbox>>,
    /// What it is to be told once the control connection is there.
    untold: Vec<ToWorker>,
    task: AbortHandle,
}

/// A lane that a client has for itself.
pub(super) struct Grant {
    pub(super) lane: LaneId,
    pub(super) seq: u64,
    pub(super) outbox: Rc<Outbox>,
}

impl State {
    pub(super) fn new(
        dispatcher: Dispatcher,
        stash: Stash,
        parent: Rc<Outbox>,
        questions: Questions,
    ) -> State {
        State {
            dispatcher,
            stash,
            clients: Slab::new(),
            lanes: HashMap::new(),
            workers: HashMap::new(),
            parent,
            to_flush: Vec::new(),
            passed_on: 0,
            questions,
            finished: false,
            cut: false,
        }
    }

    /// Whether the last call of a router that drains has been answered.
    pub(super) fn is_finished(&self) -> bool {
        self.finished
    }

    /// The service ends now, with a last word to those who wait.
    pub(super) fn cut(&mut self) {
        self.cut = true;
        self.dispatcher.cut();
    }

    /// How long clients may take to read the last answers.
    pub(super) fn patience(&self) -> Duration {
        if self.cut { LAST_WORDS } else { LAST_WRITES }
    }

    pub(super) fn all_outboxes(&self) -> Vec<Rc<Outbox>> {
        let clients = self.clients.iter().map(|(_, client)| client.outbox.clone());
        let lanes = self.lanes.values().filter_map(|lane| lane.outbox.clone());
        let controls = self.workers.values().filter_map(|worker| worker.control.clone());
        clients.chain(lanes).chain(controls).chain([self.parent.clone()]).collect()
    }

    // Clients

    pub(super) fn add_client(&mut self, outbox: Rc<Outbox>) -> ClientId {
        ClientId(self.clients.insert(Client { outbox, grant: None }))
    }

    pub(super) fn remove_client(&mut self, client: ClientId) {
        self.clients.try_remove(client.0);
        self.questions.forget_client(client);
    }

    /// Waits for a lane in the name of a client.
    pub(super) fn await_grant(&mut self, caller: Caller) -> oneshot::Receiver<Grant> {
        let (sender, receiver) = oneshot::channel();
        if let Some(client) = self.clients.get_mut(caller.client.0) {
            client.grant = Some((caller.request_id, sender));
        }
        receiver
    }

    pub(super) fn client_outbox(&self, client: ClientId) -> Option<&Rc<Outbox>> {
        self.clients.get(client.0).map(|client| &client.outbox)
    }

    /// Sends a frame to a caller, its payload as it came.
    pub(super) fn send_reply(&mut self, caller: Caller, message_type: MessageType, payload: &[u8]) {
        let Some(client) = self.clients.get(caller.client.0) else { return };
        let header = header(message_type, caller.request_id, payload.len());
        client.outbox.send(&header.encode(), payload);
        list(&mut self.to_flush, &client.outbox);
        self.passed_on += 1;
    }

    /// Sends frames of our own making to a client.
    pub(super) fn send_frames(&mut self, client: ClientId, frames: Segments) {
        if let Some(client) = self.clients.get(client.0) {
            client.outbox.send_encoded(&frames.into_contiguous());
            list(&mut self.to_flush, &client.outbox);
        }
    }

    pub(super) fn send_error(&mut self, caller: Caller, error: &ErrorPayload) {
        let mut frame = Segments::new();
        match encode_error(caller.request_id, error, &mut frame) {
            Ok(()) => self.send_frames(caller.client, frame),
            Err(error) => warn!(%error, "an error could not be told to a client"),
        }
    }

    // Lanes

    pub(super) fn lane_connected(&mut self, lane: LaneId, outbox: Rc<Outbox>) {
        if let Some(lane) = self.lanes.get_mut(&lane) {
            lane.outbox = Some(outbox);
        }
    }

    pub(super) fn lane_outbox(&self, lane: LaneId) -> Option<&Rc<Outbox>> {
        self.lanes.get(&lane)?.outbox.as_ref()
    }

    /// Sends a request to a lane.
    pub(super) fn send_request(&mut self, lane: LaneId, seq: u64, payload: &[u8]) {
        let Some(Lane { outbox: Some(outbox), .. }) = self.lanes.get(&lane) else { return };
        outbox.send(&header(MessageType::Request, seq, payload.len()).encode(), payload);
        list(&mut self.to_flush, outbox);
        self.passed_on += 1;
    }

    // Workers and the parent

    pub(super) fn add_worker(&mut self, shared: &Rc<Shared>, up: &WorkerUp) {
        let socket: Rc<str> = up.socket.as_str().into();
        let task = shared.spawn(control_connection::run(shared.clone(), up.worker, socket.clone()));
        self.workers.insert(up.worker, Worker { socket, control: None, untold: Vec::new(), task });
    }

    pub(super) fn remove_worker(&mut self, worker: WorkerId) {
        if let Some(worker) = self.workers.remove(&worker) {
            worker.task.abort();
            if let Some(control) = worker.control {
                control.close();
            }
        }
    }

    pub(super) fn control_connected(&mut self, worker: WorkerId, outbox: Rc<Outbox>) {
        if let Some(worker) = self.workers.get_mut(&worker) {
            for message in worker.untold.drain(..) {
                send_link(&mut self.to_flush, &outbox, &message);
            }
            worker.control = Some(outbox);
        }
    }

    pub(super) fn tell_parent(&mut self, message: &FromRouter) {
        send_link(&mut self.to_flush, &self.parent, message);
    }

    /// Whether so much waits for the parent that it should not be asked more.
    pub(super) fn is_parent_behind(&self) -> bool {
        self.parent.is_full()
    }

    // The end of a turn

    /// Does what the dispatcher wants done.
    pub(super) fn perform(&mut self, shared: &Rc<Shared>, action: Action) {
        match action {
            Action::OpenLane { lane, worker } => {
                let Some(socket) = self.workers.get(&worker).map(|worker| worker.socket.clone()) else {
                    return;
                };
                let task = shared.spawn(lane_connection::run(shared.clone(), lane, socket));
                self.lanes.insert(lane, Lane { outbox: None, task });
            }
            Action::CloseLane { lane } => {
                if let Some(lane) = self.lanes.remove(&lane) {
                    lane.task.abort();
                    if let Some(outbox) = lane.outbox {
                        outbox.close();
                    }
                }
            }
            Action::Hand { lane, seq } => {
                let Some(Lane { outbox: Some(outbox), .. }) = self.lanes.get(&lane) else { return };
                let Some(payload) = self.dispatcher.body(lane, seq) else { return };
                outbox.send(&header(MessageType::Request, seq, payload.len()).encode(), payload);
                list(&mut self.to_flush, outbox);
                self.passed_on += 1;
            }
            Action::Grant { lane, seq, client } => {
                let outbox = self.lanes.get(&lane).and_then(|lane| lane.outbox.clone());
                let grant = self.clients.get_mut(client.0).and_then(|client| client.grant.take());
                if let (Some(outbox), Some((_, grant))) = (outbox, grant) {
                    // A client that left meanwhile has been, or will be, told to the dispatcher.
                    let _ = grant.send(Grant { lane, seq, outbox });
                }
            }
            Action::Revoke { lane, worker, upto } => {
                debug!(%worker, upto, "calls are taken back from a lane");
                let message = ToWorker::Revoke { lane: lane.to_wire(), upto };
                match self.workers.get_mut(&worker) {
                    Some(Worker { control: Some(control), .. }) => {
                        send_link(&mut self.to_flush, control, &message);
                    }
                    Some(worker) => worker.untold.push(message),
                    None => {}
                }
            }
            Action::Fail { caller, failure } => {
                debug!(request_id = caller.request_id, ?failure, "call failed");
                self.send_error(caller, &failure.to_payload());
                let Some(client) = self.clients.get_mut(caller.client.0) else { return };
                // Whoever waits to pass a payload on sees the channel close.
                client.grant.take_if(|(request_id, _)| *request_id == caller.request_id);
                if failure.ends_connection() {
                    client.outbox.flush();
                    client.outbox.close();
                }
            }
            Action::Condemn { worker, reason } => {
                warn!(%worker, reason, "worker condemned");
                self.tell_parent(&FromRouter::Condemn { worker, reason });
            }
            Action::Served { worker, calls } => self.tell_parent(&FromRouter::Served { worker, calls }),
            Action::Drained { worker } => self.tell_parent(&FromRouter::Drained { worker }),
            Action::Finished => self.finished = true,
        }
    }

    /// Writes what the turn has to send, and says how many calls and answers it passed on.
    pub(super) fn flush(&mut self) -> u32 {
        for outbox in self.to_flush.drain(..) {
            outbox.listed.set(false);
            outbox.flush();
        }
        std::mem::take(&mut self.passed_on)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "payloads are at most 64 MiB")]
pub(super) fn header(message_type: MessageType, request_id: u64, payload_len: usize) -> Header {
    Header { message_type, payload_len: payload_len as u32, request_id }
}

fn send_link<T: Serialize>(to_flush: &mut Vec<Rc<Outbox>>, outbox: &Rc<Outbox>, message: &T) {
    match link::encode(message) {
        Ok(frame) => {
            outbox.send_encoded(&frame);
            list(to_flush, outbox);
        }
        Err(error) => warn!(%error, "a message to another process could not be encoded"),
    }
}

/// Has an outbox flushed at the end of the turn.
pub(super) fn list(to_flush: &mut Vec<Rc<Outbox>>, outbox: &Rc<Outbox>) {
    if !outbox.listed.replace(true) {
        to_flush.push(outbox.clone());
    }
}

/// The time for the last answers of a router that has drained.
const LAST_WRITES: Duration = Duration::from_secs(5);

/// The same of one that is to end at once.
const LAST_WORDS: Duration = Duration::from_millis(200);
