//! The link to the dirty arbiter.

use std::io;
use std::rc::Rc;

use gunmetal_protocol::Frame;
use tokio::net::UnixStream;
use tracing::warn;

use super::input::{Input, Next, SCRATCH_LEN};
use super::outbox::Outbox;
use super::{RouterError, Shared, State};
use crate::link::{self, ToRouter};

/// The two directions of the link.
pub(super) fn split(link: UnixStream) -> (Input, Rc<Outbox>) {
    let (read, write) = link.into_split();
    (Input::new(read), Outbox::new(write))
}

/// Serves the link; when it ends, the router does.
pub(super) async fn run(shared: Rc<Shared>, mut input: Input) {
    let outcome = match converse(&shared, &mut input).await {
        // The parent is gone, or says that it is over.
        Ok(()) => Ok(()),
        Err(error) => Err(RouterError::Parent(error)),
    };
    shared.end(outcome);
}

async fn converse(shared: &Rc<Shared>, input: &mut Input) -> io::Result<()> {
    while let Some(len) = input.fill(shared, SCRATCH_LEN).await? {
        let scratch = shared.scratch.borrow();
        let mut rest = &scratch[..len];
        while let Next::Frame { header, payload, end } = Input::next(rest).map_err(io::Error::other)? {
            let frame = Frame { header, payload: bytes::Bytes::copy_from_slice(payload) };
            let message = link::decode(&frame).map_err(io::Error::other)?;
            if message == ToRouter::Stop {
                shared.turn(|state, _| state.cut());
                return Ok(());
            }
            shared.turn(|state, now| hear(shared, state, message, now));
            rest = &rest[end..];
        }
        input.keep(rest);
    }
    Ok(())
}

fn hear(shared: &Rc<Shared>, state: &mut State, message: ToRouter, now: std::time::Instant) {
    match message {
        ToRouter::Apps(apps) => {
            state.dispatcher.configure(&apps);
            shared.configured.notify_one();
        }
        ToRouter::Stashes(names) => {
            for name in names {
                if let Err(error) = state.stash.ensure(&name) {
                    warn!(table = name, %error, "a declared stash table could not be made");
                }
            }
        }
        ToRouter::WorkerUp(up) => {
            state.add_worker(shared, &up);
            state.dispatcher.worker_up(&up, now);
        }
        ToRouter::WorkerStopping { worker } => state.dispatcher.worker_stopping(worker),
        ToRouter::WorkerGone { worker, cause } => {
            state.dispatcher.worker_gone(worker, cause, now);
            state.remove_worker(worker);
        }
        ToRouter::AppUnavailable { path, reason } => state.dispatcher.app_unavailable(&path, reason),
        ToRouter::AppPending { path } => state.dispatcher.app_pending(&path),
        ToRouter::ManageDone { token, outcome } => state.manage_done(token, &outcome),
        ToRouter::Status { token, workers } => state.status_heard(token, &workers, now),
        ToRouter::DrainAll => state.dispatcher.drain(),
        ToRouter::ReopenLogs => (shared.reopen_logs)(),
        // Handled where it is read.
        ToRouter::Stop => {}
    }
}
