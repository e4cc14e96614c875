//! Conversion of arguments to the types that actions declare.

use bytes::Bytes;
use bytestring::ByteString;
use gunmetal_protocol::{Dict, Value, ValueRef};

use crate::call::Call;

/// A type that arguments convert to without serde.
///
/// Actions may take any type that serde can deserialize. The types here go before it because they do better: they
/// borrow from the request or share its memory instead of copying.
pub trait FromArgument<'a>: Sized {
    /// Converts an argument of `call`.
    ///
    /// # Errors
    ///
    /// A text that says what does not fit; it may be empty if the kind of value alone says it.
    fn from_argument(argument: ValueRef<'a>, call: &Call<'a>) -> Result<Self, String>;
}

impl<'a> FromArgument<'a> for ValueRef<'a> {
    fn from_argument(argument: ValueRef<'a>, _: &Call<'a>) -> Result<Self, String> {
        Ok(argument)
    }
}

impl<'a> FromArgument<'a> for Value {
    fn from_argument(argument: ValueRef<'a>, call: &Call<'a>) -> Result<Self, String> {
        call.value(argument).map_err(|error| error.to_string())
    }
}

impl<'a> FromArgument<'a> for Dict {
    fn from_argument(argument: ValueRef<'a>, call: &Call<'a>) -> Result<Self, String> {
        match Value::from_argument(argument, call)? {
            Value::Dict(dict) => Ok(dict),
            _ => Err(String::new()),
        }
    }
}

impl<'a> FromArgument<'a> for Vec<Value> {
    fn from_argument(argument: ValueRef<'a>, call: &Call<'a>) -> Result<Self, String> {
        match Value::from_argument(argument, call)? {
            Value::List(items) => Ok(items.into_vec()),
            _ => Err(String::new()),
        }
    }
}

impl<'a> FromArgument<'a> for &'a str {
    fn from_argument(argument: ValueRef<'a>, _: &Call<'a>) -> Result<Self, String> {
        argument.as_str().ok_or_else(String::new)
    }
}

impl<'a> FromArgument<'a> for &'a [u8] {
    fn from_argument(argument: ValueRef<'a>, _: &Call<'a>) -> Result<Self, String> {
        argument.as_bytes().ok_or_else(String::new)
    }
}

impl<'a> FromArgument<'a> for Bytes {
    fn from_argument(argument: ValueRef<'a>, call: &Call<'a>) -> Result<Self, String> {
        <&[u8]>::from_argument(argument, call).map(|bytes| call.bytes(bytes))
    }
}

impl<'a> FromArgument<'a> for Vec<u8> {
    fn from_argument(argument: ValueRef<'a>, call: &Call<'a>) -> Result<Self, String> {
        <&[u8]>::from_argument(argument, call).map(<[u8]>::to_vec)
    }
}

impl<'a> FromArgument<'a> for ByteString {
    fn from_argument(argument: ValueRef<'a>, call: &Call<'a>) -> Result<Self, String> {
        let text = <&str>::from_argument(argument, call)?;
        ByteString::try_from(call.bytes(text.as_bytes())).map_err(|error| error.to_string())
    }
}

impl<'a, T: FromArgument<'a>> FromArgument<'a> for Option<T> {
    fn from_argument(argument: ValueRef<'a>, call: &Call<'a>) -> Result<Self, String> {
        if argument.is_none() { Ok(None) } else { T::from_argument(argument, call).map(Some) }
    }
}
