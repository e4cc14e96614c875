//! A client: its requests in, answers out by its outbox.

use std::io;
use std::rc::Rc;
use std::time::Instant;

use gunmetal_protocol::{
    DecodeError, ErrorPayload, Header, HeaderError, ManageRef, MessageType, PeekOutcome, ValueRef,
    peek_request,
};
use tokio::net::UnixStream;
use tracing::{debug, trace};

use super::Shared;
use super::input::{CLIENT_READ_LEN, Input, LARGE_LEN, MIN_READ, Next};
use super::outbox::Outbox;
use super::reception::Reception;
use super::stash_service::Slow;
use super::state::State;
use super::upload::{HALF_FRAME_PATIENCE, Upload};
use crate::link::ManageOp;
use crate::router::dispatcher::{Admission, Caller, ClientId, Payload, Request};

/// Why the conversation with a client is over.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error("connection lost")]
    Connection(#[source] io::Error),
    #[error(transparent)]
    Header(#[from] HeaderError),
    #[error("request {request_id}: {message_type:?} is a message that a client doesn't send")]
    NotForUs { request_id: u64, message_type: MessageType },
    #[error("the rest of a frame did not come in time")]
    HalfFrame,
}

impl End {
    /// The end of a connection in the middle of a frame.
    fn in_frame(error: io::Error) -> End {
        if error.kind() == io::ErrorKind::TimedOut { End::HalfFrame } else { End::Connection(error) }
    }
}

/// Serves a client until it goes, or breaks the protocol.
pub(super) async fn run(shared: Rc<Shared>, stream: UnixStream) {
    let (read, write) = stream.into_split();
    let outbox = Outbox::new(write);
    let client = shared.turn(|state, _| state.add_client(outbox.clone()));
    trace!(client = client.0, "client connected");
    let mut connection =
        ClientConnection { shared, client, outbox, input: Input::new(read), read_len: CLIENT_READ_LEN };
    if let Err(end) = connection.converse().await {
        connection.explain(&end).await;
    }
    let ClientConnection { shared, outbox, .. } = connection;
    outbox.close();
    shared.turn(|state, now| {
        state.dispatcher.client_gone(client, now);
        state.remove_client(client);
    });
}

/// What to do about what was read.
enum Step {
    /// Nothing more: read on.
    Read,
    /// Pass a large request on.
    PassOn(Upload),
    /// Receive a large message to the stash.
    Receive(Reception),
    /// Gather a long answer.
    Wait(Slow),
    /// The client has to read its answers first.
    Pause,
}

struct ClientConnection {
    shared: Rc<Shared>,
    client: ClientId,
    outbox: Rc<Outbox>,
    input: Input,
    /// How much to read at once.
    read_len: usize,
}

impl ClientConnection {
    async fn converse(&mut self) -> Result<(), End> {
        loop {
            // Who doesn't read answers need not ask.
            self.outbox.room().await;
            let Some(mut len) = self.read().await? else { return Ok(()) };
            loop {
                match self.take_frames(len)? {
                    Step::Read => break,
                    Step::PassOn(upload) => {
                        let passed_on = upload.run(&self.shared, &mut self.input, &self.outbox).await;
                        passed_on.map_err(End::Connection)?;
                        break;
                    }
                    Step::Receive(reception) => {
                        let received = reception.run(&self.shared, &mut self.input, &self.outbox).await;
                        if let Some(slow) = received.map_err(End::in_frame)? {
                            slow.run(&self.shared).await;
                        }
                        // The next one may be like it.
                        self.read_len = MIN_READ;
                        break;
                    }
                    Step::Wait(slow) => {
                        slow.run(&self.shared).await;
                        // Others first: there may be many such requests in what was read.
                        tokio::task::yield_now().await;
                    }
                    Step::Pause => {}
                }
                self.outbox.room().await;
                len = self.input.refill(&self.shared);
            }
        }
    }

    async fn read(&mut self) -> Result<Option<usize>, End> {
        let within_frame = self.input.is_within_frame();
        let fill = self.input.fill(&self.shared, std::mem::replace(&mut self.read_len, CLIENT_READ_LEN));
        if !within_frame {
            return fill.await.map_err(End::Connection);
        }
        match tokio::time::timeout(HALF_FRAME_PATIENCE, fill).await {
            Ok(filled) => filled.map_err(End::Connection),
            Err(_) => Err(End::HalfFrame),
        }
    }

    /// Takes all frames that were read, in one turn, up to one that takes longer.
    fn take_frames(&mut self, len: usize) -> Result<Step, End> {
        let Self { shared, client, input, outbox, .. } = self;
        let scratch = shared.scratch.borrow();
        let mut rest = &scratch[..len];
        let taken = shared.turn(|state, now| {
            loop {
                match Input::next(rest)? {
                    Next::Frame { header, payload, end } => {
                        if outbox.is_full() && is_answered_here(header.message_type) {
                            return Ok(Step::Pause);
                        }
                        rest = &rest[end..];
                        if let Some(slow) = hear(shared, state, *client, header, payload, now)? {
                            return Ok(Step::Wait(slow));
                        }
                    }
                    Next::Large { header, payload_start } => {
                        let step = hear_large(shared, state, *client, header, payload_start, now)?;
                        rest = match &step {
                            Step::PassOn(upload) if upload.needs_start() => payload_start,
                            Step::Receive(reception) if reception.needs_start() => payload_start,
                            Step::PassOn(_) | Step::Receive(_) => &[],
                            Step::Read | Step::Wait(_) | Step::Pause => rest,
                        };
                        return Ok(step);
                    }
                    Next::Nothing => return Ok(Step::Read),
                }
            }
        });
        input.keep(rest);
        taken
    }

    /// Tells a client why its connection is closed, if it may still be listening.
    async fn explain(&self, end: &End) {
        debug!(client = self.client.0, %end, "client connection ended");
        let request_id = match end {
            End::Connection(_) => return,
            End::Header(error) => error.request_id(),
            End::NotForUs { request_id, .. } => *request_id,
            End::HalfFrame => 0,
        };
        let caller = Caller { client: self.client, request_id };
        self.shared.turn(|state, _| state.send_error(caller, &ErrorPayload::protocol(end.to_string(), &[])));
        // Whoever doesn't read it need not be waited for.
        let _ = tokio::time::timeout(LAST_WORDS, self.outbox.emptied()).await;
    }
}

/// Whether the router may answer by itself, as often as it is asked.
fn is_answered_here(message_type: MessageType) -> bool {
    matches!(message_type, MessageType::Stash | MessageType::Status | MessageType::Manage)
}

/// Takes a whole frame.
fn hear(
    shared: &Rc<Shared>,
    state: &mut State,
    client: ClientId,
    header: Header,
    payload: &[u8],
    now: Instant,
) -> Result<Option<Slow>, End> {
    let caller = Caller { client, request_id: header.request_id };
    match header.message_type {
        MessageType::Request => match peek_request(payload) {
            Ok(PeekOutcome::Found(peek)) => {
                let (app_path, action) = (peek.app_path, peek.action);
                let request = Request { caller, app_path, action, payload: Payload::Whole(payload) };
                match state.dispatcher.request(request, now) {
                    Admission::Hand { lane, seq } => state.send_request(lane, seq, payload),
                    Admission::Queued => {}
                    Admission::Refused(failure) => state.send_error(caller, &failure.to_payload()),
                }
            }
            outcome => state.send_error(caller, &no_app_path(outcome.err(), payload)),
        },
        MessageType::Status => state.ask_status(shared, caller, now),
        MessageType::Manage => match manage(payload) {
            Ok((op, count)) => state.ask_manage(caller, op, count),
            Err(message) => state.send_error(caller, &ErrorPayload::dirty(message)),
        },
        MessageType::Stash => return Ok(state.stash(caller, payload, None)),
        MessageType::Cancel => state.dispatcher.cancel(caller, now),
        MessageType::Response
        | MessageType::Error
        | MessageType::Chunk
        | MessageType::End
        | MessageType::Link => return Err(not_for_us(header)),
    }
    Ok(None)
}

/// Takes the beginning of a frame with a large payload; [`Step::Read`] if more of it is needed to know what to do.
fn hear_large(
    shared: &Rc<Shared>,
    state: &mut State,
    client: ClientId,
    header: Header,
    payload_start: &[u8],
    now: Instant,
) -> Result<Step, End> {
    let caller = Caller { client, request_id: header.request_id };
    let error = match header.message_type {
        MessageType::Request => match peek_request(payload_start) {
            Ok(PeekOutcome::Found(peek)) => {
                return Ok(Step::PassOn(Upload::start(state, caller, header, payload_start, peek, now)));
            }
            Ok(PeekOutcome::NeedMore) if payload_start.len() < LARGE_LEN => return Ok(Step::Read),
            Ok(PeekOutcome::NeedMore) => ErrorPayload::protocol(
                format!(
                    "REQUEST: no app_path within the first {LARGE_LEN} bytes of a payload of {} bytes",
                    header.payload_len
                ),
                &[],
            ),
            outcome => no_app_path(outcome.err(), payload_start),
        },
        MessageType::Stash => {
            return Ok(Step::Receive(Reception::start(shared, caller, header, payload_start)));
        }
        MessageType::Status | MessageType::Manage | MessageType::Cancel => ErrorPayload::protocol(
            format!("a payload of {} bytes is too long for {:?}", header.payload_len, header.message_type),
            &[],
        ),
        MessageType::Response
        | MessageType::Error
        | MessageType::Chunk
        | MessageType::End
        | MessageType::Link => return Err(not_for_us(header)),
    };
    state.send_error(caller, &error);
    Ok(Step::PassOn(Upload::refused(header, payload_start.len())))
}

/// What a MANAGE asks for. Numbers below 1 are 1, as gunicorn takes them.
fn manage(payload: &[u8]) -> Result<(ManageOp, u64), String> {
    let unknown = |op: &dyn std::fmt::Display| format!("Unknown manage operation: {op}");
    let manage = ManageRef::decode(payload).map_err(|error| match error {
        DecodeError::OutOfRange { field: "op", found, .. } => unknown(&found),
        DecodeError::MissingField { field: "op", .. } => unknown(&"None"),
        error => error.to_string(),
    })?;
    let op = match manage.op {
        gunmetal_protocol::ManageOp::Add => ManageOp::Add,
        gunmetal_protocol::ManageOp::Remove => ManageOp::Remove,
    };
    Ok((op, manage.count.max(1).unsigned_abs()))
}

fn not_for_us(header: Header) -> End {
    End::NotForUs { request_id: header.request_id, message_type: header.message_type }
}

/// What is wrong with a REQUEST that can't be routed.
fn no_app_path(error: Option<DecodeError>, payload: &[u8]) -> ErrorPayload {
    // A truncated payload says where only when it is walked to its end.
    let error = error.or_else(|| ValueRef::decode(payload).err());
    let message = error.map_or_else(|| "REQUEST without app_path".to_owned(), |error| error.to_string());
    ErrorPayload::protocol(message, payload)
}

/// How long a client may take to read why its connection is closed.
const LAST_WORDS: std::time::Duration = std::time::Duration::from_secs(1);
