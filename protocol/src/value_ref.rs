//! A value as a view of its bytes.

mod checked;

use std::fmt;

use bytes::Bytes;

use crate::error::DecodeError;
use crate::reader::{HEAD_LEN, Reader, Token};
use crate::tag;
use crate::value::Value;

/// A value as a view of the payload it was decoded from: checked once, then read lazily.
///
/// Decoding allocates nothing, whatever the payload holds. A list or dict is its range of bytes, and
/// its items are found when they are asked for.
///
/// ```
/// use gunmetal_protocol::ValueRef;
///
/// let payload = b"\x20\0\0\0\x02\x05\0\0\0\0\0\0\0\x07\x11\0\0\0\x02hi";
/// let value = ValueRef::decode(payload)?;
/// let items: Vec<_> = value.as_list().unwrap().iter().collect();
/// assert_eq!(items[0].as_int(), Some(7));
/// assert_eq!(items[1].as_str(), Some("hi"));
/// # Ok::<(), gunmetal_protocol::DecodeError>(())
/// ```
#[derive(Clone, Copy, PartialEq)]
pub enum ValueRef<'a> {
    /// Python's `None`.
    None,
    /// A bool.
    Bool(bool),
    /// An integer; the protocol has no other size.
    Int(i64),
    /// A float.
    Float(f64),
    /// Raw bytes.
    Bytes(&'a [u8]),
    /// A string.
    Str(&'a str),
    /// A list.
    List(ListRef<'a>),
    /// A dict with string keys.
    Dict(DictRef<'a>),
}

impl<'a> ValueRef<'a> {
    /// Checks a whole payload and gives a view of its value.
    ///
    /// # Errors
    ///
    /// Anything that is not exactly one value within the limits; the error names the offset.
    #[inline]
    pub fn decode(payload: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(payload);
        let value = Self::read(&mut reader, 0)?;
        reader.finish()?;
        Ok(value)
    }

    /// Takes a value that has `outer` lists and dicts around it, checking all of it.
    #[inline]
    pub(crate) fn read(reader: &mut Reader<'a>, outer: usize) -> Result<Self, DecodeError> {
        Ok(match reader.peek_tag()? {
            tag::LIST => Self::List(ListRef { encoded: reader.value(outer)? }),
            tag::DICT => Self::Dict(DictRef { encoded: reader.value(outer)? }),
            _ => Self::from_token(reader.token()?).unwrap_or(Self::None),
        })
    }

    /// The value of a scalar token; `None` for the head of a list or dict.
    #[inline]
    fn from_token(token: Token<'a>) -> Option<Self> {
        Some(match token {
            Token::None => Self::None,
            Token::Bool(bool) => Self::Bool(bool),
            Token::Int(int) => Self::Int(int),
            Token::Float(float) => Self::Float(float),
            Token::Bytes(bytes) => Self::Bytes(bytes),
            Token::Str(str) => Self::Str(str),
            Token::List(_) | Token::Dict(_) => return None,
        })
    }

    /// What kind of value it is, as errors call it: "none", "bool", "int", "float", "bytes", "string",
    /// "list" or "dict".
    #[must_use]
    pub fn kind(&self) -> &'static str {
        tag::kind(match self {
            Self::None => tag::NONE,
            Self::Bool(_) => tag::BOOL,
            Self::Int(_) => tag::INT,
            Self::Float(_) => tag::FLOAT,
            Self::Bytes(_) => tag::BYTES,
            Self::Str(_) => tag::STRING,
            Self::List(_) => tag::LIST,
            Self::Dict(_) => tag::DICT,
        })
    }

    /// Whether it is none.
    #[must_use]
    pub fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    /// The bool, if it is one.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        if let Self::Bool(bool) = *self { Some(bool) } else { None }
    }

    /// The integer, if it is one.
    #[must_use]
    pub fn as_int(&self) -> Option<i64> {
        if let Self::Int(int) = *self { Some(int) } else { None }
    }

    /// The float, if it is one; an integer is none.
    #[must_use]
    pub fn as_float(&self) -> Option<f64> {
        if let Self::Float(float) = *self { Some(float) } else { None }
    }

    /// The bytes, if it is bytes; a string is none.
    #[must_use]
    pub fn as_bytes(&self) -> Option<&'a [u8]> {
        if let Self::Bytes(bytes) = *self { Some(bytes) } else { None }
    }

    /// The string, if it is one.
    #[must_use]
    pub fn as_str(&self) -> Option<&'a str> {
        if let Self::Str(str) = *self { Some(str) } else { None }
    }

    /// The list, if it is one.
    #[must_use]
    pub fn as_list(&self) -> Option<ListRef<'a>> {
        if let Self::List(list) = *self { Some(list) } else { None }
    }

    /// The dict, if it is one.
    #[must_use]
    pub fn as_dict(&self) -> Option<DictRef<'a>> {
        if let Self::Dict(dict) = *self { Some(dict) } else { None }
    }

    /// A value of its own, with everything copied out of the payload.
    #[must_use]
    pub fn to_value(&self) -> Value {
        match *self {
            Self::None => Value::None,
            Self::Bool(bool) => Value::Bool(bool),
            Self::Int(int) => Value::Int(int),
            Self::Float(float) => Value::Float(float),
            Self::Bytes(bytes) => Value::Bytes(Bytes::copy_from_slice(bytes)),
            Self::Str(str) => Value::Str(str.into()),
            Self::List(ListRef { encoded }) | Self::Dict(DictRef { encoded }) => {
                Value::decode(Bytes::copy_from_slice(encoded)).unwrap_or_default()
            }
        }
    }
}

