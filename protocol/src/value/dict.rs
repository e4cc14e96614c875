//! A dict of values.

use std::ops::{Deref, DerefMut, Index};

use bytestring::ByteString;
use indexmap::IndexMap;

use super::Value;

/// A dict with string keys, like Python's: it keeps the order of insertion, and assigning to a key that
/// is there replaces its value in place. An [`IndexMap`] in all it does, but dropped without recursion
/// however deep it nests.
#[derive(Clone, PartialEq, Default)]
pub struct Dict(pub(super) IndexMap<ByteString, Value>);

impl Dict {
    /// An empty dict.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty dict with room for `capacity` pairs.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self(IndexMap::with_capacity(capacity))
    }

    /// Sets the value under `key`; gives back the one that was there.
    pub fn insert(&mut self, key: impl Into<ByteString>, value: impl Into<Value>) -> Option<Value> {
        self.0.insert(key.into(), value.into())
    }

    /// The value under `key`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key)
    }

    /// Takes the value under `key` out; the pairs behind it move up.
    pub fn remove(&mut self, key: &str) -> Option<Value> {
        self.0.shift_remove(key)
    }

    /// The pairs as a plain map.
    #[must_use]
    pub fn into_map(mut self) -> IndexMap<ByteString, Value> {
        std::mem::take(&mut self.0)
    }
}

impl Deref for Dict {
    type Target = IndexMap<ByteString, Value>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for Dict {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl Index<&str> for Dict {
    type Output = Value;

    /// # Panics
    ///
    /// If there is no such key.
    fn index(&self, key: &str) -> &Value {
        &self.0[key]
    }
}

impl<K: Into<ByteString>, V: Into<Value>> FromIterator<(K, V)> for Dict {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        Self(pairs.into_iter().map(|(key, value)| (key.into(), value.into())).collect())
    }
}

impl<K: Into<ByteString>, V: Into<Value>> Extend<(K, V)> for Dict {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, pairs: I) {
        self.0.extend(pairs.into_iter().map(|(key, value)| (key.into(), value.into())));
    }
}

impl IntoIterator for Dict {
    type Item = (ByteString, Value);
    type IntoIter = indexmap::map::IntoIter<ByteString, Value>;

    fn into_iter(self) -> Self::IntoIter {
        self.into_map().into_iter()
    }
}

impl<'a> IntoIterator for &'a Dict {
    type Item = (&'a ByteString, &'a Value);
    type IntoIter = indexmap::map::Iter<'a, ByteString, Value>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}
