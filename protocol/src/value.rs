//! A value that owns what it holds.

#[cfg(test)]
pub(crate) mod arbitrary;
mod builder;
mod decode;
mod dict;
mod drop;
mod from;
mod list;
mod serde;
mod show;
mod walk;

use bytes::Bytes;
use bytestring::ByteString;

pub use dict::Dict;
pub use list::List;
pub(crate) use walk::{Step, Walk};

/// A value of the protocol that owns what it holds; what Python's `None`, `bool`, `int`, `float`,
/// `bytes`, `str`, `list` and `dict` can say.
///
/// Strings and bytes decoded from a [`Bytes`] are slices of it, so a kept value keeps the whole payload
/// alive. However deep it nests, decoding, encoding, cloning, comparing, showing and dropping it need
/// the same small stack.
///
/// ```
/// use gunmetal_protocol::{Value, value};
///
/// let size = 256;
/// let value = value!({"size": size, "tags": ["a", 2.5, null, true]});
/// assert_eq!(value.as_dict().unwrap()["size"], Value::Int(256));
/// ```
#[derive(Default)]
pub enum Value {
    /// Python's `None`.
    #[default]
    None,
    /// A bool.
    Bool(bool),
    /// An integer; the protocol has no other size.
    Int(i64),
    /// A float.
    Float(f64),
    /// Raw bytes.
    Bytes(Bytes),
    /// A string.
    Str(ByteString),
    /// A list.
    List(List),
    /// A dict with string keys.
    Dict(Dict),
}

impl Value {
    /// What kind of value it is, as errors call it: "none", "bool", "int", "float", "bytes", "string",
    /// "list" or "dict".
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float",
            Self::Bytes(_) => "bytes",
            Self::Str(_) => "string",
            Self::List(_) => "list",
            Self::Dict(_) => "dict",
        }
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
    pub fn as_bytes(&self) -> Option<&Bytes> {
        if let Self::Bytes(bytes) = self { Some(bytes) } else { None }
    }

    /// The string, if it is one.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        if let Self::Str(string) = self { Some(string) } else { None }
    }

    /// The list, if it is one.
    #[must_use]
    pub fn as_list(&self) -> Option<&List> {
        if let Self::List(list) = self { Some(list) } else { None }
    }

    /// The dict, if it is one.
    #[must_use]
    pub fn as_dict(&self) -> Option<&Dict> {
        if let Self::Dict(dict) = self { Some(dict) } else { None }
    }

    /// The value under `key`, if this is a dict that has it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.as_dict()?.get(key)
    }
}

impl Clone for Value {
    fn clone(&self) -> Self {
        let mut builder = builder::Builder::new();
        let mut walk = Walk::new(self);
        loop {
            let value = match walk.next() {
                Some(Step::Leaf(leaf)) => leaf.clone_leaf(),
                Some(Step::List(list)) => {
                    builder.open_list(list.len());
                    continue;
                }
                Some(Step::Dict(dict)) => {
                    builder.open_dict(dict.len());
                    continue;
                }
                Some(Step::Key(key)) => {
                    builder.key(key.clone());
                    continue;
                }
                Some(Step::EndList | Step::EndDict) => builder.close(),
                // A walk ends only after the value that it began with, which `add` returns below.
                None => return Value::None,
            };
            if let Some(whole) = builder.add(value) {
                return whole;
            }
        }
    }
}

impl PartialEq for Value {
    /// Floats compare as floats, so NaN equals nothing; the order of a dict does not matter; values of
    /// different kinds are different, also `1` and `1.0`.
    fn eq(&self, other: &Self) -> bool {
        let mut pairs = Vec::new();
        let mut next = Some((self, other));
        while let Some(pair) = next {
            let same = match pair {
                (Self::None, Self::None) => true,
                (Self::Bool(a), Self::Bool(b)) => a == b,
                (Self::Int(a), Self::Int(b)) => a == b,
                (Self::Float(a), Self::Float(b)) => a == b,
                (Self::Bytes(a), Self::Bytes(b)) => a == b,
                (Self::Str(a), Self::Str(b)) => a == b,
                (Self::List(a), Self::List(b)) => {
                    pairs.extend(a.iter().zip(b.iter()));
                    a.len() == b.len()
                }
                (Self::Dict(a), Self::Dict(b)) => {
                    a.len() == b.len()
                        && a.iter().all(|(key, a)| b.get(key).map(|b| pairs.push((a, b))).is_some())
                }
                _ => false,
            };
            if !same {
                return false;
            }
            next = pairs.pop();
        }
        true
    }
}

impl Value {
    /// A copy of a value that is no list or dict; none for those.
    fn clone_leaf(&self) -> Self {
        match self {
            Self::Bool(bool) => Self::Bool(*bool),
            Self::Int(int) => Self::Int(*int),
            Self::Float(float) => Self::Float(*float),
            Self::Bytes(bytes) => Self::Bytes(bytes.clone()),
            Self::Str(string) => Self::Str(string.clone()),
            Self::None | Self::List(_) | Self::Dict(_) => Self::None,
        }
    }
}

#[cfg(test)]
mod tests;