/// A list as a view of its bytes. Two are equal if their bytes are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ListRef<'a> {
    /// Checked; tag and count included.
    encoded: &'a [u8],
}

impl<'a> ListRef<'a> {
    /// A list without items.
    pub const EMPTY: ListRef<'static> = ListRef { encoded: &[tag::LIST, 0, 0, 0, 0] };

    /// Number of items.
    #[must_use]
    pub fn len(&self) -> usize {
        checked::number(self.encoded)
    }

    /// Whether it has no items.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The items in order.
    #[must_use]
    pub fn iter(&self) -> ListIter<'a> {
        ListIter { rest: &self.encoded[HEAD_LEN..], left: self.len() }
    }

    /// The list's own bytes, from its tag to the end of its last item.
    #[must_use]
    pub fn encoded(&self) -> &'a [u8] {
        self.encoded
    }
}

/// A dict as a view of its bytes. Two are equal if their bytes are, so the order of the keys counts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct DictRef<'a> {
    /// Checked; tag and count included.
    encoded: &'a [u8],
}

impl<'a> DictRef<'a> {
    /// A dict without pairs.
    pub const EMPTY: DictRef<'static> = DictRef { encoded: &[tag::DICT, 0, 0, 0, 0] };

    /// Number of pairs, repeated keys counted each time.
    #[must_use]
    pub fn len(&self) -> usize {
        checked::number(self.encoded)
    }

    /// Whether it has no pairs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The pairs in the order of the wire, repeated keys included.
    #[must_use]
    pub fn iter(&self) -> DictIter<'a> {
        DictIter { rest: &self.encoded[HEAD_LEN..], left: self.len() }
    }

    /// The value under `key`, the last one if the key is repeated. Walks the whole dict.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<ValueRef<'a>> {
        let mut pairs = self.iter();
        let mut found = None;
        while let Some((candidate, value)) = pairs.split_pair() {
            if checked::data(candidate) == key.as_bytes() {
                found = Some(value);
            }
        }
        found.map(checked::value)
    }

    /// The dict's own bytes, from its tag to the end of its last value.
    #[must_use]
    pub fn encoded(&self) -> &'a [u8] {
        self.encoded
    }
}

/// The items of a [`ListRef`].
#[derive(Debug, Clone)]
pub struct ListIter<'a> {
    rest: &'a [u8],
    left: usize,
}

impl<'a> ListIter<'a> {
    /// The next item as its own bytes, to be decoded by [`from_slice`](crate::from_slice) into any type.
    #[inline]
    pub fn next_encoded(&mut self) -> Option<&'a [u8]> {
        self.left = self.left.checked_sub(1)?;
        let (value, rest) = checked::split(self.rest);
        self.rest = rest;
        Some(value)
    }
}

impl<'a> Iterator for ListIter<'a> {
    type Item = ValueRef<'a>;

    #[inline]
    fn next(&mut self) -> Option<ValueRef<'a>> {
        self.next_encoded().map(checked::value)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for ListIter<'_> {}

/// The pairs of a [`DictRef`].
#[derive(Debug, Clone)]
pub struct DictIter<'a> {
    rest: &'a [u8],
    left: usize,
}

impl<'a> DictIter<'a> {
    /// The next pair with the value as its own bytes, to be decoded by [`from_slice`](crate::from_slice)
    /// into any type.
    #[inline]
    pub fn next_encoded(&mut self) -> Option<(&'a str, &'a [u8])> {
        self.split_pair().map(|(key, value)| (checked::str(key), value))
    }

    /// The bytes of the next key and of its value.
    #[inline]
    fn split_pair(&mut self) -> Option<(&'a [u8], &'a [u8])> {
        self.left = self.left.checked_sub(1)?;
        let (key, rest) = checked::split(self.rest);
        let (value, rest) = checked::split(rest);
        self.rest = rest;
        Some((key, value))
    }
}

impl<'a> Iterator for DictIter<'a> {
    type Item = (&'a str, ValueRef<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.next_encoded().map(|(key, value)| (key, checked::value(value)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for DictIter<'_> {}

impl<'a> IntoIterator for ListRef<'a> {
    type Item = ValueRef<'a>;
    type IntoIter = ListIter<'a>;

    fn into_iter(self) -> ListIter<'a> {
        self.iter()
    }
}

impl<'a> IntoIterator for DictRef<'a> {
    type Item = (&'a str, ValueRef<'a>);
    type IntoIter = DictIter<'a>;

    fn into_iter(self) -> DictIter<'a> {
        self.iter()
    }
}

impl fmt::Debug for ValueRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_value().fmt(f)
    }
}

impl fmt::Debug for ListRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        ValueRef::List(*self).fmt(f)
    }
}

impl fmt::Debug for DictRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        ValueRef::Dict(*self).fmt(f)
    }
}

#[cfg(test)]
mod tests;
