//! Bytes to serde's data model.

use ::serde::de::{self, Deserialize, Visitor};
use ::serde::forward_to_deserialize_any;
use bytes::Bytes;

use super::de_enum::EnumAccess;
use super::de_map::MapAccess;
use super::handoff;
use crate::error::DecodeError;
use crate::limits::MAX_TYPED_DEPTH;
use crate::reader::{HEAD_LEN, Reader, Token};
use crate::tag;
use crate::value::Value;

/// Decodes one whole payload; `owner` is the payload as bytes that slices can be taken of.
pub(super) fn from_payload<'de, T: Deserialize<'de>>(
    payload: &'de [u8],
    owner: Option<&Bytes>,
) -> Result<T, DecodeError> {
    let mut reader = Reader::new(payload);
    let value = T::deserialize(Deserializer { reader: &mut reader, owner, depth: 0 })?;
    reader.finish()?;
    Ok(value)
}

/// Takes one value off the front of a reader, checking it on the way.
pub(super) struct Deserializer<'r, 'de> {
    pub(super) reader: &'r mut Reader<'de>,
    pub(super) owner: Option<&'r Bytes>,
    /// Lists and dicts that are open around the value.
    pub(super) depth: usize,
}

impl<'de> Deserializer<'_, 'de> {
    /// The same place one level deeper, for the items of a list or dict whose head was just taken.
    pub(super) fn deeper(&mut self) -> Result<Deserializer<'_, 'de>, DecodeError> {
        if self.depth >= MAX_TYPED_DEPTH {
            return Err(DecodeError::TooDeep {
                offset: self.reader.offset() - HEAD_LEN,
                max: MAX_TYPED_DEPTH,
            });
        }
        Ok(self.reborrow(self.depth + 1))
    }

    pub(super) fn reborrow(&mut self, depth: usize) -> Deserializer<'_, 'de> {
        Deserializer { reader: &mut *self.reader, owner: self.owner, depth }
    }

    fn next_is(&self, tag: u8) -> Result<bool, DecodeError> {
        Ok(self.reader.peek_tag()? == tag)
    }

    fn visit_list<V: Visitor<'de>>(mut self, count: u32, visitor: V) -> Result<V::Value, DecodeError> {
        let mut items = SeqAccess { items: self.deeper()?, left: count };
        let visited = visitor.visit_seq(&mut items)?;
        match items.left {
            0 => Ok(visited),
            left => Err(de::Error::invalid_length(count as usize, &Fewer(count - left))),
        }
    }

    fn visit_dict<V: Visitor<'de>>(
        mut self,
        count: u32,
        fields: &[&str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        let mut pairs = MapAccess::new(self.deeper()?, count, fields)?;
        let visited = visitor.visit_map(&mut pairs)?;
        match pairs.left() {
            0 => Ok(visited),
            left => Err(de::Error::invalid_length(count as usize, &Fewer(count - left))),
        }
    }
}

impl<'de> de::Deserializer<'de> for Deserializer<'_, 'de> {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.reader.token()? {
            Token::None => visitor.visit_unit(),
            Token::Bool(bool) => visitor.visit_bool(bool),
            Token::Int(int) => visitor.visit_i64(int),
            Token::Float(float) => visitor.visit_f64(float),
            Token::Bytes(bytes) => visitor.visit_borrowed_bytes(bytes),
            Token::Str(str) => visitor.visit_borrowed_str(str),
            Token::List(count) => self.visit_list(count, visitor),
            Token::Dict(count) => self.visit_dict(count, &[], visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        if self.next_is(tag::NONE)? {
            self.reader.token()?;
            visitor.visit_none()
        } else {
            visitor.visit_some(self)
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        if name != handoff::TOKEN {
            return visitor.visit_newtype_struct(self);
        }
        let owner = self.owner;
        let value = Value::read(self.reader, self.depth, |slice| match owner {
            Some(owner) => owner.slice_ref(slice),
            None => Bytes::copy_from_slice(slice),
        })?;
        handoff::give(value, visitor)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        if self.next_is(tag::BYTES)?
            && let Token::Bytes(bytes) = self.reader.token()?
        {
            // A `Vec<u8>` may be written as bytes, or as a list of integers.
            return visitor.visit_seq(de::value::SeqDeserializer::new(bytes.iter().copied()));
        }
        self.deserialize_any(visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        if !self.next_is(tag::DICT)? {
            return self.deserialize_any(visitor);
        }
        match self.reader.token()? {
            Token::Dict(count) => self.visit_dict(count, fields, visitor),
            _ => visitor.visit_unit(),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        visitor.visit_enum(EnumAccess::new(self)?)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.reader.value(self.depth)?;
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        tuple_struct map identifier
    }
}

/// The items of a list.
struct SeqAccess<'r, 'de> {
    items: Deserializer<'r, 'de>,
    left: u32,
}

impl<'de> de::SeqAccess<'de> for &mut SeqAccess<'_, 'de> {
    type Error = DecodeError;

    fn next_element_seed<T: de::DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, DecodeError> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        seed.deserialize(self.items.reborrow(self.items.depth)).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left as usize)
    }
}

/// "Expected" of a list or dict with more items than its type takes.
struct Fewer(u32);

impl de::Expected for Fewer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} items", self.0)
    }
}
