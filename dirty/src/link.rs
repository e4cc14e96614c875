//! What a router and a worker say to each other beside the calls themselves.
//!
//! ```text
//!            control connection                    lane connection, one per lane thread
//! router → worker   Hello::Control                 Hello::Lane{lane}
//! worker → router                                  LaneReady
//! router → worker   ToWorker::Revoke{lane, upto}   REQUEST 1, 2, 3 …
//! worker → router   FromWorker::Revoked{lane, first}   RESPONSE | ERROR | CHUNK* (END | ERROR), in order
//! ```
//!
//! Everything here travels as frames of [`MessageType::Link`] with request id 0; calls travel on lanes as the client
//! sent them, with the lane's sequence number as request id. Closing a lane cancels what runs on it.

use bytes::{BufMut, Bytes, BytesMut};
use gunmetal_protocol::{
    DecodeError, EncodeError, Frame, HEADER_LEN, Header, MessageType, Segments, from_slice, to_segments,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The first frame on each connection, router to worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Hello {
    /// This connection carries [`ToWorker`] and [`FromWorker`].
    Control,
    /// This connection carries calls.
    Lane {
        /// The router's name for the lane; each lane of one router has another.
        lane: u64,
    },
}

/// Router to worker, on the control connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToWorker {
    /// Take back the requests up to `upto` that have not started on `lane`. Replies held back there are sent.
    Revoke {
        /// The lane.
        lane: u64,
        /// The last request to take back.
        upto: u64,
    },
    /// Finish what runs, close the apps, exit 0: as SIGTERM does.
    Drain,
}

/// Worker to router, on the control connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromWorker {
    /// Requests from `first` on have not started on `lane`: those up to the `upto` of the [`ToWorker::Revoke`] it
    /// answers never will. Sent without being asked when the worker drains; then none from `first` on ever will.
    Revoked {
        /// The lane.
        lane: u64,
        /// The first request that did not start.
        first: u64,
    },
}

/// Worker to router, on a lane connection: a lane thread waits for its requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneReady;

/// Not a link message of the expected type.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// A frame of another type.
    #[error("expected a link frame, found {found:?}")]
    NotALink {
        /// The frame's type.
        found: MessageType,
    },
    /// A payload that is no such message.
    #[error("link frame of {len} bytes cannot be read")]
    Payload {
        /// The payload's length, in bytes.
        len: usize,
        /// What is wrong with it.
        source: DecodeError,
    },
}

/// The frame of a link message.
///
/// # Errors
///
/// Only what the protocol cannot carry, such as an id above `i64::MAX`.
pub fn encode<T: Serialize>(message: &T) -> Result<Bytes, EncodeError> {
    let mut payload = Segments::new();
    to_segments(message, &mut payload)?;
    let payload = payload.into_contiguous();
    // Link messages are a few dozen bytes.
    let payload_len = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    let header = Header { message_type: MessageType::Link, payload_len, request_id: 0 };
    let mut frame = BytesMut::with_capacity(HEADER_LEN + payload.len());
    frame.put_slice(&header.encode());
    frame.put_slice(&payload);
    Ok(frame.freeze())
}

/// The link message in a frame.
///
/// # Errors
///
/// A frame of another type or with another message in it.
pub fn decode<T: DeserializeOwned>(frame: &Frame) -> Result<T, LinkError> {
    if frame.header.message_type != MessageType::Link {
        return Err(LinkError::NotALink { found: frame.header.message_type });
    }
    from_slice(&frame.payload).map_err(|source| LinkError::Payload { len: frame.payload.len(), source })
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use gunmetal_protocol::FrameDecoder;

    use super::*;

    fn round_trip<T: Serialize + DeserializeOwned + PartialEq + Debug>(message: T) {
        let mut buf = BytesMut::from(&encode(&message).unwrap()[..]);
        let frame = FrameDecoder::new().next_frame(&mut buf).unwrap().unwrap();
        assert_eq!(decode::<T>(&frame).unwrap(), message);
        assert!(buf.is_empty());
    }

    #[test]
    fn messages_come_back_as_they_went() {
        round_trip(Hello::Control);
        round_trip(Hello::Lane { lane: 7 });
        round_trip(ToWorker::Revoke { lane: 7, upto: 9 });
        round_trip(ToWorker::Drain);
        round_trip(FromWorker::Revoked { lane: 7, first: 3 });
        round_trip(LaneReady);
    }

    #[test]
    fn another_message_is_an_error() {
        let mut buf = BytesMut::from(&encode(&Hello::Control).unwrap()[..]);
        let frame = FrameDecoder::new().next_frame(&mut buf).unwrap().unwrap();
        assert!(matches!(decode::<ToWorker>(&frame), Err(LinkError::Payload { .. })));
    }
}
