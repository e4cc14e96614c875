//! The results of a call that streams.

use std::fmt;
use std::iter::FusedIterator;
use std::marker::PhantomData;
use std::mem;
use std::time::Instant;

use gunmetal_client_core::{CallError, PendingCall, Reply};
use gunmetal_protocol::MessageType;
use serde::de::DeserializeOwned;

use crate::client::Client;
use crate::connection::Connection;

/// The results of a call, one by one, as they come; see [`Client::stream`].
///
/// Nothing happens before the first is asked for. After an error it is over. Dropping it before its
/// end cancels the call.
pub struct ReplyIter<T> {
    client: Client,
    pending: PendingCall<'static>,
    /// End of the whole stream.
    deadline: Option<Instant>,
    state: State,
    result: PhantomData<fn() -> T>,
}

#[derive(Debug)]
enum State {
    /// Nothing sent yet.
    New,
    /// Chunks arrive.
    Open(Box<Connection>),
    Over,
}

impl<T> ReplyIter<T> {
    pub(crate) fn new(client: Client, pending: PendingCall<'static>) -> ReplyIter<T> {
        ReplyIter { client, pending, deadline: None, state: State::New, result: PhantomData }
    }

    /// Waits for the next part of the answer. The state is `Over` afterwards unless more may come.
    fn next_reply(&mut self) -> Result<Reply, CallError> {
        let ReplyIter { client, pending, .. } = self;
        let (outgoing, timeout) = (pending.to_outgoing(), pending.timeout.flatten());
        let now = Instant::now();
        let state = mem::replace(&mut self.state, State::Over);
        if let (State::New, Some(timeout)) = (&state, timeout) {
            self.deadline = Some(now + timeout);
        }
        let idle = pending.idle_timeout.map(|limit| (now + limit, limit));
        let first = [idle, self.deadline.zip(timeout)].into_iter().flatten().min();
        let (deadline, limit) = first.unzip();
        let connection = match state {
            State::New => client.send(&outgoing, deadline).map(Box::new),
            State::Open(connection) => Ok(connection),
            State::Over => return Ok(Reply::End),
        };
        let answer =
            connection.and_then(|mut connection| connection.frame(deadline).map(|frame| (connection, frame)));
        let (connection, frame) = answer.map_err(|failure| client.to_error(failure, &outgoing, limit))?;
        let message_type = frame.header.message_type;
        let reply = outgoing.read_reply(message_type, frame.payload);
        if message_type != MessageType::Chunk {
            // The arbiter's last word on this call: the connection can serve another.
            client.give_back(*connection);
        } else if reply.is_ok() {
            self.state = State::Open(connection);
        }
        reply
    }
}

impl<T: DeserializeOwned + 'static> Iterator for ReplyIter<T> {
    type Item = Result<T, CallError>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = match self.next_reply() {
            Ok(Reply::Chunk(value) | Reply::Result(value)) => self.pending.to_outgoing().decode(value),
            Ok(Reply::End) => return None,
            Err(error) => Err(error),
        };
        if item.is_err() {
            // Whatever still comes is of no use: closing the connection cancels it.
            self.state = State::Over;
        }
        Some(item)
    }
}

impl<T: DeserializeOwned + 'static> FusedIterator for ReplyIter<T> {}

impl<T> fmt::Debug for ReplyIter<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (call, state) = (self.pending.to_outgoing().to_string(), &self.state);
        f.debug_struct("ReplyIter").field("call", &call).field("state", state).finish_non_exhaustive()
    }
}
