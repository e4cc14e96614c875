//! `#[serde(with = "gunmetal_protocol::shared_bytes")]`: a [`Bytes`] field that is not copied.
//!
//! serde hands bytes on as a slice, so a plain [`Bytes`] field is copied once each way. With this
//! attribute our own encoding links it, and [`from_bytes`](crate::from_bytes) gives a slice of the
//! payload. Other formats see plain bytes.
//!
//! ```
//! use gunmetal_protocol::Bytes;
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize)]
//! struct Image {
//!     name: String,
//!     #[serde(with = "gunmetal_protocol::shared_bytes")]
//!     pixels: Bytes,
//! }
//! ```

use ::serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use bytes::Bytes;

use crate::value::Value;

/// Links `bytes` into the output.
///
/// # Errors
///
/// Those of the serializer.
pub fn serialize<S: Serializer>(bytes: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
    Value::Bytes(bytes.clone()).serialize(serializer)
}

/// Takes a slice of the payload. A string is taken as its bytes.
///
/// # Errors
///
/// The value is neither bytes nor a string.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Bytes(bytes) => Ok(bytes),
        Value::Str(string) => Ok(string.into_bytes()),
        other => Err(de::Error::invalid_type(de::Unexpected::Other(other.kind()), &"bytes")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Segments, from_bytes, to_segments};

    #[derive(Serialize, Deserialize)]
    struct Image {
        name: String,
        #[serde(with = "crate::shared_bytes")]
        pixels: Bytes,
    }

    #[test]
    fn a_large_field_is_copied_neither_way() {
        let image = Image { name: "x".into(), pixels: vec![7; 1 << 20].into() };
        let mut out = Segments::new();
        to_segments(&image, &mut out).unwrap();
        let parts: Vec<Bytes> = out.into_iter().collect();
        assert_eq!(parts[1].as_ptr(), image.pixels.as_ptr());
        let payload = Bytes::from(parts.concat());
        let decoded: Image = from_bytes(payload.clone()).unwrap();
        assert_eq!(decoded.pixels, image.pixels);
        assert_eq!(decoded.name, "x");
        assert!(payload.as_ptr_range().contains(&decoded.pixels.as_ptr()));
    }
}
