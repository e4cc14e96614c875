//! A large answer: it goes to its client as it arrives from the lane.

use std::io;
use std::rc::Rc;
use std::time::Instant;

use gunmetal_protocol::Header;

use super::Shared;
use super::input::Input;
use super::outbox::Outbox;
use super::pump::{Broken, Progress, Pump};
use super::state::{State, header as frame_header};
use super::upload::discard;
use crate::router::dispatcher::{Caller, LaneId, Reply};

/// A large answer of which the beginning was read.
pub(super) struct LargeReply {
    seq: u64,
    reply: Reply,
    /// The frame's header as the client is to see it.
    header: Header,
    /// How much of the payload was read.
    read: usize,
    stage: Stage,
}

enum Stage {
    /// On its way.
    Passing(Pump),
    /// Other frames to this client come first.
    Waiting(Rc<Outbox>),
    /// Nobody waits for it: read and dropped.
    Unwanted,
}

impl LargeReply {
    /// Begins to pass it on, if the client's socket is free.
    pub(super) fn start(
        state: &State,
        caller: Option<Caller>,
        reply: Reply,
        header: Header,
        payload_start: &[u8],
    ) -> LargeReply {
        let (seq, payload_len) = (header.request_id, header.payload_len as usize);
        let outbox = caller.and_then(|caller| state.client_outbox(caller.client).cloned());
        let request_id = caller.map_or(0, |caller| caller.request_id);
        let header = frame_header(header.message_type, request_id, payload_len);
        let stage = match outbox {
            None => Stage::Unwanted,
            Some(outbox) => match outbox.try_exclusive() {
                Some(exclusive) => {
                    let pump = Pump::start(exclusive, &header.encode(), payload_start, payload_len);
                    Stage::Passing(pump)
                }
                None => Stage::Waiting(outbox),
            },
        };
        LargeReply { seq, reply, header, read: payload_start.len(), stage }
    }

    /// Whether the payload's beginning is still to be sent.
    pub(super) fn needs_start(&self) -> bool {
        matches!(self.stage, Stage::Waiting(_))
    }

    /// Passes the rest on.
    ///
    /// # Errors
    ///
    /// If the lane's connection ends before the payload does. The client's is closed then: its frame can't be completed.
    pub(super) async fn run(self, shared: &Rc<Shared>, lane: LaneId, input: &mut Input) -> io::Result<()> {
        let payload_len = self.header.payload_len as usize;
        let pump = match self.stage {
            Stage::Passing(pump) => Some(pump),
            Stage::Waiting(client) => {
                shared.turn(|state, now| state.dispatcher.lane_paused(lane, now));
                let exclusive = client.exclusive().await;
                shared.turn(|state, now| state.dispatcher.lane_resumed(lane, now));
                let payload_start = input.take_kept();
                let start =
                    |exclusive| Pump::start(exclusive, &self.header.encode(), &payload_start, payload_len);
                exclusive.ok().map(start)
            }
            Stage::Unwanted => None,
        };
        let progress = |progress| match progress {
            Progress::Read => shared.state.borrow_mut().dispatcher.moved(lane, Instant::now()),
            Progress::Blocked => shared.turn(|state, now| state.dispatcher.lane_paused(lane, now)),
            Progress::Unblocked => shared.turn(|state, now| state.dispatcher.lane_resumed(lane, now)),
        };
        let passed = match pump {
            Some(pump) => pump.run(shared, input, progress).await,
            None => Err(Broken::Sink { unread: payload_len - self.read }),
        };
        match passed {
            Ok(()) => {}
            Err(Broken::Source(error)) => return Err(error),
            Err(Broken::Sink { unread }) => discard(shared, input, unread).await?,
        }
        shared.turn(|state, now| state.dispatcher.reply(lane, self.seq, self.reply, now));
        Ok(())
    }
}
