//! The control connection to a worker: calls that are taken back.

use std::io;
use std::rc::Rc;

use gunmetal_dirty::link::{FromWorker, Hello};
use gunmetal_protocol::Frame;
use gunmetal_supervise::WorkerId;
use tokio::net::UnixStream;
use tracing::warn;

use super::Shared;
use super::input::{Input, Next, SCRATCH_LEN};
use super::outbox::Outbox;
use crate::link;
use crate::router::dispatcher::LaneId;

/// Serves the connection until it ends; the worker's end is seen on its lanes and told by the parent.
pub(super) async fn run(shared: Rc<Shared>, worker: WorkerId, socket: Rc<str>) {
    if let Err(error) = converse(&shared, worker, &socket).await {
        warn!(%worker, %error, "control connection to a worker failed");
    }
}

async fn converse(shared: &Rc<Shared>, worker: WorkerId, socket: &str) -> io::Result<()> {
    let (read, write) = UnixStream::connect(socket).await?.into_split();
    write.writable().await?;
    let outbox = Outbox::new(write);
    outbox.send_encoded(&link::encode(&Hello::Control).map_err(io::Error::other)?);
    outbox.flush();
    shared.turn(|state, _| state.control_connected(worker, outbox));
    let mut input = Input::new(read);
    while let Some(len) = input.fill(shared, SCRATCH_LEN).await? {
        let scratch = shared.scratch.borrow();
        let mut rest = &scratch[..len];
        while let Next::Frame { header, payload, end } = Input::next(rest).map_err(io::Error::other)? {
            let frame = Frame { header, payload: bytes::Bytes::copy_from_slice(payload) };
            let FromWorker::Revoked { lane, first } = link::decode(&frame).map_err(io::Error::other)?;
            shared.turn(|state, now| state.dispatcher.revoked(LaneId::from_wire(lane), first, now));
            rest = &rest[end..];
        }
        input.keep(rest);
    }
    Ok(())
}
