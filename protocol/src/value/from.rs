//! What becomes a value by `into()`.

use bytes::Bytes;
use bytestring::ByteString;

use super::{Dict, List, Value};

impl From<()> for Value {
    fn from((): ()) -> Self {
        Self::None
    }
}

impl From<bool> for Value {
    fn from(bool: bool) -> Self {
        Self::Bool(bool)
    }
}

impl From<f64> for Value {
    fn from(float: f64) -> Self {
        Self::Float(float)
    }
}

impl From<f32> for Value {
    fn from(float: f32) -> Self {
        Self::Float(float.into())
    }
}

macro_rules! from_integers {
    ($($int:ty),*) => {$(
        impl From<$int> for Value {
            fn from(int: $int) -> Self {
                Self::Int(int.into())
            }
        }
    )*};
}
from_integers!(i8, i16, i32, i64, u8, u16, u32);

macro_rules! try_from_integers {
    ($($int:ty),*) => {$(
        impl TryFrom<$int> for Value {
            type Error = crate::EncodeError;

            fn try_from(int: $int) -> Result<Self, Self::Error> {
                i64::try_from(int)
                    .map(Self::Int)
                    .map_err(|_| crate::EncodeError::IntOutOfRange { value: int.to_string() })
            }
        }
    )*};
}
try_from_integers!(u64, i128, u128, usize, isize);

impl From<Bytes> for Value {
    fn from(bytes: Bytes) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes.into())
    }
}

impl From<&[u8]> for Value {
    fn from(bytes: &[u8]) -> Self {
        Self::Bytes(Bytes::copy_from_slice(bytes))
    }
}

impl<const N: usize> From<&[u8; N]> for Value {
    fn from(bytes: &[u8; N]) -> Self {
        Self::Bytes(Bytes::copy_from_slice(bytes))
    }
}

impl From<&str> for Value {
    fn from(string: &str) -> Self {
        Self::Str(string.into())
    }
}

impl From<String> for Value {
    fn from(string: String) -> Self {
        Self::Str(string.into())
    }
}

impl From<&String> for Value {
    fn from(string: &String) -> Self {
        Self::Str(string.as_str().into())
    }
}

impl From<std::borrow::Cow<'_, str>> for Value {
    fn from(string: std::borrow::Cow<'_, str>) -> Self {
        Self::Str(string.into_owned().into())
    }
}

impl From<char> for Value {
    fn from(char: char) -> Self {
        Self::Str(char.to_string().into())
    }
}

impl From<ByteString> for Value {
    fn from(string: ByteString) -> Self {
        Self::Str(string)
    }
}

impl From<List> for Value {
    fn from(list: List) -> Self {
        Self::List(list)
    }
}

impl From<Vec<Value>> for Value {
    fn from(values: Vec<Value>) -> Self {
        Self::List(values.into())
    }
}

impl<const N: usize> From<[Value; N]> for Value {
    fn from(values: [Value; N]) -> Self {
        Self::List(Vec::from(values).into())
    }
}

macro_rules! from_vectors {
    ($($item:ty),*) => {$(
        impl From<Vec<$item>> for Value {
            fn from(items: Vec<$item>) -> Self {
                Self::List(items.into_iter().collect())
            }
        }
    )*};
}
from_vectors!(bool, i32, i64, u32, f32, f64, &str, String, ByteString, Bytes, Dict, List);

impl From<Dict> for Value {
    fn from(dict: Dict) -> Self {
        Self::Dict(dict)
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(option: Option<T>) -> Self {
        option.map_or(Self::None, Into::into)
    }
}

impl From<&Value> for Value {
    fn from(value: &Value) -> Self {
        value.clone()
    }
}

impl From<crate::ValueRef<'_>> for Value {
    fn from(value: crate::ValueRef<'_>) -> Self {
        value.to_value()
    }
}

impl<T: Into<Value>> FromIterator<T> for Value {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        Self::List(values.into_iter().collect())
    }
}
