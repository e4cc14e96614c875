//! Reading bytes that were checked before: by lengths alone, without errors.
//!
//! Whatever does not add up, which the check has ruled out, reads as empty or none instead of panicking.

use super::{DictRef, ListRef, ValueRef};
use crate::reader::HEAD_LEN;
use crate::tag;

/// The value that these bytes are.
#[inline]
pub(super) fn value(encoded: &[u8]) -> ValueRef<'_> {
    let Some((&tag, rest)) = encoded.split_first() else { return ValueRef::None };
    match tag {
        tag::BOOL => ValueRef::Bool(rest.first() != Some(&0)),
        tag::INT => ValueRef::Int(rest.first_chunk().map_or(0, |int| i64::from_be_bytes(*int))),
        tag::FLOAT => ValueRef::Float(rest.first_chunk().map_or(0.0, |float| f64::from_be_bytes(*float))),
        tag::BYTES => ValueRef::Bytes(data(encoded)),
        tag::STRING => ValueRef::Str(str(encoded)),
        tag::LIST => ValueRef::List(ListRef { encoded }),
        tag::DICT => ValueRef::Dict(DictRef { encoded }),
        _ => ValueRef::None,
    }
}

/// The string that these bytes are.
#[inline]
pub(super) fn str(encoded: &[u8]) -> &str {
    // Without unsafe code, text is checked each time that it is asked for.
    std::str::from_utf8(data(encoded)).unwrap_or_default()
}

/// What follows tag and length of a string or bytes value.
#[inline]
pub(super) fn data(encoded: &[u8]) -> &[u8] {
    encoded.get(HEAD_LEN..).unwrap_or_default()
}

/// The count or length behind a tag.
#[inline]
pub(super) fn number(encoded: &[u8]) -> usize {
    let number = encoded.get(1..).and_then(|rest| rest.first_chunk());
    number.map_or(0, |number| u32::from_be_bytes(*number) as usize)
}

/// Splits the first value off.
#[inline]
pub(super) fn split(rest: &[u8]) -> (&[u8], &[u8]) {
    let len = match rest.first() {
        None => 0,
        Some(&tag::LIST | &tag::DICT) => container_len(rest),
        Some(&tag) => scalar_len(tag, rest),
    };
    rest.split_at_checked(len).unwrap_or((rest, &[]))
}

#[inline]
fn scalar_len(tag: u8, encoded: &[u8]) -> usize {
    match tag {
        tag::NONE => 1,
        tag::BOOL => 2,
        tag::INT | tag::FLOAT => 9,
        _ => HEAD_LEN + number(encoded),
    }
}

/// Length of a list or dict with all that is in it, found without a stack: it is enough to know how many
/// values are still to come.
fn container_len(encoded: &[u8]) -> usize {
    let (mut rest, mut pending) = (encoded, 1_usize);
    while pending > 0 {
        pending -= 1;
        let Some(&tag) = rest.first() else { break };
        let len = match tag {
            tag::LIST => {
                pending += number(rest);
                HEAD_LEN
            }
            tag::DICT => {
                pending += 2 * number(rest);
                HEAD_LEN
            }
            tag => scalar_len(tag, rest),
        };
        rest = rest.get(len..).unwrap_or_default();
    }
    encoded.len() - rest.len()
}
