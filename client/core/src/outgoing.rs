//! What a client sends, and what the answer to it means.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use gunmetal_protocol::{Args, DecodeError, EncodeError, ErrorPayload, ManageOp, MessageType, Segments};
use serde::de::DeserializeOwned;

use crate::error::CallError;
use crate::reply::{Reply, ReplyError};
use crate::stash::{self, StashKey, StashMessage};

/// A message to the arbiter. It prints as the name of the call, for errors and logs.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Outgoing<'a> {
    /// Run an action.
    Request {
        /// Of this app, `module:Name`.
        app_path: &'a str,
        /// This action.
        action: &'a str,
        /// With these arguments.
        args: &'a Args,
    },
    /// Tell your state.
    Status,
    /// Add or remove workers.
    Manage {
        /// Which of the two.
        op: ManageOp,
        /// How many.
        count: u32,
    },
    /// Use the stash.
    Stash(StashMessage<'a>),
}

impl Outgoing<'_> {
    /// Appends the message as one frame.
    ///
    /// # Errors
    ///
    /// [`CallError::Encode`]; nothing is appended then.
    pub fn encode(&self, request_id: u64, out: &mut Segments) -> Result<(), CallError> {
        let encoded: Result<(), EncodeError> = match *self {
            Outgoing::Request { app_path, action, args } => {
                gunmetal_protocol::encode_request(request_id, app_path, action, args, out)
            }
            Outgoing::Status => {
                gunmetal_protocol::encode_status(request_id, out);
                Ok(())
            }
            Outgoing::Manage { op, count } => {
                gunmetal_protocol::encode_manage(request_id, op, count.into(), out)
            }
            Outgoing::Stash(message) => message.encode(request_id, out),
        };
        encoded.map_err(|source| CallError::Encode { call: self.to_string(), source })
    }

    /// Says what a frame means to this call, without decoding a result.
    ///
    /// # Errors
    ///
    /// What the arbiter answered instead of a result, or [`CallError::Protocol`] if the frame is no
    /// reply.
    pub fn read_reply(&self, message_type: MessageType, payload: Bytes) -> Result<Reply, CallError> {
        let reply = match message_type {
            MessageType::Response => gunmetal_protocol::decode_result(payload).map(Reply::Result),
            MessageType::Chunk => gunmetal_protocol::decode_chunk(payload).map(Reply::Chunk),
            MessageType::End => Ok(Reply::End),
            MessageType::Error => match ErrorPayload::decode(payload) {
                Ok(payload) => return Err(self.failed(&payload)),
                Err(source) => Err(source),
            },
            other => return Err(self.broken(ReplyError::NotAReply(other))),
        };
        reply.map_err(|source| self.broken(ReplyError::Payload { message_type, source }))
    }

    /// The error of a call that the arbiter answered with one.
    fn failed(&self, payload: &ErrorPayload) -> CallError {
        let is_request = matches!(self, Outgoing::Request { .. });
        if !is_request && payload.message.starts_with(UNKNOWN_MESSAGE) {
            return CallError::Unsupported { operation: self.to_string() };
        }
        let (app_path, action) = match self {
            Outgoing::Request { app_path, action, .. } => (*app_path, *action),
            Outgoing::Status | Outgoing::Manage { .. } => ("", ""),
            Outgoing::Stash(message) => return stash::error_from_payload(payload, message),
        };
        CallError::from_payload(payload, app_path, action)
    }

    fn broken(&self, error: ReplyError) -> CallError {
        let message = format!("the reply to {self} breaks the protocol");
        CallError::Protocol { message, source: Some(Box::new(error)) }
    }

    /// Decodes a result or chunk of this call.
    ///
    /// # Errors
    ///
    /// [`CallError::Decode`].
    pub fn decode<T: DeserializeOwned + 'static>(&self, value: Bytes) -> Result<T, CallError> {
        self.decode_with(value, gunmetal_protocol::from_bytes)
    }

    /// Reads a result or chunk of this call with `read`.
    fn decode_with<T>(
        &self,
        value: Bytes,
        read: impl FnOnce(Bytes) -> Result<T, DecodeError>,
    ) -> Result<T, CallError> {
        read(value).map_err(|source| CallError::Decode { call: self.to_string(), source })
    }

    /// Reads the result of a stash operation that lists keys.
    ///
    /// # Errors
    ///
    /// [`CallError::Decode`].
    pub fn decode_keys(&self, value: Bytes) -> Result<Vec<StashKey>, CallError> {
        self.decode_with(value, |value| StashKey::read_all(&value))
    }

    /// The error of a caller that waited no longer than `limit`.
    #[must_use]
    pub fn timed_out(&self, limit: Duration) -> CallError {
        CallError::Timeout {
            message: format!("{self} did not answer within the caller's limit of {limit:?}"),
            timeout: Some(limit),
        }
    }

    /// The error of a caller that asked for one result and got a stream.
    #[must_use]
    pub fn streams(&self) -> CallError {
        match self {
            Outgoing::Request { app_path, action, .. } => {
                CallError::Streams { app_path: (*app_path).to_owned(), action: (*action).to_owned() }
            }
            Outgoing::Status | Outgoing::Manage { .. } | Outgoing::Stash(_) => {
                CallError::Protocol { message: format!("the reply to {self} is a stream"), source: None }
            }
        }
    }
}

impl fmt::Display for Outgoing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outgoing::Request { app_path, action, .. } => write!(f, "{app_path} {action}"),
            Outgoing::Status => f.write_str("the status request"),
            Outgoing::Manage { .. } => f.write_str("the change of the number of workers"),
            Outgoing::Stash(message) => message.fmt(f),
        }
    }
}

/// How gunicorn's worker begins, to whom its arbiter passes on whatever it does not know itself.
const UNKNOWN_MESSAGE: &str = "Unknown message type";
