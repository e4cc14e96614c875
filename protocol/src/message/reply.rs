//! RESPONSE, CHUNK and ERROR: what comes back.

use ::serde::Serialize;
use bytes::Bytes;

use super::{Field, decode_dict, encode_with};
use crate::encode::{encode_value_within, put_dict, put_str};
use crate::error::{DecodeError, EncodeError};
use crate::error_payload::ErrorPayload;
use crate::header::MessageType;
use crate::segments::Segments;
use crate::serde::handoff::append_own_type;
use crate::serde::to_segments_within;

/// Appends a RESPONSE: the one result of a call. Large [`Bytes`] and [`Value`](crate::Value)s are linked.
///
/// # Errors
///
/// The result cannot be encoded, or the payload is over the limit; `out` is then as it was.
pub fn encode_response<T: Serialize + 'static>(
    request_id: u64,
    result: &T,
    out: &mut Segments,
) -> Result<(), EncodeError> {
    encode_with(MessageType::Response, request_id, out, |out| put_pair("result", result, out))
}

/// Appends a RESPONSE with a result that is encoded already.
///
/// # Errors
///
/// The payload is over the limit; `out` is then as it was.
pub fn encode_response_encoded(
    request_id: u64,
    result: impl Into<Segments>,
    out: &mut Segments,
) -> Result<(), EncodeError> {
    encode_with(MessageType::Response, request_id, out, |out| put_encoded("result", result.into(), out))
}

/// Appends a CHUNK: one item of a streamed result. Large [`Bytes`] and [`Value`](crate::Value)s are linked.
///
/// # Errors
///
/// The item cannot be encoded, or the payload is over the limit; `out` is then as it was.
pub fn encode_chunk<T: Serialize + 'static>(
    request_id: u64,
    data: &T,
    out: &mut Segments,
) -> Result<(), EncodeError> {
    encode_with(MessageType::Chunk, request_id, out, |out| put_pair("data", data, out))
}

/// Appends a CHUNK with an item that is encoded already.
///
/// # Errors
///
/// The payload is over the limit; `out` is then as it was.
pub fn encode_chunk_encoded(
    request_id: u64,
    data: impl Into<Segments>,
    out: &mut Segments,
) -> Result<(), EncodeError> {
    encode_with(MessageType::Chunk, request_id, out, |out| put_encoded("data", data.into(), out))
}

/// Appends an ERROR: the call failed, or its stream broke off.
///
/// # Errors
///
/// The details cannot be encoded, or the payload is over the limit; `out` is then as it was.
pub fn encode_error(request_id: u64, error: &ErrorPayload, out: &mut Segments) -> Result<(), EncodeError> {
    encode_with(MessageType::Error, request_id, out, |out| {
        put_dict(1, out)?;
        put_str("error", out)?;
        put_dict(3, out)?;
        put_str("error_type", out)?;
        put_str(error.error_type.as_str(), out)?;
        put_str("message", out)?;
        put_str(&error.message, out)?;
        put_str("details", out)?;
        put_dict(error.details.len(), out)?;
        for (key, value) in &error.details {
            put_str(key, out)?;
            encode_value_within(value, 3, out)?;
        }
        Ok(())
    })
}

/// The encoded value inside a RESPONSE payload, the whole of which is checked; a slice of it.
///
/// ```
/// use gunmetal_protocol::{Bytes, decode_result, from_bytes};
///
/// let payload = Bytes::from_static(b"\x21\0\0\0\x01\x11\0\0\0\x06result\x05\0\0\0\0\0\0\0\x07");
/// let seven: u8 = from_bytes(decode_result(payload)?)?;
/// assert_eq!(seven, 7);
/// # Ok::<(), gunmetal_protocol::DecodeError>(())
/// ```
///
/// # Errors
///
/// The payload is no dict with the key `result`, or breaks the encoding anywhere.
pub fn decode_result(payload: Bytes) -> Result<Bytes, DecodeError> {
    decode_pair(&Field { message: "RESPONSE", name: "result" }, payload)
}

/// The encoded value inside a CHUNK payload, the whole of which is checked; a slice of it.
///
/// # Errors
///
/// The payload is no dict with the key `data`, or breaks the encoding anywhere.
pub fn decode_chunk(payload: Bytes) -> Result<Bytes, DecodeError> {
    decode_pair(&Field { message: "CHUNK", name: "data" }, payload)
}

#[allow(clippy::needless_pass_by_value, reason = "gives back a slice of what it was given")]
fn decode_pair(field: &Field, payload: Bytes) -> Result<Bytes, DecodeError> {
    let mut encoded = None;
    decode_dict(field.message, &payload, |key, reader| {
        let value = reader.value(1)?;
        if key == field.name {
            encoded = Some(value);
        }
        Ok(())
    })?;
    Ok(payload.slice_ref(field.required(encoded)?))
}

fn put_pair<T: Serialize + 'static>(key: &str, value: &T, out: &mut Segments) -> Result<(), EncodeError> {
    put_dict(1, out)?;
    put_str(key, out)?;
    append_own_type(value, 1, out).unwrap_or_else(|| to_segments_within(value, 1, out))
}

fn put_encoded(key: &str, encoded: Segments, out: &mut Segments) -> Result<(), EncodeError> {
    put_dict(1, out)?;
    put_str(key, out)?;
    out.append(encoded);
    Ok(())
}
