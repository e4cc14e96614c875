//! A lane: answers in, requests out by its outbox.

use std::io;
use std::rc::Rc;

use gunmetal_dirty::link::Hello;
use gunmetal_protocol::{Header, MessageType};
use tokio::net::UnixStream;
use tracing::{debug, warn};

use super::Shared;
use super::accept::widen;
use super::input::{Input, Next, SCRATCH_LEN};
use super::large_reply::LargeReply;
use super::outbox::{HIGH_WATER, Outbox};
use super::state::State;
use crate::link;
use crate::router::dispatcher::{LaneId, Reply, Violation};

/// Opens a lane and serves it until it ends.
pub(super) async fn run(shared: Rc<Shared>, lane: LaneId, socket: Rc<str>) {
    let written = match connect(&shared, lane, &socket).await {
        Ok(mut connection) => {
            if let Err(error) = connection.converse().await {
                debug!(lane = lane.to_wire(), %error, "lane ended");
            }
            connection.outbox.written().saturating_sub(connection.hello_len)
        }
        Err(error) => {
            // Nobody listens any more, though the socket is there.
            let has_ended = error.kind() == io::ErrorKind::ConnectionRefused;
            if let Some(worker) = shared.turn(|state, _| state.dispatcher.lane_refused(lane, has_ended)) {
                warn!(%worker, %error, socket = &*socket, "cannot connect to a worker");
            }
            0
        }
    };
    shared.turn(|state, now| state.dispatcher.lane_ended(lane, written, now));
}

struct LaneConnection {
    shared: Rc<Shared>,
    lane: LaneId,
    outbox: Rc<Outbox>,
    input: Input,
    hello_len: u64,
}

/// What to do after the frames that were read.
pub(super) enum Step {
    /// Read more.
    Read,
    /// A client has not taken the answers before this one.
    Pause(Rc<Outbox>),
    /// A large answer has begun.
    PassOn(LargeReply),
}

#[derive(Debug, thiserror::Error)]
enum End {
    #[error("connection lost: {0}")]
    Connection(#[from] io::Error),
    #[error(transparent)]
    Header(#[from] gunmetal_protocol::HeaderError),
    #[error(transparent)]
    Violation(#[from] Violation),
    #[error("worker sent {0:?} on a lane")]
    Unexpected(MessageType),
}

async fn connect(shared: &Rc<Shared>, lane: LaneId, socket: &str) -> io::Result<LaneConnection> {
    let stream = UnixStream::connect(socket).await?;
    widen(&stream);
    let (read, write) = stream.into_split();
    write.writable().await?;
    let outbox = Outbox::new(write);
    let hello = link::encode(&Hello::Lane { lane: lane.to_wire() }).map_err(io::Error::other)?;
    outbox.send_encoded(&hello);
    outbox.flush();
    shared.turn(|state, _| state.lane_connected(lane, outbox.clone()));
    Ok(LaneConnection {
        shared: shared.clone(),
        lane,
        outbox,
        input: Input::new(read),
        hello_len: hello.len() as u64,
    })
}

impl LaneConnection {
    async fn converse(&mut self) -> Result<(), End> {
        while let Some(mut len) = self.input.fill(&self.shared, SCRATCH_LEN).await? {
            loop {
                match self.take_frames(len)? {
                    Step::Read => break,
                    Step::Pause(client) => {
                        self.shared.turn(|state, now| state.dispatcher.lane_paused(self.lane, now));
                        client.room().await;
                        self.shared.turn(|state, now| state.dispatcher.lane_resumed(self.lane, now));
                    }
                    Step::PassOn(reply) => reply.run(&self.shared, self.lane, &mut self.input).await?,
                }
                len = self.input.refill(&self.shared);
            }
        }
        Ok(())
    }

    /// Passes on all answers that were read, in one turn.
    fn take_frames(&mut self, len: usize) -> Result<Step, End> {
        let Self { shared, lane, input, .. } = self;
        let scratch = shared.scratch.borrow();
        let mut rest = &scratch[..len];
        let step = shared.turn(|state, now| {
            loop {
                match Input::next(rest)? {
                    Next::Frame { header, payload, end } => {
                        if let Some(client) = hear(state, *lane, header, payload, now)? {
                            return Ok(Step::Pause(client));
                        }
                        rest = &rest[end..];
                    }
                    Next::Large { header, payload_start } => {
                        let reply = reply_kind(header)?;
                        let caller = state.dispatcher.caller(*lane, header.request_id)?;
                        let reply = LargeReply::start(state, caller, reply, header, payload_start);
                        rest = if reply.needs_start() { payload_start } else { &[] };
                        return Ok(Step::PassOn(reply));
                    }
                    Next::Nothing => return Ok(Step::Read),
                }
            }
        });
        input.keep(rest);
        step
    }
}

/// Passes on one whole frame; returns the client's outbox, and has done nothing, if the client has to read first.
fn hear(
    state: &mut State,
    lane: LaneId,
    header: Header,
    payload: &[u8],
    now: std::time::Instant,
) -> Result<Option<Rc<Outbox>>, End> {
    if header.message_type == MessageType::Link {
        state.dispatcher.lane_ready(lane, now);
        return Ok(None);
    }
    let reply = reply_kind(header)?;
    if let Some(caller) = state.dispatcher.caller(lane, header.request_id)? {
        if let Some(client) = state.client_outbox(caller.client)
            && client.is_full()
            // Behind a whole answer there may be answers to others, who should not wait for a client that is slow.
            && (reply == Reply::Chunk || client.waiting_len() > WHOLE_HIGH_WATER)
        {
            return Ok(Some(client.clone()));
        }
        state.send_reply(caller, header.message_type, payload);
    }
    state.dispatcher.reply(lane, header.request_id, reply, now);
    Ok(None)
}

fn reply_kind(header: Header) -> Result<Reply, End> {
    match header.message_type {
        MessageType::Response | MessageType::Error => Ok(Reply::Whole),
        MessageType::Chunk => Ok(Reply::Chunk),
        MessageType::End => Ok(Reply::End),
        other @ (MessageType::Request
        | MessageType::Stash
        | MessageType::Status
        | MessageType::Manage
        | MessageType::Link
        | MessageType::Cancel) => Err(End::Unexpected(other)),
    }
}

/// Beyond so many bytes a client's outbox takes no whole answers either.
const WHOLE_HIGH_WATER: usize = 32 * HIGH_WATER;
