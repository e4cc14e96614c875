//! The results of a call that streams.

use std::fmt;
use std::iter::FusedIterator;
use std::marker::PhantomData;
use std::mem;
use std::time::{Duration, Instant};

use gunmetal_client_core::{CallError, Outgoing, Reply};
use gunmetal_protocol::{Args, MessageType};
use serde::de::DeserializeOwned;

use crate::client::Client;
use crate::connection::Connection;

/// The results of a call, one by one, as they come; see [`Client::stream`].
///
/// Nothing happens before the first is asked for. After an error it is over. Dropping it before its
/// end cancels the call.
pub struct ReplyIter<T> {
    client: Client,
    app_path: String,
    action: String,
    args: Args,
    timeout: Option<Duration>,
    idle_timeout: Option<Duration>,
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
    pub(crate) fn new(
        client: Client,
        app_path: String,
        action: String,
        args: Args,
        timeout: Option<Duration>,
        idle_timeout: Option<Duration>,
    ) -> ReplyIter<T> {
        let (deadline, state, result) = (None, State::New, PhantomData);
        ReplyIter { client, app_path, action, args, timeout, idle_timeout, deadline, state, result }
    }

    /// Waits for the next part of the answer. The state is `Over` afterwards unless more may come.
    fn next_reply(&mut self) -> Result<Reply, CallError> {
        let ReplyIter { client, app_path, action, args, .. } = self;
        let outgoing = Outgoing::Request { app_path, action, args };
        let now = Instant::now();
        let state = mem::replace(&mut self.state, State::Over);
        if let (State::New, Some(timeout)) = (&state, self.timeout) {
            self.deadline = Some(now + timeout);
        }
        let idle = self.idle_timeout.map(|limit| (now + limit, limit));
        let first = [idle, self.deadline.zip(self.timeout)].into_iter().flatten().min();
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
            Ok(Reply::Chunk(value) | Reply::Result(value)) => {
                let outgoing =
                    Outgoing::Request { app_path: &self.app_path, action: &self.action, args: &self.args };
                outgoing.decode(value)
            }
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
        let ReplyIter { app_path, action, state, .. } = self;
        f.debug_struct("ReplyIter")
            .field("app_path", app_path)
            .field("action", action)
            .field("state", state)
            .finish_non_exhaustive()
    }
}
