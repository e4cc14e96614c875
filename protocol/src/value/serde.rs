//! Values as fields of serde types, in our own encoding and in any other format.

use std::fmt;

use ::serde::de::{self, MapAccess, SeqAccess, Visitor};
use ::serde::ser::{SerializeMap, SerializeSeq};
use ::serde::{Deserialize, Deserializer, Serialize, Serializer};
use bytes::Bytes;
use bytestring::ByteString;

use super::{Dict, List, Value};
use crate::serde::handoff;

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_struct(handoff::TOKEN, &Whole(self))
    }
}

impl Serialize for List {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl Serialize for Dict {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.len()))?;
        for (key, value) in self {
            map.serialize_entry(&**key, value)?;
        }
        map.end()
    }
}

/// What [`Value`] offers under its newtype name.
struct Whole<'a>(&'a Value);

impl Serialize for Whole<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if handoff::accept(self.0) {
            // Our own serializer has what it wants; the unit is for form's sake.
            return serializer.serialize_unit();
        }
        match self.0 {
            Value::None => serializer.serialize_unit(),
            Value::Bool(bool) => serializer.serialize_bool(*bool),
            Value::Int(int) => serializer.serialize_i64(*int),
            Value::Float(float) => serializer.serialize_f64(*float),
            Value::Bytes(bytes) => serializer.serialize_bytes(bytes),
            Value::Str(string) => serializer.serialize_str(string),
            Value::List(list) => {
                let mut seq = serializer.serialize_seq(Some(list.len()))?;
                for value in list {
                    seq.serialize_element(value)?;
                }
                seq.end()
            }
            Value::Dict(dict) => dict.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(handoff::TOKEN, ValueVisitor)
    }
}

impl<'de> Deserialize<'de> for List {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::List(list) => Ok(list),
            other => Err(wrong_kind(&other, "a list")),
        }
    }
}

impl<'de> Deserialize<'de> for Dict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Dict(dict) => Ok(dict),
            other => Err(wrong_kind(&other, "a dict")),
        }
    }
}

pub(crate) fn wrong_kind<E: de::Error>(found: &Value, expected: &'static str) -> E {
    E::invalid_type(de::Unexpected::Other(found.kind()), &expected)
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "none, a bool, a 64-bit integer, a float, bytes, a string, a list or a dict with string keys",
        )
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        Ok(handoff::given())
    }

    fn visit_none<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::None)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E: de::Error>(self, bool: bool) -> Result<Value, E> {
        Ok(Value::Bool(bool))
    }

    fn visit_i64<E: de::Error>(self, int: i64) -> Result<Value, E> {
        Ok(Value::Int(int))
    }

    fn visit_u64<E: de::Error>(self, int: u64) -> Result<Value, E> {
        Value::try_from(int).map_err(E::custom)
    }

    fn visit_i128<E: de::Error>(self, int: i128) -> Result<Value, E> {
        Value::try_from(int).map_err(E::custom)
    }

    fn visit_u128<E: de::Error>(self, int: u128) -> Result<Value, E> {
        Value::try_from(int).map_err(E::custom)
    }

    fn visit_f64<E: de::Error>(self, float: f64) -> Result<Value, E> {
        Ok(Value::Float(float))
    }

    fn visit_str<E: de::Error>(self, str: &str) -> Result<Value, E> {
        Ok(Value::from(str))
    }

    fn visit_string<E: de::Error>(self, string: String) -> Result<Value, E> {
        Ok(Value::from(string))
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Value, E> {
        Ok(Value::from(bytes))
    }

    fn visit_byte_buf<E: de::Error>(self, bytes: Vec<u8>) -> Result<Value, E> {
        Ok(Value::Bytes(Bytes::from(bytes)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = List::new();
        while let Some(value) = items.next_element::<Value>()? {
            list.push(value);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut pairs: A) -> Result<Value, A::Error> {
        let mut dict = Dict::new();
        while let Some((key, value)) = pairs.next_entry::<ByteString, Value>()? {
            dict.insert(key, value);
        }
        Ok(Value::Dict(dict))
    }
}
