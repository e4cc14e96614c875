//! What a frame means to the call that it answers.

use bytes::Bytes;
use gunmetal_protocol::{DecodeError, MessageType};

/// One frame of the answer to a call, unless it is an error; see
/// [`Outgoing::read_reply`](crate::Outgoing::read_reply).
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// The result, still encoded. The call is over.
    Result(Bytes),
    /// One of many results, still encoded.
    Chunk(Bytes),
    /// There are no more results. The call is over.
    End,
}

/// Why a frame does not answer a call. The frame was whole, so the connection is still usable.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplyError {
    /// It is of a type that only clients send.
    #[error("a frame of type {0:?} is no reply")]
    NotAReply(MessageType),
    /// Its payload is broken.
    #[error("the payload of a frame of type {message_type:?} is broken")]
    Payload {
        /// What the frame was to be.
        message_type: MessageType,
        /// What is wrong with it.
        source: DecodeError,
    },
}
