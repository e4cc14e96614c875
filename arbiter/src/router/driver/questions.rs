//! What the router asks its parent in the name of clients: STATUS and MANAGE.
//!
//! Several clients that ask for STATUS at a time share one question. A parent that does not answer it soon is not waited
//! for: they are told what the router knows by itself, and so is everybody else until the parent is heard of again.
//!
//! Each client has so many open questions at most ([`MOST_OPEN`]), and a parent that does not read is asked no more for
//! MANAGE once its link is full: nothing grows with how often clients ask.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use gunmetal_protocol::{ErrorPayload, Segments, Value, encode_response};
use tokio::task::AbortHandle;

use super::{Shared, State};
use crate::link::{FromRouter, ManageOp, ManageReport, WorkerReport};
use crate::router::dispatcher::{Caller, ClientId};
use crate::router::status;

/// The questions that the parent has not answered, and who waits.
pub(super) struct Questions {
    last_token: u64,
    managing: HashMap<u64, (Caller, ManageOp, u64)>,
    /// The token of the question for STATUS.
    status: Option<u64>,
    waiting: Vec<Caller>,
    /// How many of both each client has.
    open: HashMap<ClientId, Open>,
    /// Ends the waiting.
    patience: Option<AbortHandle>,
    /// The parent owes an answer for too long.
    is_parent_silent: bool,
    /// How long clients that ask for STATUS wait for it.
    parent_patience: Duration,
    /// What STATUS calls this server.
    server: String,
}

/// A client's open questions.
#[derive(Default)]
struct Open {
    manage: usize,
    status: usize,
}

impl Questions {
    pub(super) fn new(parent_patience: Duration, server: String) -> Questions {
        Questions {
            last_token: 0,
            managing: HashMap::new(),
            status: None,
            waiting: Vec::new(),
            open: HashMap::new(),
            patience: None,
            is_parent_silent: false,
            parent_patience,
            server,
        }
    }

    pub(super) fn forget_client(&mut self, client: ClientId) {
        if self.open.remove(&client).is_none() {
            return;
        }
        self.managing.retain(|_, (caller, ..)| caller.client != client);
        self.waiting.retain(|caller| caller.client != client);
    }

    fn next_token(&mut self) -> u64 {
        self.last_token += 1;
        self.last_token
    }
}

impl State {
    /// A client asks for STATUS.
    pub(super) fn ask_status(&mut self, shared: &Rc<Shared>, caller: Caller, now: Instant) {
        let questions = &mut self.questions;
        let open = questions.open.entry(caller.client).or_default();
        if open.status == MOST_OPEN {
            let status = status::status(&self.dispatcher, None, &questions.server, now);
            return self.answer(caller, &status);
        }
        open.status += 1;
        questions.waiting.push(caller);
        if questions.status.is_none() {
            let token = questions.next_token();
            questions.status = Some(token);
            let patience = {
                let (shared, parent_patience) = (shared.clone(), questions.parent_patience);
                async move {
                    tokio::time::sleep(parent_patience).await;
                    shared.turn(|state, now| state.status_overdue(token, now));
                }
            };
            questions.patience = Some(shared.spawn(patience));
            self.tell_parent(&FromRouter::Status { token });
        }
        if self.questions.is_parent_silent {
            self.answer_status(None, now);
        }
    }

    /// The parent says what it knows of the workers.
    pub(super) fn status_heard(&mut self, token: u64, reports: &[WorkerReport], now: Instant) {
        if self.questions.status != Some(token) {
            return;
        }
        self.questions.status = None;
        self.questions.is_parent_silent = false;
        if let Some(patience) = self.questions.patience.take() {
            patience.abort();
        }
        self.answer_status(Some(reports), now);
    }

    /// Answers whoever still waits for STATUS, with what is known.
    pub(super) fn answer_status(&mut self, reports: Option<&[WorkerReport]>, now: Instant) {
        let waiting = std::mem::take(&mut self.questions.waiting);
        if waiting.is_empty() {
            return;
        }
        let status = status::status(&self.dispatcher, reports, &self.questions.server, now);
        for caller in waiting {
            if let Some(open) = self.questions.open.get_mut(&caller.client) {
                open.status -= 1;
            }
            self.answer(caller, &status);
        }
    }

    fn status_overdue(&mut self, token: u64, now: Instant) {
        if self.questions.status == Some(token) {
            self.questions.is_parent_silent = true;
            self.answer_status(None, now);
        }
    }

    /// A client asks for more or fewer workers.
    pub(super) fn ask_manage(&mut self, caller: Caller, op: ManageOp, count: u64) {
        let is_parent_behind = self.is_parent_behind();
        let open = self.questions.open.entry(caller.client).or_default();
        if open.manage == MOST_OPEN {
            let message = format!(
                "MANAGE: {MOST_OPEN} requests of this client wait for the dirty arbiter, and {MOST_OPEN} are the limit"
            );
            return self.send_error(caller, &ErrorPayload::dirty(message));
        }
        if is_parent_behind {
            let message = "MANAGE: the dirty arbiter does not read what it is asked, and enough waits for it";
            return self.send_error(caller, &ErrorPayload::dirty(message));
        }
        open.manage += 1;
        let token = self.questions.next_token();
        self.questions.managing.insert(token, (caller, op, count));
        self.tell_parent(&FromRouter::Manage { token, op, count });
    }

    /// The parent says what came of that.
    pub(super) fn manage_done(&mut self, token: u64, outcome: &Result<ManageReport, String>) {
        let Some((caller, op, count)) = self.questions.managing.remove(&token) else { return };
        if let Some(open) = self.questions.open.get_mut(&caller.client) {
            open.manage -= 1;
        }
        match outcome {
            Ok(report) => self.answer(caller, &status::manage_result(op, count, report)),
            Err(message) => self.send_error(caller, &ErrorPayload::dirty(message.as_str())),
        }
    }

    fn answer(&mut self, caller: Caller, result: &Value) {
        let mut frame = Segments::new();
        match encode_response(caller.request_id, result, &mut frame) {
            Ok(()) => self.send_frames(caller.client, frame),
            Err(error) => self.send_error(caller, &ErrorPayload::dirty(error.to_string())),
        }
    }
}

/// How many MANAGE, and how many STATUS, of one client may wait for the parent.
const MOST_OPEN: usize = 100;
