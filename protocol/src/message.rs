//! The messages: each type's dict, typed, as a whole frame.

mod manage;
mod reply;
mod request;
mod scan;
mod stash;

use crate::error::{DecodeError, EncodeError};
use crate::header::{HEADER_LEN, Header, MessageType};
use crate::limits::MAX_PAYLOAD_LEN;
use crate::reader::{Reader, Token};
use crate::segments::Segments;
use crate::tag;
use crate::value_ref::ValueRef;

pub use manage::{ManageOp, ManageRef, encode_manage};
pub use reply::{
    decode_chunk, decode_result, encode_chunk, encode_chunk_encoded, encode_error, encode_response,
    encode_response_encoded,
};
pub use request::{RequestRef, encode_request, encode_request_encoded};
pub use scan::{ScanRef, encode_scan};
pub use stash::{StashOp, StashRef, encode_stash};

/// Appends a frame around a payload that is encoded already, such as one that is only passed on.
///
/// # Errors
///
/// The payload is over [`MAX_PAYLOAD_LEN`].
pub fn encode_frame(
    message_type: MessageType,
    request_id: u64,
    payload: impl Into<Segments>,
    out: &mut Segments,
) -> Result<(), EncodeError> {
    let payload = payload.into();
    let header = Header { message_type, payload_len: payload_len(payload.len())?, request_id };
    out.put_slice(&header.encode());
    out.append(payload);
    Ok(())
}

/// Appends an END: the stream of this request is complete.
pub fn encode_end(request_id: u64, out: &mut Segments) {
    encode_empty(MessageType::End, request_id, out);
}

/// Appends a STATUS: asks for the state of arbiter and workers.
pub fn encode_status(request_id: u64, out: &mut Segments) {
    encode_empty(MessageType::Status, request_id, out);
}

/// Appends a CANCEL: drop the call with this id. Only for peers that have said they know it.
pub fn encode_cancel(request_id: u64, out: &mut Segments) {
    encode_empty(MessageType::Cancel, request_id, out);
}

fn encode_empty(message_type: MessageType, request_id: u64, out: &mut Segments) {
    out.put_slice(&Header { message_type, payload_len: 0, request_id }.encode());
}

/// Appends a frame whose payload `write` appends; its length is patched into the header.
fn encode_with(
    message_type: MessageType,
    request_id: u64,
    out: &mut Segments,
    write: impl FnOnce(&mut Segments) -> Result<(), EncodeError>,
) -> Result<(), EncodeError> {
    let start = out.mark();
    out.put_slice(&[0; HEADER_LEN]);
    match write(out).and_then(|()| payload_len(out.len_since(start) - HEADER_LEN)) {
        Ok(payload_len) => {
            out.patch(start, &Header { message_type, payload_len, request_id }.encode());
            Ok(())
        }
        Err(error) => {
            out.truncate(start);
            Err(error)
        }
    }
}

fn payload_len(len: usize) -> Result<u32, EncodeError> {
    let short = u32::try_from(len).ok().filter(|len| *len <= MAX_PAYLOAD_LEN);
    short.ok_or(EncodeError::PayloadTooLarge { len, max: MAX_PAYLOAD_LEN })
}

/// Reads a message's dict once from front to back; `take` reads the value under each key.
fn decode_dict<'a>(
    message: &'static str,
    payload: &'a [u8],
    mut take: impl FnMut(&'a str, &mut Reader<'a>) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    let mut reader = Reader::new(payload);
    let tag = reader.peek_tag()?;
    let Token::Dict(count) = reader.token()? else {
        return Err(DecodeError::NotADict { message, found: tag::kind(tag) });
    };
    for _ in 0..count {
        let key = reader.key()?;
        take(key, &mut reader)?;
    }
    reader.finish()
}

/// A key of a message that takes one kind of value.
struct Field {
    message: &'static str,
    name: &'static str,
}

impl Field {
    fn str<'a>(&self, reader: &mut Reader<'a>) -> Result<&'a str, DecodeError> {
        let value = ValueRef::read(reader, 1)?;
        value.as_str().ok_or_else(|| self.wrong_kind("string", value))
    }

    fn int(&self, reader: &mut Reader<'_>) -> Result<i64, DecodeError> {
        let value = ValueRef::read(reader, 1)?;
        value.as_int().ok_or_else(|| self.wrong_kind("int", value))
    }

    fn wrong_kind(&self, expected: &'static str, found: ValueRef<'_>) -> DecodeError {
        DecodeError::WrongKind { message: self.message, field: self.name, expected, found: found.kind() }
    }

    fn required<T>(&self, value: Option<T>) -> Result<T, DecodeError> {
        value.ok_or(DecodeError::MissingField { message: self.message, field: self.name })
    }
}

#[cfg(test)]
mod tests;
