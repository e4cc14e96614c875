//! Why bytes are no value, and why a value cannot become bytes.

use std::str::Utf8Error;

/// A payload is not what it has to be. The frame around it was whole, so only its call ends.
///
/// Offsets count from the first byte of the payload.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The payload ends inside a value.
    #[error("payload is truncated: {what} at byte {offset} needs {needed} bytes, {left} are left")]
    Truncated {
        /// The part that was being read.
        what: &'static str,
        /// Where it starts.
        offset: usize,
        /// Bytes it takes.
        needed: usize,
        /// Bytes that were there.
        left: usize,
    },
    /// A value starts with a byte that is no type tag.
    #[error(
        "unknown type tag {tag:#04x} at payload byte {offset}, expected one of 0x00 none, 0x01 bool, 0x05 int, 0x06 float, 0x10 bytes, 0x11 string, 0x20 list, 0x21 dict"
    )]
    UnknownTag {
        /// The byte that was there.
        tag: u8,
        /// Where it is.
        offset: usize,
    },
    /// A string or bytes value is over [`MAX_DATA_LEN`](crate::MAX_DATA_LEN).
    #[error("{what} of {len} bytes at payload byte {offset} exceeds the limit of {max} bytes")]
    DataTooLong {
        /// "string" or "bytes".
        what: &'static str,
        /// Where its tag is.
        offset: usize,
        /// The length it claims, in bytes.
        len: u32,
        /// The longest accepted, in bytes.
        max: u32,
    },
    /// A list or dict is over [`MAX_ITEM_COUNT`](crate::MAX_ITEM_COUNT).
    #[error("{what} of {count} items at payload byte {offset} exceeds the limit of {max} items")]
    TooManyItems {
        /// "list" or "dict".
        what: &'static str,
        /// Where its tag is.
        offset: usize,
        /// The items it claims.
        count: u32,
        /// The most accepted.
        max: u32,
    },
    /// A list or dict claims more items than the rest of the payload could hold.
    #[error("{what} of {count} items at payload byte {offset} cannot fit in the {left} bytes left")]
    CountExceedsPayload {
        /// "list" or "dict".
        what: &'static str,
        /// Where its tag is.
        offset: usize,
        /// The items it claims.
        count: u32,
        /// Bytes left behind the count.
        left: usize,
    },
    /// Lists and dicts nest deeper than [`MAX_DEPTH`](crate::MAX_DEPTH), or than
    /// [`MAX_TYPED_DEPTH`](crate::MAX_TYPED_DEPTH) where serde decodes a caller's type.
    #[error("value at payload byte {offset} is nested deeper than {max} levels")]
    TooDeep {
        /// Where the value one level too deep starts.
        offset: usize,
        /// The deepest accepted.
        max: usize,
    },
    /// A string is not UTF-8.
    #[error("string at payload byte {offset} is not UTF-8")]
    InvalidUtf8 {
        /// Where its first byte is.
        offset: usize,
        /// What is wrong with it.
        source: Utf8Error,
    },
    /// A dict has a key that is not a string.
    #[error("dict key at payload byte {offset}: found {found}, expected string")]
    KeyNotString {
        /// Where its tag is.
        offset: usize,
        /// What kind of value it is.
        found: &'static str,
    },
    /// The payload goes on after its one value.
    #[error("{count} bytes follow the value that ends at payload byte {offset}")]
    TrailingBytes {
        /// Where the value ended.
        offset: usize,
        /// Bytes behind it.
        count: usize,
    },
    /// A message's payload is not a dict.
    #[error("{message} payload: found {found}, expected dict")]
    NotADict {
        /// The message type.
        message: &'static str,
        /// What kind of value it is.
        found: &'static str,
    },
    /// A message lacks a key.
    #[error("{message} payload has no key {field:?}")]
    MissingField {
        /// The message type.
        message: &'static str,
        /// The key that has to be there.
        field: &'static str,
    },
    /// A message has a value of the wrong kind under a key.
    #[error("{field:?} of the {message} payload: found {found}, expected {expected}")]
    WrongKind {
        /// The message type.
        message: &'static str,
        /// The key.
        field: &'static str,
        /// What has to be there.
        expected: &'static str,
        /// What is there.
        found: &'static str,
    },
    /// A message has a number that stands for nothing under a key.
    #[error("{field:?} of the {message} payload: found {found}, expected {expected}")]
    OutOfRange {
        /// The message type.
        message: &'static str,
        /// The key.
        field: &'static str,
        /// What is allowed.
        expected: &'static str,
        /// What is there.
        found: i64,
    },
    /// The value does not fit the type it is decoded into; the text is serde's.
    #[error("{0}")]
    Mismatch(String),
}

impl serde::de::Error for DecodeError {
    fn custom<T: std::fmt::Display>(text: T) -> Self {
        Self::Mismatch(text.to_string())
    }
}

/// A value cannot be encoded. Nothing of it was left in the output.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// A string or bytes value is over [`MAX_DATA_LEN`](crate::MAX_DATA_LEN).
    #[error("{what} of {len} bytes exceeds the limit of {max} bytes")]
    DataTooLong {
        /// "string" or "bytes".
        what: &'static str,
        /// Its length in bytes.
        len: usize,
        /// The longest allowed, in bytes.
        max: u32,
    },
    /// A list or dict is over [`MAX_ITEM_COUNT`](crate::MAX_ITEM_COUNT).
    #[error("{what} of {count} or more items exceeds the limit of {max} items")]
    TooManyItems {
        /// "list" or "dict".
        what: &'static str,
        /// Its items, as far as they were counted.
        count: usize,
        /// The most allowed.
        max: u32,
    },
    /// Lists and dicts nest deeper than [`MAX_DEPTH`](crate::MAX_DEPTH), the message's own dict included.
    #[error("value is nested deeper than {max} levels")]
    TooDeep {
        /// The deepest allowed.
        max: usize,
    },
    /// An integer is no `i64`, the only integer of the protocol.
    #[error("integer {value} does not fit in 64 bits with sign ({} to {})", i64::MIN, i64::MAX)]
    IntOutOfRange {
        /// The number in decimal.
        value: String,
    },
    /// A map key has a type whose `str()` in Python no one would want as a key.
    #[error("dict key: found {found}, expected string, number, bool or none")]
    UnsupportedKey {
        /// What kind of value it is.
        found: &'static str,
    },
    /// The message is longer than a frame may be.
    #[error("payload of {len} bytes exceeds the limit of {max} bytes")]
    PayloadTooLarge {
        /// The payload's length in bytes.
        len: usize,
        /// The longest allowed, in bytes.
        max: u32,
    },
    /// A `Serialize` implementation failed; the text is its own.
    #[error("{0}")]
    Custom(String),
}

impl serde::ser::Error for EncodeError {
    fn custom<T: std::fmt::Display>(text: T) -> Self {
        Self::Custom(text.to_string())
    }
}
