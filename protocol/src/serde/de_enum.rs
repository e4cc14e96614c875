//! An enum: `"Variant"`, or `{"Variant": content}`.

use ::serde::de::{self, DeserializeSeed, Visitor};

use super::de::Deserializer;
use crate::error::DecodeError;
use crate::reader::Token;
use crate::tag;

/// A variant's name, and its content if it has some.
pub(super) struct EnumAccess<'r, 'de> {
    name: &'de str,
    content: Option<Deserializer<'r, 'de>>,
}

impl<'r, 'de> EnumAccess<'r, 'de> {
    pub(super) fn new(mut from: Deserializer<'r, 'de>) -> Result<Self, DecodeError> {
        let tag = from.reader.peek_tag()?;
        match from.reader.token()? {
            Token::Str(name) => Ok(Self { name, content: None }),
            Token::Dict(1) => {
                let depth = from.deeper()?.depth;
                let name = from.reader.key()?;
                Ok(Self { name, content: Some(Deserializer { depth, ..from }) })
            }
            Token::Dict(count) => Err(de::Error::invalid_length(
                count as usize,
                &"an enum variant: a string, or a dict with one key",
            )),
            _ => Err(de::Error::invalid_type(
                de::Unexpected::Other(tag::kind(tag)),
                &"an enum variant: a string, or a dict with one key",
            )),
        }
    }

    fn content(self, expected: &'static str) -> Result<Deserializer<'r, 'de>, DecodeError> {
        self.content.ok_or_else(|| de::Error::invalid_type(de::Unexpected::UnitVariant, &expected))
    }
}

impl<'de> de::EnumAccess<'de> for EnumAccess<'_, 'de> {
    type Error = DecodeError;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), DecodeError> {
        let name: de::value::BorrowedStrDeserializer<'de, DecodeError> =
            de::value::BorrowedStrDeserializer::new(self.name);
        Ok((seed.deserialize(name)?, self))
    }
}

impl<'de> de::VariantAccess<'de> for EnumAccess<'_, 'de> {
    type Error = DecodeError;

    fn unit_variant(self) -> Result<(), DecodeError> {
        match self.content {
            None => Ok(()),
            // gunicorn's side may write `{"Variant": None}`.
            Some(content) => de::Deserialize::deserialize(content),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, DecodeError> {
        seed.deserialize(self.content("newtype variant")?)
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, DecodeError> {
        de::Deserializer::deserialize_tuple(self.content("tuple variant")?, len, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        de::Deserializer::deserialize_struct(self.content("struct variant")?, "", fields, visitor)
    }
}
