//! The pairs of a dict, for a map or a struct.

use ::serde::de::{self, DeserializeSeed};

use super::de::Deserializer;
use super::de_key::KeyDeserializer;
use crate::error::DecodeError;

/// The pairs of a dict in order. Of a struct's repeated fields only the last one is shown, as in
/// Python; a map type sees them all and keeps the last itself.
pub(super) struct MapAccess<'r, 'de> {
    pairs: Deserializer<'r, 'de>,
    left: u32,
    /// The repeated fields, and how many more pairs with that key are to come; mostly empty.
    repeated: Vec<(&'de str, u32)>,
}

impl<'r, 'de> MapAccess<'r, 'de> {
    /// `fields` are the keys of which a type accepts only one; none for maps.
    pub(super) fn new(
        pairs: Deserializer<'r, 'de>,
        count: u32,
        fields: &[&str],
    ) -> Result<Self, DecodeError> {
        let mut access = Self { pairs, left: count, repeated: Vec::new() };
        if !fields.is_empty() && count > 1 {
            access.find_repeated(fields)?;
        }
        Ok(access)
    }

    /// Pairs that were not visited.
    pub(super) fn left(&self) -> u32 {
        self.left
    }

    /// Looks through all pairs once, ahead of the visitor, for fields that come again.
    fn find_repeated(&mut self, fields: &[&str]) -> Result<(), DecodeError> {
        let mut ahead = self.pairs.reader.clone();
        let mut seen = Seen::new(fields.len());
        for at in 0..self.left {
            let key = ahead.key()?;
            ahead.value(self.pairs.depth)?;
            // The usual place first: most peers write the fields in their order.
            let at = at as usize;
            let field = if fields.get(at) == Some(&key) {
                Some(at)
            } else {
                fields.iter().position(|name| *name == key)
            };
            if field.is_some_and(|field| seen.again(field)) {
                match self.repeated.iter_mut().find(|(name, _)| *name == key) {
                    Some((_, more)) => *more += 1,
                    None => self.repeated.push((key, 1)),
                }
            }
        }
        Ok(())
    }

    /// Whether the pair with this key is followed by another one with it, and so does not count.
    fn is_overridden(&mut self, key: &str) -> bool {
        let Some((_, more)) = self.repeated.iter_mut().find(|(name, _)| *name == key) else { return false };
        let overridden = *more > 0;
        *more = more.saturating_sub(1);
        overridden
    }
}

impl<'de> de::MapAccess<'de> for &mut MapAccess<'_, 'de> {
    type Error = DecodeError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, DecodeError> {
        while self.left > 0 {
            self.left -= 1;
            let key = self.pairs.reader.key()?;
            if !self.repeated.is_empty() && self.is_overridden(key) {
                self.pairs.reader.value(self.pairs.depth)?;
                continue;
            }
            return seed.deserialize(KeyDeserializer { key }).map(Some);
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, DecodeError> {
        let depth = self.pairs.depth;
        seed.deserialize(self.pairs.reborrow(depth))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left as usize)
    }
}

/// Which fields of a struct were seen; allocates only for structs with more than 128.
struct Seen {
    first: u128,
    rest: Vec<bool>,
}

impl Seen {
    fn new(fields: usize) -> Self {
        Self { first: 0, rest: vec![false; fields.saturating_sub(128)] }
    }

    /// Whether the field was seen before; from now on it was.
    fn again(&mut self, field: usize) -> bool {
        match field.checked_sub(128) {
            None => {
                let before = self.first;
                self.first |= 1 << field;
                before == self.first
            }
            Some(field) => std::mem::replace(&mut self.rest[field], true),
        }
    }
}
