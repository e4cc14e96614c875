//! The results of a call that streams.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::Stream;
use gunmetal_client_core::{CallError, ConnectionEnd, PendingCall, Reply};
use gunmetal_protocol::MessageType;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::connections::Connections;
use crate::exclusive::{ExclusiveConnection, SendFailure};

/// The results of a call, one by one, as they come; see [`Client::stream`](crate::Client::stream).
///
/// Nothing happens before it is first polled. After an error it is over. Dropping it before its end
/// cancels the call.
pub struct ReplyStream<T> {
    connections: Arc<Connections>,
    request: Arc<PendingCall<'static>>,
    state: State,
    limits: Limits,
    result: PhantomData<fn() -> T>,
}

enum State {
    /// Not polled yet.
    New,
    /// Connecting and sending.
    Sending(Pin<Box<dyn Future<Output = Result<ExclusiveConnection, CallError>> + Send>>),
    /// Chunks arrive.
    Open(Box<ExclusiveConnection>),
    Over,
}

/// How long the stream and its reader wait.
struct Limits {
    timeout: Option<Duration>,
    idle_timeout: Option<Duration>,
    /// End of the whole stream.
    deadline: Option<Instant>,
    /// When the last chunk arrived.
    last_chunk: Instant,
    timer: Option<Pin<Box<Sleep>>>,
}

impl<T> ReplyStream<T> {
    pub(crate) fn new(connections: Arc<Connections>, request: PendingCall<'static>) -> ReplyStream<T> {
        let limits = Limits {
            timeout: request.timeout.flatten(),
            idle_timeout: request.idle_timeout,
            deadline: None,
            last_chunk: Instant::now(),
            timer: None,
        };
        let request = Arc::new(request);
        ReplyStream { connections, request, state: State::New, limits, result: PhantomData }
    }

    /// The next frame's meaning, whatever has to be done to get it.
    fn poll_reply(&mut self, cx: &mut Context<'_>) -> Poll<Result<Reply, CallError>> {
        loop {
            let poll = match &mut self.state {
                State::New => {
                    self.limits.start();
                    let sending = send(Arc::clone(&self.connections), Arc::clone(&self.request));
                    self.state = State::Sending(Box::pin(sending));
                    continue;
                }
                State::Sending(sending) => match sending.as_mut().poll(cx) {
                    Poll::Ready(connection) => {
                        self.state = State::Open(Box::new(connection?));
                        continue;
                    }
                    Poll::Pending => Poll::Pending,
                },
                State::Open(connection) => connection.poll_frame(cx),
                State::Over => return Poll::Ready(Ok(Reply::End)),
            };
            let request = Arc::clone(&self.request);
            let outgoing = request.to_outgoing();
            return Poll::Ready(match poll {
                Poll::Ready(Ok(frame)) => {
                    let message_type = frame.header.message_type;
                    let reply = outgoing.read_reply(message_type, frame.payload);
                    if message_type != MessageType::Chunk {
                        self.finish();
                    }
                    reply
                }
                Poll::Ready(Err(end)) => Err(end.to_call_error(&self.connections.config.socket_path, true)),
                Poll::Pending => {
                    let limit = ready!(self.limits.poll_passed(cx));
                    Err(outgoing.timed_out(limit))
                }
            });
        }
    }

    /// The arbiter has said its last word on this call: the connection can serve another.
    fn finish(&mut self) {
        if let State::Open(connection) = std::mem::replace(&mut self.state, State::Over) {
            self.connections.give_back(*connection);
        }
    }
}

impl<T: DeserializeOwned + 'static> Stream for ReplyStream<T> {
    type Item = Result<T, CallError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let item = match ready!(self.poll_reply(cx)) {
            Ok(Reply::Chunk(value) | Reply::Result(value)) => {
                self.limits.touch();
                self.request.to_outgoing().decode(value)
            }
            Ok(Reply::End) => return Poll::Ready(None),
            Err(error) => Err(error),
        };
        if item.is_err() {
            // Whatever still comes is of no use: closing the connection cancels it.
            self.state = State::Over;
        }
        Poll::Ready(Some(item))
    }
}

impl<T> fmt::Debug for ReplyStream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplyStream").field("request", &self.request).finish_non_exhaustive()
    }
}

impl Limits {
    fn start(&mut self) {
        self.last_chunk = Instant::now();
        self.deadline = self.timeout.map(|timeout| self.last_chunk + timeout);
    }

    fn touch(&mut self) {
        if self.idle_timeout.is_some() {
            self.last_chunk = Instant::now();
        }
    }

    /// Ready with the limit that has passed, once one has.
    fn poll_passed(&mut self, cx: &mut Context<'_>) -> Poll<Duration> {
        loop {
            let idle = self.idle_timeout.map(|timeout| (self.last_chunk + timeout, timeout));
            let whole = self.deadline.zip(self.timeout);
            let Some((due, limit)) = [idle, whole].into_iter().flatten().min() else {
                return Poll::Pending;
            };
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
            // A timer set for an earlier chunk is left as it is: setting it costs more than finding
            // out, once in a while, that it was too early.
            if timer.deadline() > due {
                timer.as_mut().reset(due);
            }
            ready!(timer.as_mut().poll(cx));
            if timer.deadline() >= due {
                return Poll::Ready(limit);
            }
            timer.as_mut().reset(due);
        }
    }
}

/// Gets a connection and sends the request on it.
async fn send(
    connections: Arc<Connections>,
    request: Arc<PendingCall<'static>>,
) -> Result<ExclusiveConnection, CallError> {
    let outgoing = request.to_outgoing();
    let mut may_retry = true;
    loop {
        let mut connection = connections.exclusive().await?;
        let (end, sent): (ConnectionEnd, bool) = match connection.send(&outgoing).await {
            Ok(()) => return Ok(connection),
            Err(SendFailure::Call(error)) => return Err(error),
            Err(SendFailure::Ended { end, sent }) => (end, sent),
        };
        if sent || !may_retry {
            return Err(end.to_call_error(&connections.config.socket_path, sent));
        }
        // An idle connection had been closed meanwhile.
        may_retry = false;
        connections.forget_idle();
    }
}
