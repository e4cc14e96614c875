//! Frames and values of the dirty arbiter protocol.
#![forbid(unsafe_code)]

mod args;
mod blocking;
#[cfg(feature = "codec")]
mod codec;
mod encode;
mod error;
mod error_payload;
mod frame;
mod frame_error;
mod header;
mod limits;
mod macros;
mod message;
mod peek;
mod reader;
mod segments;
mod serde;
pub mod shared_bytes;
mod tag;
mod value;
mod value_ref;

pub use bytes::Bytes;
pub use bytestring::ByteString;

pub use args::Args;
pub use blocking::{FrameReader, READ_LEN};
#[cfg(feature = "codec")]
pub use codec::FrameCodec;
pub use encode::encode_value;
pub use error::{DecodeError, EncodeError};
pub use error_payload::{ErrorPayload, ErrorType};
pub use frame::{Frame, FrameDecoder};
pub use frame_error::FrameError;
pub use header::{HEADER_LEN, Header, HeaderError, MAGIC, MessageType, VERSION};
pub use limits::{MAX_DATA_LEN, MAX_DEPTH, MAX_ITEM_COUNT, MAX_PAYLOAD_LEN, MAX_TYPED_DEPTH};
pub use message::{
    ManageOp, ManageRef, RequestRef, StashOp, StashRef, decode_chunk, decode_result, encode_cancel,
    encode_chunk, encode_chunk_encoded, encode_end, encode_error, encode_frame, encode_manage,
    encode_request, encode_request_encoded, encode_response, encode_response_encoded, encode_stash,
    encode_status,
};
pub use peek::{Peek, PeekOp, PeekOutcome, peek_op, peek_request};
pub use segments::{LINK_FROM, Segments, SegmentsIter};
pub use serde::{from_bytes, from_slice, from_value, to_segments, to_value};
pub use value::{Dict, List, Value};
pub use value_ref::{DictIter, DictRef, ListIter, ListRef, ValueRef};
