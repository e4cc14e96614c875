//! What a table's entries are found by.

use std::fmt;

use bytes::Bytes;
use bytestring::ByteString;
use gunmetal_protocol::{DecodeError, Value, ValueRef};
use serde::{Deserialize, Serialize};

use super::key_text::write_bytes_repr;

/// A key of a stash table; made by `into()` from strings, integers, bools, bytes and `()`.
///
/// Keys are equal as in a Python dict, so that `true` and `1` name the same entry; a table keeps the
/// key that was put first. As Rust values the two differ. A key prints as Python's `str` of it, which is
/// what patterns are matched against. It can be an argument or a result of an action.
///
/// ```
/// use gunmetal_client_core::StashKey;
///
/// let key = StashKey::from("user:1");
/// assert_eq!(key, "user:1");
/// assert_eq!(key.as_str(), Some("user:1"));
/// assert_eq!(StashKey::from(7).as_int(), Some(7));
/// assert_eq!(StashKey::from(b"\x00a").to_string(), r"b'\x00a'");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
pub enum StashKey {
    /// Python's `None`.
    #[default]
    None,
    /// A truth value.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// Bytes.
    Bytes(Bytes),
    /// A string.
    Str(ByteString),
}

impl StashKey {
    /// The key as a string, if it is one.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            StashKey::Str(string) => Some(string),
            _ => None,
        }
    }

    /// The key as an integer, if it is one.
    #[must_use]
    pub fn as_int(&self) -> Option<i64> {
        match self {
            StashKey::Int(int) => Some(*int),
            _ => None,
        }
    }

    /// The key as bytes, if it is such.
    #[must_use]
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            StashKey::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The key as it travels.
    pub(crate) fn to_value(&self) -> Value {
        match self {
            StashKey::None => Value::None,
            StashKey::Bool(bool) => Value::Bool(*bool),
            StashKey::Int(int) => Value::Int(*int),
            StashKey::Bytes(bytes) => Value::Bytes(bytes.clone()),
            StashKey::Str(string) => Value::Str(string.clone()),
        }
    }

    /// The key that a reply holds.
    pub(crate) fn read(key: ValueRef<'_>) -> Result<StashKey, DecodeError> {
        Ok(match key {
            ValueRef::None => StashKey::None,
            ValueRef::Bool(bool) => StashKey::Bool(bool),
            ValueRef::Int(int) => StashKey::Int(int),
            ValueRef::Bytes(bytes) => bytes.into(),
            ValueRef::Str(string) => string.into(),
            other => {
                // gunicorn's tables take floats too.
                let found = other.kind();
                let expected = "string, int, bool, bytes or none";
                return Err(DecodeError::Mismatch(format!(
                    "a stash key: found {found}, expected {expected}"
                )));
            }
        })
    }

    /// All keys of a reply.
    pub(crate) fn read_all(payload: &[u8]) -> Result<Vec<StashKey>, DecodeError> {
        let list = ValueRef::decode(payload)?;
        let Some(list) = list.as_list() else {
            return Err(DecodeError::Mismatch(format!("found {}, expected a list of keys", list.kind())));
        };
        list.iter().map(StashKey::read).collect()
    }
}

impl fmt::Display for StashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StashKey::None => f.write_str("None"),
            StashKey::Bool(true) => f.write_str("True"),
            StashKey::Bool(false) => f.write_str("False"),
            StashKey::Int(int) => write!(f, "{int}"),
            StashKey::Bytes(bytes) => write_bytes_repr(bytes, f),
            StashKey::Str(string) => f.write_str(string),
        }
    }
}

fn wrong_kind(found: &str) -> DecodeError {
    DecodeError::Mismatch(format!("a stash key: found {found}, expected string, int, bool, bytes or none"))
}

impl From<()> for StashKey {
    fn from((): ()) -> StashKey {
        StashKey::None
    }
}

impl From<bool> for StashKey {
    fn from(bool: bool) -> StashKey {
        StashKey::Bool(bool)
    }
}

