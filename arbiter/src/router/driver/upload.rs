//! A large request: it waits for a lane with little of it read, then goes there as it arrives.

use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use gunmetal_protocol::{Header, MessageType, Peek};
use tokio::sync::oneshot;

use super::Shared;
use super::input::Input;
use super::outbox::Outbox;
use super::pump::{Broken, Progress, Pump};
use super::state::{Grant, State, header as frame_header};
use crate::router::dispatcher::{Admission, Caller, LaneId, Payload, Request};

/// A large request of which the beginning was read.
pub(super) struct Upload {
    payload_len: usize,
    /// How much of the payload was read.
    read: usize,
    stage: Stage,
}

enum Stage {
    /// On its way to a lane.
    Passing(LaneId, Pump),
    /// It has a lane, whose last request is just leaving the router.
    Granted(Grant),
    /// No lane was free.
    Waiting(oneshot::Receiver<Grant>),
    /// It was answered; the rest is read and dropped.
    Refused,
}

impl Upload {
    /// Asks the dispatcher for a lane.
    pub(super) fn start(
        state: &mut State,
        caller: Caller,
        header: Header,
        payload_start: &[u8],
        peek: Peek<'_>,
        now: Instant,
    ) -> Upload {
        let request = Request {
            caller,
            app_path: peek.app_path,
            action: peek.action,
            payload: Payload::Upload { len: header.payload_len },
        };
        let payload_len = header.payload_len as usize;
        let stage = match state.dispatcher.request(request, now) {
            Admission::Hand { lane, seq } => match state.lane_outbox(lane).cloned() {
                Some(outbox) => match outbox.try_exclusive() {
                    Some(exclusive) => {
                        let header = frame_header(MessageType::Request, seq, payload_len).encode();
                        Stage::Passing(lane, Pump::start(exclusive, &header, payload_start, payload_len))
                    }
                    None => Stage::Granted(Grant { lane, seq, outbox }),
                },
                // The lane's end is on its way to the dispatcher, which will answer.
                None => Stage::Refused,
            },
            Admission::Queued => Stage::Waiting(state.await_grant(caller)),
            Admission::Refused(failure) => {
                state.send_error(caller, &failure.to_payload());
                Stage::Refused
            }
        };
        Upload { payload_len, read: payload_start.len(), stage }
    }

    /// Nothing of the payload is wanted: it was answered with an error.
    pub(super) fn refused(header: Header, read: usize) -> Upload {
        Upload { payload_len: header.payload_len as usize, read, stage: Stage::Refused }
    }

    /// Whether the payload's beginning is still to be sent.
    pub(super) fn needs_start(&self) -> bool {
        matches!(self.stage, Stage::Granted(_) | Stage::Waiting(_))
    }

    /// Passes the payload on, or reads it to its end if nobody wants it.
    ///
    /// # Errors
    ///
    /// If the client is gone.
    pub(super) async fn run(
        self,
        shared: &Rc<Shared>,
        input: &mut Input,
        client: &Rc<Outbox>,
    ) -> io::Result<()> {
        let unread = self.payload_len - self.read;
        let (lane, pump) = match self.stage {
            Stage::Passing(lane, pump) => (lane, pump),
            Stage::Refused => return discard(shared, input, unread).await,
            Stage::Granted(grant) => match begin(grant, input, self.payload_len).await {
                Ok(begun) => begun,
                Err(_) => return discard(shared, input, unread).await,
            },
            Stage::Waiting(receiver) => {
                let granted = tokio::select! {
                    biased;
                    granted = receiver => granted.ok(),
                    () = input.hung_up() => return Err(io::ErrorKind::UnexpectedEof.into()),
                    () = client.closed() => return Err(io::ErrorKind::BrokenPipe.into()),
                };
                let begun = match granted {
                    Some(grant) => begin(grant, input, self.payload_len).await.ok(),
                    None => None,
                };
                let Some(begun) = begun else {
                    drop(input.take_kept());
                    return discard(shared, input, unread).await;
                };
                begun
            }
        };
        let progress = |progress| match progress {
            // Neither is a client to blame for a worker that takes its time to read.
            Progress::Read | Progress::Blocked | Progress::Unblocked => {
                shared.state.borrow_mut().dispatcher.moved(lane, Instant::now());
            }
        };
        match pump.run(shared, input, progress).await {
            Ok(()) => {
                shared.turn(|state, now| state.dispatcher.upload_done(lane, now));
                Ok(())
            }
            Err(Broken::Source(error)) => Err(error),
            Err(Broken::Sink { unread }) => discard(shared, input, unread).await,
        }
    }
}

/// Begins the frame on a lane with what was kept of it.
async fn begin(grant: Grant, input: &mut Input, payload_len: usize) -> io::Result<(LaneId, Pump)> {
    let payload_start = input.take_kept();
    let exclusive = grant.outbox.exclusive().await?;
    let header = frame_header(MessageType::Request, grant.seq, payload_len).encode();
    Ok((grant.lane, Pump::start(exclusive, &header, &payload_start, payload_len)))
}

/// Reads and drops the rest of a payload, so that the next frame can be found.
pub(super) async fn discard(shared: &Shared, input: &mut Input, mut unread: usize) -> io::Result<()> {
    let mut buffer = shared.take_buffer();
    while unread > 0 {
        let wanted = unread.min(buffer.len());
        let read = tokio::select! {
            biased;
            read = input.read_some(&mut buffer[..wanted]) => read,
            () = tokio::time::sleep(HALF_FRAME_PATIENCE) => Err(io::ErrorKind::TimedOut.into()),
        };
        unread -= read?;
    }
    shared.put_buffer(buffer);
    Ok(())
}

/// How long a connection may stop in the middle of a frame.
pub(super) const HALF_FRAME_PATIENCE: Duration = Duration::from_secs(30);
