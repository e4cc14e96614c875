//! What can be put into the stash.

use std::any::Any;

use bytes::Bytes;
use bytestring::ByteString;
use gunmetal_protocol::{Dict, EncodeError, List, Segments, Value, encode_value, to_segments};
use serde::Serialize;

/// What can be put into the stash: a reference to anything that serde can serialize, and by value
/// numbers, bools, strings, [`Value`]s, [`Bytes`] and `Vec<u8>`.
///
/// [`Bytes`], `Vec<u8>` and `&[u8]` become bytes, not lists of numbers, and large [`Bytes`] are sent
/// from where they lie. An array of `u8`, such as `b"abc"`, is a list to serde: put `&b"abc"[..]`.
///
/// ```
/// use gunmetal_client_core::StashValue;
/// # fn put(value: impl StashValue) {}
/// # #[derive(serde::Serialize)]
/// # struct Session { user: String }
/// # let session = Session { user: "eve".into() };
/// put(&session);
/// put("text");
/// put(42);
/// put(vec![1_u8, 2]); // bytes
/// put(&vec!["a", "b"]); // a list
/// put(gunmetal_protocol::value!({"user": "eve"}));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be put into the stash by value",
    note = "put a reference to it, `&value`: its type must implement `serde::Serialize` and borrow nothing"
)]
pub trait StashValue {
    /// Appends the value's encoding to `out`.
    ///
    /// # Errors
    ///
    /// The value cannot be encoded.
    fn encode(self, out: &mut Segments) -> Result<(), EncodeError>;
}

impl<T: Serialize + 'static> StashValue for &T {
    fn encode(self, out: &mut Segments) -> Result<(), EncodeError> {
        let any: &dyn Any = self;
        if let Some(bytes) = any.downcast_ref::<Bytes>() {
            encode_value(&Value::Bytes(bytes.clone()), out)
        } else if let Some(bytes) = any.downcast_ref::<Vec<u8>>() {
            bytes.as_slice().encode(out)
        } else {
            to_segments(self, out)
        }
    }
}

impl StashValue for &str {
    fn encode(self, out: &mut Segments) -> Result<(), EncodeError> {
        to_segments(self, out)
    }
}

impl StashValue for &[u8] {
    fn encode(self, out: &mut Segments) -> Result<(), EncodeError> {
        encode_value(&Value::from(self), out)
    }
}

macro_rules! by_value {
    ($($type:ty),*) => {$(
        impl StashValue for $type {
            fn encode(self, out: &mut Segments) -> Result<(), EncodeError> {
                encode_value(&Value::from(self), out)
            }
        }
    )*};
}
by_value!((), bool, i8, i16, i32, i64, u8, u16, u32, f32, f64, char, String, ByteString, Bytes, Vec<u8>);
by_value!(Value, List, Dict);

macro_rules! wide_integers {
    ($($type:ty),*) => {$(
        impl StashValue for $type {
            fn encode(self, out: &mut Segments) -> Result<(), EncodeError> {
                encode_value(&Value::try_from(self)?, out)
            }
        }
    )*};
}
wide_integers!(u64, i128, u128, usize, isize);

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn encoded(value: impl StashValue) -> Value {
        let mut out = Segments::new();
        value.encode(&mut out).unwrap();
        Value::decode(out.into_contiguous()).unwrap()
    }

    #[test]
    fn bytes_are_bytes_however_they_come() {
        let bytes = Value::from(b"abc");
        assert_eq!(encoded(Bytes::from_static(b"abc")), bytes);
        let (shared, owned) = (Bytes::from_static(b"abc"), b"abc".to_vec());
        assert_eq!((encoded(&shared), encoded(&owned)), (bytes.clone(), bytes.clone()));
        assert_eq!(encoded(b"abc".to_vec()), bytes);
        assert_eq!(encoded(&b"abc"[..]), bytes);
    }

    #[test]
    fn the_rest_is_what_serde_makes_of_it() {
        assert_eq!(encoded("text"), Value::from("text"));
        let owned = String::from("text");
        assert_eq!(encoded(&owned), Value::from("text"));
        assert_eq!(encoded(7_usize), Value::Int(7));
        assert_eq!(encoded(&Some(2.5)), Value::Float(2.5));
        assert_eq!(encoded(()), Value::None);
        assert_eq!(encoded(&vec![1, 2]), gunmetal_protocol::value!([1, 2]));
        assert_eq!(encoded(&BTreeMap::from([(1, true)])), gunmetal_protocol::value!({"1": true}));
        assert!(u64::MAX.encode(&mut Segments::new()).is_err());
    }

    #[test]
    fn large_bytes_are_not_copied() {
        let image = Bytes::from(vec![7; 1 << 20]);
        for by_reference in [true, false] {
            let mut out = Segments::new();
            if by_reference { (&image).encode(&mut out) } else { image.clone().encode(&mut out) }.unwrap();
            let parts: Vec<Bytes> = out.into_iter().collect();
            assert_eq!(parts[1].as_ptr(), image.as_ptr());
        }
    }
}