macro_rules! from_integers {
    ($($int:ty),*) => {$(
        impl From<$int> for StashKey {
            fn from(int: $int) -> StashKey {
                StashKey::Int(int.into())
            }
        }
    )*};
}
from_integers!(i8, i16, i32, i64, u8, u16, u32);

macro_rules! from_strings {
    ($($string:ty),*) => {$(
        impl From<$string> for StashKey {
            fn from(string: $string) -> StashKey {
                StashKey::Str(string.into())
            }
        }
    )*};
}
from_strings!(&str, String, ByteString);

impl From<&String> for StashKey {
    fn from(string: &String) -> StashKey {
        StashKey::from(string.as_str())
    }
}

impl From<Bytes> for StashKey {
    fn from(bytes: Bytes) -> StashKey {
        StashKey::Bytes(bytes)
    }
}

impl From<Vec<u8>> for StashKey {
    fn from(bytes: Vec<u8>) -> StashKey {
        StashKey::Bytes(bytes.into())
    }
}

impl From<&[u8]> for StashKey {
    fn from(bytes: &[u8]) -> StashKey {
        StashKey::Bytes(Bytes::copy_from_slice(bytes))
    }
}

impl<const N: usize> From<&[u8; N]> for StashKey {
    fn from(bytes: &[u8; N]) -> StashKey {
        StashKey::from(bytes.as_slice())
    }
}

impl<K: Into<StashKey>> From<Option<K>> for StashKey {
    fn from(key: Option<K>) -> StashKey {
        key.map_or(StashKey::None, Into::into)
    }
}

impl From<&StashKey> for StashKey {
    fn from(key: &StashKey) -> StashKey {
        key.clone()
    }
}

impl PartialEq<str> for StashKey {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == Some(other)
    }
}

impl PartialEq<&str> for StashKey {
    fn eq(&self, other: &&str) -> bool {
        self == *other
    }
}

impl PartialEq<i64> for StashKey {
    fn eq(&self, other: &i64) -> bool {
        self.as_int() == Some(*other)
    }
}

impl TryFrom<Value> for StashKey {
    type Error = DecodeError;

    fn try_from(key: Value) -> Result<StashKey, DecodeError> {
        Ok(match key {
            Value::None => StashKey::None,
            Value::Bool(bool) => StashKey::Bool(bool),
            Value::Int(int) => StashKey::Int(int),
            Value::Bytes(bytes) => StashKey::Bytes(bytes),
            Value::Str(string) => StashKey::Str(string),
            other => return Err(wrong_kind(other.kind())),
        })
    }
}

impl From<StashKey> for Value {
    fn from(key: StashKey) -> Value {
        key.to_value()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_prints_as_in_python() {
        let text = |key: StashKey| key.to_string();
        assert_eq!(text(().into()), "None");
        assert_eq!(text(true.into()), "True");
        assert_eq!(text((-5).into()), "-5");
        assert_eq!(text("a'b".into()), "a'b");
        assert_eq!(text(b"abc".into()), "b'abc'");
        assert_eq!(text(b"it's".into()), "b\"it's\"");
        assert_eq!(text(b"'\"\\\n\t\r\x7f\xff".into()), r#"b'\'"\\\n\t\r\x7f\xff'"#);
    }

    #[test]
    fn a_key_goes_through_serde_as_the_value_that_it_is() {
        for key in [StashKey::None, true.into(), 7.into(), b"x".into(), "x".into()] {
            let value = gunmetal_protocol::to_value(&key).unwrap();
            assert_eq!(value, key.to_value());
            assert_eq!(gunmetal_protocol::from_value::<StashKey>(value).unwrap(), key);
        }
        let error = gunmetal_protocol::from_value::<StashKey>(2.5.into()).unwrap_err().to_string();
        assert!(error.contains("found float"), "{error}");
    }

    #[test]
    fn an_absent_key_is_none() {
        assert_eq!(StashKey::from(None::<&str>), StashKey::None);
        assert_eq!(StashKey::from(Some("x")), "x");
    }
}
