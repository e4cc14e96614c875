//! Frames and values of gunicorn's dirty arbiter protocol, as gunmetal speaks it.
//!
//! It turns values into frames and frames into values, byte for byte as gunicorn 25.1 to 27 does. It does
//! no I/O, reads no clock and knows no tokio; sockets are the business of those who call it.
//!
//! # The bytes
//!
//! ```text
//! frame    47 44   01   type  payload length  request id               payload
//!          "GD"    ver  u8    u32 BE          u64 BE                   one value
//!         |----------------- 16 bytes: Header -----------------------| at most 64 MiB
//!
//! value    00                        none
//!          01  xx                    bool, any xx but 00 is true
//!          05  i64 BE                int
//!          06  f64 BE                float
//!          10  u32 BE  bytes         bytes,  length at most 64 MiB
//!          11  u32 BE  UTF-8         string, length at most 64 MiB
//!          20  u32 BE  values        list, count at most 1,048,576
//!          21  u32 BE  pairs         dict, count at most 1,048,576: each a string and a value
//! ```
//!
//! | type | payload |
//! |---|---|
//! | 01 REQUEST | `{app_path: str, action: str, args: list, kwargs: dict}` |
//! | 02 RESPONSE | `{result: any}` |
//! | 03 ERROR | `{error: {error_type: str, message: str, details: dict}}` |
//! | 04 CHUNK | `{data: any}` |
//! | 05 END, 11 STATUS | none |
//! | 10 STASH | `{op: int, table: str, key?, value?, pattern?}`; a scan, which is ours, has more: [`ScanRef`] |
//! | 12 MANAGE | `{op: int, count: int}` |
//! | 40 LINK, 41 CANCEL | ours alone, never sent to a peer that has not said it knows them |
//!
//! # The path of a call
//!
//! 1. A caller gathers its [`Args`] and [`encode_request`]s them into [`Segments`], an output for one
//!    vectored write in which large bytes are linked and not copied.
//! 2. The router's [`FrameDecoder`] cuts whole [`Frame`]s off what it has read; [`peek_request`] finds the
//!    app in the payload, and [`encode_frame`] passes the payload on untouched.
//! 3. The worker has a [`FrameReader`]; [`RequestRef::decode`] checks the payload once and gives a view of
//!    it, and [`from_bytes`] turns each argument into the type that the action takes.
//! 4. [`encode_response`], [`encode_chunk`] and [`encode_end`], or [`encode_error`] with an
//!    [`ErrorPayload`], go back the same way; [`decode_result`] and [`from_bytes`] end it.
//!
//! ```
//! use bytes::BytesMut;
//! use gunmetal_protocol::{
//!     Bytes, FrameDecoder, RequestRef, Segments, args, decode_result, encode_request, encode_response,
//!     from_bytes, from_slice,
//! };
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // The caller.
//! let mut out = Segments::new();
//! encode_request(7, "images:ImageApp", "thumbnail", &args!["cat.png"; size = 256], &mut out)?;
//!
//! // The wire: whatever pieces it arrives in.
//! let mut received = BytesMut::from(&out.into_contiguous()[..]);
//! let request = FrameDecoder::new().next_frame(&mut received)?.expect("a whole frame");
//!
//! // The worker.
//! let call = RequestRef::decode(&request.payload)?;
//! assert_eq!((call.app_path, call.action), ("images:ImageApp", "thumbnail"));
//! let (name,): (&str,) = from_slice(call.args.encoded())?;
//! let size = call.kwargs.get("size").and_then(|size| size.as_int());
//! assert_eq!((name, size), ("cat.png", Some(256)));
//! let mut reply = Segments::new();
//! encode_response(request.header.request_id, &Bytes::from_static(b"pixels"), &mut reply)?;
//!
//! // The caller again.
//! let mut received = BytesMut::from(&reply.into_contiguous()[..]);
//! let response = FrameDecoder::new().next_frame(&mut received)?.expect("a whole frame");
//! let thumbnail: Bytes = from_bytes(decode_result(response.payload)?)?;
//! assert_eq!(thumbnail, "pixels");
//! # Ok(())
//! # }
//! ```
//!
//! # Three kinds of value
//!
//! - [`ValueRef`] is a view of a payload: checked once, read lazily, nothing allocated.
//! - [`Value`] owns what it holds; strings and bytes are slices of the received payload.
//! - Any type of serde's, by [`to_segments`], [`from_bytes`] and [`from_slice`], without a tree in between.
//!
//! # Hostile peers
//!
//! Each length and count is checked against its limit and against the bytes that are there before it is
//! believed, and memory grows with what has arrived, not with what was claimed. [`MAX_DEPTH`] bounds the
//! nesting, and no decoder but serde's of a caller's own type ([`MAX_TYPED_DEPTH`]) recurses. A broken
//! header ([`HeaderError`]) ends the connection; a broken payload ([`DecodeError`]) in a whole frame ends
//! only its call. Each error says what was found, where, and what is allowed.
//!
//! # Features
//!
//! - `codec`: `FrameCodec` for `tokio_util::codec::Framed`. Off by default.
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
    ManageOp, ManageRef, RequestRef, ScanRef, StashOp, StashRef, decode_chunk, decode_result, encode_cancel,
    encode_chunk, encode_chunk_encoded, encode_end, encode_error, encode_frame, encode_manage,
    encode_request, encode_request_encoded, encode_response, encode_response_encoded, encode_scan,
    encode_stash, encode_status,
};
pub use peek::{Peek, PeekOp, PeekOutcome, peek_op, peek_request};
pub use segments::{LINK_FROM, Segments, SegmentsIter};
pub use serde::{from_bytes, from_slice, from_value, to_segments, to_value};
pub use value::{Dict, List, Value};
pub use value_ref::{DictIter, DictRef, ListIter, ListRef, ValueRef};
