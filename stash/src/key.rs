//! A table's keys: Python's hashable scalars, equal where Python's are.

use std::borrow::Cow;
use std::fmt::{self, Write};
use std::hash::{BuildHasher, Hash, Hasher};

use gunmetal_protocol::{DecodeError, ValueRef};

/// A key as a view of the request that names it.
///
/// Two keys are the same if Python's dict says so: `True` is 1 and `False` is 0, but `"1"` and `b"1"` are keys of their
/// own. `Display` writes what Python's `str()` does, which is what patterns are matched against.
#[derive(Debug, Clone, Copy)]
pub enum Key<'a> {
    /// Python's `None`.
    None,
    /// A bool.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// Raw bytes.
    Bytes(&'a [u8]),
    /// A string.
    Str(&'a str),
}

/// A value that cannot be a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key is a string, int, bool, bytes or none, found {found}")]
pub struct WrongKeyKind {
    /// What kind of value it is.
    pub found: &'static str,
}

impl<'a> TryFrom<ValueRef<'a>> for Key<'a> {
    type Error = WrongKeyKind;

    fn try_from(value: ValueRef<'a>) -> Result<Self, WrongKeyKind> {
        Ok(match value {
            ValueRef::None => Self::None,
            ValueRef::Bool(bool) => Self::Bool(bool),
            ValueRef::Int(int) => Self::Int(int),
            ValueRef::Bytes(bytes) => Self::Bytes(bytes),
            ValueRef::Str(str) => Self::Str(str),
            ValueRef::Float(_) | ValueRef::List(_) | ValueRef::Dict(_) => {
                return Err(WrongKeyKind { found: value.kind() });
            }
        })
    }
}

impl<'a> Key<'a> {
    /// Reads a key that was written by [`Key::encode`].
    pub(crate) fn from_encoded(encoded: &'a [u8]) -> Key<'a> {
        let decoded: Result<ValueRef<'_>, DecodeError> = ValueRef::decode(encoded);
        decoded.ok().and_then(|value| Key::try_from(value).ok()).unwrap_or(Key::None)
    }

    /// Bytes of its encoding.
    pub(crate) fn encoded_len(&self) -> usize {
        match self {
            Self::None => 1,
            Self::Bool(_) => 2,
            Self::Int(_) => 9,
            Self::Bytes(bytes) => HEAD_LEN + bytes.len(),
            Self::Str(str) => HEAD_LEN + str.len(),
        }
    }

    /// Appends its encoding, which is the protocol's.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::None => out.push(NONE),
            Self::Bool(bool) => out.extend_from_slice(&[BOOL, (*bool).into()]),
            Self::Int(int) => {
                out.push(INT);
                out.extend_from_slice(&int.to_be_bytes());
            }
            Self::Bytes(bytes) => encode_data(BYTES, bytes, out),
            Self::Str(str) => encode_data(STRING, str.as_bytes(), out),
        }
    }

    /// Whether `encoded`, which begins with a key, begins with this one.
    #[inline]
    pub(crate) fn is_at_front_of(&self, encoded: &[u8]) -> bool {
        match self {
            Self::None => encoded.first() == Some(&NONE),
            Self::Bool(bool) => int_at_front(encoded) == Some((*bool).into()),
            Self::Int(int) => int_at_front(encoded) == Some(*int),
            Self::Bytes(bytes) => data_at_front(BYTES, encoded) == Some(bytes),
            Self::Str(str) => data_at_front(STRING, encoded) == Some(str.as_bytes()),
        }
    }

    pub(crate) fn hash_with(&self, hasher: &impl BuildHasher) -> u32 {
        let mut state = hasher.build_hasher();
        match self {
            Self::None => NONE.hash(&mut state),
            Self::Bool(bool) => i64::from(*bool).hash(&mut state),
            Self::Int(int) => int.hash(&mut state),
            Self::Bytes(bytes) => state.write(bytes),
            Self::Str(str) => state.write(str.as_bytes()),
        }
        let hash = state.finish();
        #[expect(clippy::cast_possible_truncation, reason = "both halves are in it")]
        let folded = (hash ^ (hash >> 32)) as u32;
        folded
    }

    /// What a pattern is matched against; only what is no string is written, into `scratch`.
    pub(crate) fn text<'t>(&self, scratch: &'t mut String) -> Cow<'t, str>
    where
        'a: 't,
    {
        if let Self::Str(str) = *self {
            return Cow::Borrowed(str);
        }
        scratch.clear();
        // Writing to a string cannot fail.
        let _ = write!(scratch, "{self}");
        Cow::Borrowed(scratch)
    }
}

impl fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Bool(true) => f.write_str("True"),
            Self::Bool(false) => f.write_str("False"),
            Self::Int(int) => int.fmt(f),
            Self::Bytes(bytes) => fmt_bytes(bytes, f),
            Self::Str(str) => f.write_str(str),
        }
    }
}

/// Length of the key that `encoded` begins with.
#[inline]
pub(crate) fn encoded_key_len(encoded: &[u8]) -> usize {
    match encoded.first() {
        Some(&BOOL) => 2,
        Some(&INT) => 9,
        Some(&(BYTES | STRING)) => HEAD_LEN + data_len(encoded),
        _ => 1,
    }
}

/// The string that `encoded` begins with, if it does, as bytes of UTF-8.
#[inline]
pub(crate) fn str_at_front(encoded: &[u8]) -> Option<&[u8]> {
    data_at_front(STRING, encoded)
}

#[inline]
fn data_at_front(tag: u8, encoded: &[u8]) -> Option<&[u8]> {
    if encoded.first() != Some(&tag) {
        return None;
    }
    encoded.get(HEAD_LEN..HEAD_LEN + data_len(encoded))
}

#[inline]
fn data_len(encoded: &[u8]) -> usize {
    match encoded.get(1..).and_then(<[u8]>::first_chunk) {
        Some(len) => u32::from_be_bytes(*len) as usize,
        None => 0,
    }
}

#[inline]
fn int_at_front(encoded: &[u8]) -> Option<i64> {
    match *encoded {
        [INT, ref int @ ..] => int.first_chunk().map(|int| i64::from_be_bytes(*int)),
        [BOOL, bool, ..] => Some((bool != 0).into()),
        _ => None,
    }
}

fn encode_data(tag: u8, data: &[u8], out: &mut Vec<u8>) {
    // What came in a frame is no longer than a frame.
    let len = u32::try_from(data.len()).unwrap_or(u32::MAX);
    out.push(tag);
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(data);
}

/// Python's `repr` of bytes.
fn fmt_bytes(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let quote = if bytes.contains(&b'\'') && !bytes.contains(&b'"') { '"' } else { '\'' };
    write!(f, "b{quote}")?;
    for &byte in bytes {
        match byte {
            b'\\' => f.write_str("\\\\")?,
            b'\t' => f.write_str("\\t")?,
            b'\n' => f.write_str("\\n")?,
            b'\r' => f.write_str("\\r")?,
            b'\'' if quote == '\'' => f.write_str("\\'")?,
            b' '..=b'~' => f.write_char(byte.into())?,
            _ => write!(f, "\\x{byte:02x}")?,
        }
    }
    f.write_char(quote)
}

const NONE: u8 = 0x00;
const BOOL: u8 = 0x01;
const INT: u8 = 0x05;
const BYTES: u8 = 0x10;
const STRING: u8 = 0x11;

/// Tag and length.
const HEAD_LEN: usize = 5;

#[cfg(test)]
mod tests;
