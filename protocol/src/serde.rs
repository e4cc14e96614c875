//! Any serde type straight to and from the bytes, without a tree in between.

mod de;
mod de_enum;
mod de_key;
mod de_map;
pub(crate) mod handoff;
mod key;
mod ser;

use ::serde::de::DeserializeOwned;
use ::serde::{Deserialize, Serialize};
use bytes::Bytes;

use crate::error::{DecodeError, EncodeError};
use crate::segments::Segments;
use crate::value::Value;

/// Appends `value` to `out`, encoded.
///
/// Structs and maps become dicts, sequences and tuples lists, `None` and `()` none, `char` a string.
/// Enums are externally tagged: a unit variant is its name, any other a dict `{name: content}`. Keys of
/// other types become what Python's `str()` gives. A [`Value`], at the top or in a field, is encoded
/// without recursion, and its large bytes are linked and not copied.
///
/// # Errors
///
/// An integer that is no `i64` (the error names it), a limit passed, a key that is a list or dict;
/// `out` is then as it was.
pub fn to_segments<T: Serialize + ?Sized>(value: &T, out: &mut Segments) -> Result<(), EncodeError> {
    to_segments_within(value, 0, out)
}

/// Appends a value that has `outer` lists and dicts around it.
pub(crate) fn to_segments_within<T: Serialize + ?Sized>(
    value: &T,
    outer: usize,
    out: &mut Segments,
) -> Result<(), EncodeError> {
    let start = out.mark();
    let written = value.serialize(ser::Serializer::new(out, outer));
    if written.is_err() {
        out.truncate(start);
    }
    written
}

/// Decodes a whole payload; [`Value`] and [`Bytes`] become slices of it where they are the whole of
/// `T`, and [`Value`] also where it is a field.
///
/// # Errors
///
/// The payload is no value within the limits, or does not fit `T`, or `T` nests deeper than
/// [`MAX_TYPED_DEPTH`](crate::MAX_TYPED_DEPTH).
#[allow(clippy::needless_pass_by_value, reason = "the value may keep slices of the payload")]
pub fn from_bytes<T: DeserializeOwned + 'static>(payload: Bytes) -> Result<T, DecodeError> {
    if let Some(whole) = handoff::own_type::<T>(&payload)? {
        return Ok(whole);
    }
    de::from_payload(&payload, Some(&payload))
}

/// Decodes a whole payload; `&str` and `&[u8]` in `T` borrow from it.
///
/// # Errors
///
/// As [`from_bytes`].
pub fn from_slice<'a, T: Deserialize<'a>>(payload: &'a [u8]) -> Result<T, DecodeError> {
    de::from_payload(payload, None)
}

/// The [`Value`] of a type's encoding, whose strings and bytes are slices of one buffer.
///
/// # Errors
///
/// As [`to_segments`].
pub fn to_value<T: Serialize + ?Sized>(value: &T) -> Result<Value, EncodeError> {
    let mut out = Segments::new();
    to_segments(value, &mut out)?;
    Value::decode(out.into_contiguous()).map_err(|error| EncodeError::Custom(error.to_string()))
}

/// Decodes a type from a [`Value`], by way of the value's encoding: everything is copied once, except
/// where `T` is [`Value`] itself.
///
/// # Errors
///
/// The value does not fit `T`, or passes a limit of the encoding.
pub fn from_value<T: DeserializeOwned + 'static>(value: Value) -> Result<T, DecodeError> {
    let value = match handoff::same_type::<Value, T>(value) {
        Ok(same) => return Ok(same),
        Err(value) => value,
    };
    let mut out = Segments::new();
    crate::encode_value(&value, &mut out).map_err(|error| DecodeError::Mismatch(error.to_string()))?;
    from_bytes(out.into_contiguous())
}

#[cfg(test)]
mod tests;
