//! The stash: the router answers by itself, in the order in which a connection asks.
//!
//! An operation takes microseconds and is done where it is read. What may take longer is done bit by bit, with other
//! connections served in between: keys are listed in steps ([`Slow`]), cleared entries are freed by a task
//! ([`sweep`]), large values are received by [`reception`](super::reception).

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use gunmetal_protocol::{Dict, ErrorPayload, ErrorType, HEADER_LEN, MAX_PAYLOAD_LEN, MessageType};
use gunmetal_stash::{Answer, Listing, StashError, Stored};
use tokio::sync::Mutex;

use super::Shared;
use super::outbox::Outbox;
use super::state::{State, header, list};
use crate::router::dispatcher::Caller;

/// A request of which the answer is still to be gathered.
pub(super) struct Slow {
    caller: Caller,
    listing: Listing,
}

impl State {
    /// Does what a STASH message asks for, and answers, unless that takes a while. `frame` is the payload as an allocation
    /// of its own, if it is one.
    pub(super) fn stash(&mut self, caller: Caller, payload: &[u8], frame: Option<&Bytes>) -> Option<Slow> {
        self.passed_on += 1;
        let State { stash, clients, to_flush, .. } = self;
        let error = match (stash.answer(payload, frame), clients.get(caller.client.0)) {
            (Ok(Answer::Listing(listing)), _) => return Some(Slow { caller, listing }),
            (_, None) => return None,
            (Ok(answer), Some(client)) => {
                let result = match answer {
                    Answer::Bool(true) => Found::Copied(TRUE),
                    Answer::Bool(false) | Answer::Listing(_) => Found::Copied(FALSE),
                    Answer::Stored(Stored::Small(value)) => Found::Copied(value),
                    Answer::Stored(Stored::Large(value)) => Found::Linked(value.clone()),
                    Answer::Encoded(value) => Found::Linked(value),
                };
                send_result(&client.outbox, caller.request_id, result);
                list(to_flush, &client.outbox);
                return None;
            }
            (Err(error), Some(_)) => error,
        };
        self.refuse(caller, &error);
        None
    }

    fn finish_listing(&mut self, slow: Slow, lists: &Lists) {
        let Some(outbox) = self.client_outbox(slow.caller.client).cloned() else { return };
        match slow.listing.finish() {
            Ok(items) => match lists.hold(items) {
                Some(items) => {
                    send_result(&outbox, slow.caller.request_id, Found::Linked(items));
                    list(&mut self.to_flush, &outbox);
                }
                None => self.send_error(slow.caller, &too_many_lists()),
            },
            Err(error) => self.refuse(slow.caller, &error),
        }
    }

    fn refuse(&mut self, caller: Caller, error: &StashError) {
        self.send_error(caller, &error.to_payload());
    }
}

impl Slow {
    /// Gathers the answer in steps and sends it, unless the client has left.
    pub(super) async fn run(mut self, shared: &Rc<Shared>) {
        let Some(client) = shared.state.borrow().client_outbox(self.caller.client).cloned() else { return };
        if client.is_closed() {
            return;
        }
        if !self.step(shared) {
            // One at a time: a long list is memory, and there is only one thread to gather it.
            let _turn = shared.lists.gathering.lock().await;
            loop {
                if client.is_abandoned() {
                    return;
                }
                if self.step(shared) {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        shared.turn(|state, _| state.finish_listing(self, &shared.lists));
    }

    fn step(&mut self, shared: &Shared) -> bool {
        self.listing.advance(&shared.state.borrow().stash, STEP)
    }
}

/// The memory of long lists.
#[derive(Default)]
pub(super) struct Lists {
    gathering: Mutex<()>,
    /// Bytes of those that were gathered and not yet written to their clients.
    held: Arc<AtomicUsize>,
}

/// A list, counted until it is dropped.
struct Held {
    items: Vec<u8>,
    held: Arc<AtomicUsize>,
}

impl Lists {
    /// Keeps a list until it is sent; `None` if too much is waiting for clients that don't read.
    fn hold(&self, items: Vec<u8>) -> Option<Bytes> {
        if items.len() < LINKED_LEN {
            return Some(items.into());
        }
        if self.held.load(Ordering::Relaxed) + items.len() > MOST_HELD {
            return None;
        }
        self.held.fetch_add(items.len(), Ordering::Relaxed);
        Some(Bytes::from_owner(Held { items, held: self.held.clone() }))
    }
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.items
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.held.fetch_sub(self.items.len(), Ordering::Relaxed);
    }
}

fn too_many_lists() -> ErrorPayload {
    let message = format!(
        "lists of keys wait to be read by their clients: {MOST_HELD} bytes are the limit for all together"
    );
    ErrorPayload { error_type: ErrorType::Stash, message: message.into(), details: Dict::new() }
}

/// Frees what was cleared, some of it at a time.
pub(super) async fn sweep(shared: Rc<Shared>) {
    loop {
        shared.unswept.notified().await;
        while shared.state.borrow_mut().stash.sweep() {
            tokio::task::yield_now().await;
        }
    }
}

/// An encoded value on its way out.
enum Found<'a> {
    Copied(&'a [u8]),
    /// To be sent from where it is, if it is long.
    Linked(Bytes),
}

fn send_result(outbox: &Outbox, request_id: u64, result: Found<'_>) {
    let value = match &result {
        Found::Copied(value) => value,
        Found::Linked(value) => &value[..],
    };
    let header = header(MessageType::Response, request_id, RESULT_HEAD.len() + value.len());
    let mut head = [0; HEADER_LEN + RESULT_HEAD.len()];
    head[..HEADER_LEN].copy_from_slice(&header.encode());
    head[HEADER_LEN..].copy_from_slice(RESULT_HEAD);
    outbox.send_encoded(&head);
    match result {
        Found::Linked(value) if value.len() >= LINKED_LEN => outbox.link(value),
        Found::Linked(value) => outbox.send_encoded(&value),
        Found::Copied(value) => outbox.send_encoded(value),
    }
}

/// A RESPONSE's dict up to its one value.
const RESULT_HEAD: &[u8; 16] = b"\x21\0\0\0\x01\x11\0\0\0\x06result";
const TRUE: &[u8] = &[0x01, 0x01];
const FALSE: &[u8] = &[0x01, 0x00];

/// From this length on one more part of a write costs less than a copy.
const LINKED_LEN: usize = 4 << 10;

/// Bytes of lists that may wait for clients to read them: four of the longest.
const MOST_HELD: usize = 4 * MAX_PAYLOAD_LEN as usize;

/// Keys that are looked at before others are served: some hundred microseconds.
const STEP: usize = 16 << 10;
