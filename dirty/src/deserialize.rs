//! Arguments through serde.

use bytes::Bytes;
use gunmetal_protocol::{DecodeError, ValueRef, from_slice};
use serde::de::{Deserialize, Deserializer, Visitor};
use serde::forward_to_deserialize_any;

/// Converts an argument within `payload` to any type that serde knows; strings and bytes may be borrowed.
pub(crate) fn deserialize<'a, T: Deserialize<'a>>(
    argument: ValueRef<'a>,
    payload: &'a Bytes,
) -> Result<T, DecodeError> {
    match argument {
        ValueRef::List(list) => from_slice(list.encoded()),
        ValueRef::Dict(dict) => from_slice(dict.encoded()),
        ValueRef::Str(text) => from_slice(with_head(text.as_bytes(), payload)?),
        ValueRef::Bytes(bytes) => from_slice(with_head(bytes, payload)?),
        ValueRef::None | ValueRef::Bool(_) | ValueRef::Int(_) | ValueRef::Float(_) => {
            T::deserialize(Scalar(argument))
        }
    }
}

/// The encoded value whose content is `data`: its tag and length stand before it.
fn with_head<'a>(data: &[u8], payload: &'a Bytes) -> Result<&'a [u8], DecodeError> {
    let content = (data.as_ptr() as usize).checked_sub(payload.as_ptr() as usize);
    let encoded =
        content.and_then(|content| payload.get(content.checked_sub(HEAD_LEN)?..content + data.len()));
    encoded.ok_or_else(|| DecodeError::Mismatch("argument is no part of this call".to_owned()))
}

/// Tag and length of a string or bytes value.
const HEAD_LEN: usize = 5;

/// A value without content that could be borrowed.
struct Scalar<'a>(ValueRef<'a>);

impl<'de> Deserializer<'de> for Scalar<'_> {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.0 {
            ValueRef::Bool(bool) => visitor.visit_bool(bool),
            ValueRef::Int(int) => visitor.visit_i64(int),
            ValueRef::Float(float) => visitor.visit_f64(float),
            _ => visitor.visit_unit(),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        if self.0.is_none() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        seq tuple tuple_struct map struct enum identifier ignored_any
    }
}
