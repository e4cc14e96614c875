//! Frames and values of the dirty arbiter protocol.
#![forbid(unsafe_code)]

mod args;
mod encode;
mod error;
mod frame;
mod header;
mod limits;
mod macros;
mod reader;
mod segments;
mod tag;
mod value;
mod value_ref;

pub use bytes::Bytes;
pub use bytestring::ByteString;

pub use args::Args;
pub use encode::encode_value;
pub use error::{DecodeError, EncodeError};
pub use frame::{Frame, FrameDecoder};
pub use header::{HEADER_LEN, Header, HeaderError, MAGIC, MessageType, VERSION};
pub use limits::{MAX_DATA_LEN, MAX_DEPTH, MAX_ITEM_COUNT, MAX_PAYLOAD_LEN, MAX_TYPED_DEPTH};
pub use segments::{LINK_FROM, Segments, SegmentsIter};
pub use value::{Dict, List, Value};
pub use value_ref::{DictIter, DictRef, ListIter, ListRef, ValueRef};
