//! Dict keys of other types than strings: what Python's `str()` makes of them, as gunicorn does it.

use std::fmt::Write;

use ::serde::Serialize;
use ::serde::ser::{self, Impossible};

use crate::encode::put_str;
use crate::error::EncodeError;
use crate::segments::Segments;

/// Appends one dict key.
pub(super) struct KeySerializer<'a> {
    pub(super) out: &'a mut Segments,
}

type Written = Result<(), EncodeError>;
type Never = Impossible<(), EncodeError>;

macro_rules! displayed {
    ($($method:ident: $number:ty),*) => {$(
        fn $method(self, number: $number) -> Written {
            put_str(&number.to_string(), self.out)
        }
    )*};
}

impl ser::Serializer for KeySerializer<'_> {
    type Ok = ();
    type Error = EncodeError;
    type SerializeSeq = Never;
    type SerializeTuple = Never;
    type SerializeTupleStruct = Never;
    type SerializeTupleVariant = Never;
    type SerializeMap = Never;
    type SerializeStruct = Never;
    type SerializeStructVariant = Never;

    displayed! {
        serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64, serialize_i128: i128,
        serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64, serialize_u128: u128
    }

    fn serialize_bool(self, bool: bool) -> Written {
        put_str(if bool { "True" } else { "False" }, self.out)
    }

    fn serialize_f32(self, float: f32) -> Written {
        self.serialize_f64(float.into())
    }

    fn serialize_f64(self, float: f64) -> Written {
        put_str(&python_float(float), self.out)
    }

    fn serialize_char(self, char: char) -> Written {
        put_str(char.encode_utf8(&mut [0; 4]), self.out)
    }

    fn serialize_str(self, str: &str) -> Written {
        put_str(str, self.out)
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Written {
        put_str(&python_bytes(bytes), self.out)
    }

    fn serialize_none(self) -> Written {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Written {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Written {
        put_str("None", self.out)
    }

    fn serialize_unit_struct(self, _name: &'static str) -> Written {
        self.serialize_unit()
    }

    fn serialize_unit_variant(self, _name: &'static str, _index: u32, variant: &'static str) -> Written {
        put_str(variant, self.out)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _name: &'static str, value: &T) -> Written {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _index: u32,
        _variant: &'static str,
        _value: &T,
    ) -> Written {
        unsupported("enum variant with content")
    }

    fn serialize_seq(self, _len: Option<usize>) -> Result<Never, EncodeError> {
        unsupported("list")
    }

    fn serialize_tuple(self, _len: usize) -> Result<Never, EncodeError> {
        unsupported("tuple")
    }

    fn serialize_tuple_struct(self, _name: &'static str, _len: usize) -> Result<Never, EncodeError> {
        unsupported("tuple")
    }

    fn serialize_tuple_variant(
        self,
        _name: &'static str,
        _index: u32,
        _variant: &'static str,
        _len: usize,
    ) -> Result<Never, EncodeError> {
        unsupported("enum variant with content")
    }

    fn serialize_map(self, _len: Option<usize>) -> Result<Never, EncodeError> {
        unsupported("dict")
    }

    fn serialize_struct(self, _name: &'static str, _len: usize) -> Result<Never, EncodeError> {
        unsupported("struct")
    }

    fn serialize_struct_variant(
        self,
        _name: &'static str,
        _index: u32,
        _variant: &'static str,
        _len: usize,
    ) -> Result<Never, EncodeError> {
        unsupported("enum variant with content")
    }
}

fn unsupported<T>(found: &'static str) -> Result<T, EncodeError> {
    Err(EncodeError::UnsupportedKey { found })
}

/// `repr()` of a float: the shortest digits that read back the same, with an exponent below 1e-4 and
/// from 1e16 on.
fn python_float(float: f64) -> String {
    if float.is_nan() {
        return "nan".into();
    }
    if float.is_infinite() {
        return if float > 0.0 { "inf" } else { "-inf" }.into();
    }
    let scientific = format!("{float:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else { return scientific };
    match exponent.parse::<i32>() {
        Ok(-4..16) | Err(_) => format!("{float:?}"),
        Ok(exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
        }
    }
}

/// `repr()` of bytes: `b'ab\x00'`.
fn python_bytes(bytes: &[u8]) -> String {
    let quote = if bytes.contains(&b'\'') && !bytes.contains(&b'"') { '"' } else { '\'' };
    let mut text = format!("b{quote}");
    for &byte in bytes {
        match byte {
            b'\\' => text.push_str("\\\\"),
            b'\n' => text.push_str("\\n"),
            b'\r' => text.push_str("\\r"),
            b'\t' => text.push_str("\\t"),
            byte if char::from(byte) == quote => text.extend(['\\', quote]),
            b' '..=b'~' => text.push(byte.into()),
            // Writing to a string cannot fail.
            byte => drop(write!(text, "\\x{byte:02x}")),
        }
    }
    text.push(quote);
    text
}

#[cfg(test)]
mod tests {
    use super::{python_bytes, python_float};

    /// Each right side is what Python 3.11 prints for `str()` of the left one.
    #[test]
    fn floats_look_as_in_python() {
        for (float, python) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (0.1, "0.1"),
            (-2.5, "-2.5"),
            (0.0001, "0.0001"),
            (0.000_012_3, "1.23e-05"),
            (1e15, "1000000000000000.0"),
            (123_456_789_012_345_680.0, "1.2345678901234568e+17"),
            (1e16, "1e+16"),
            (9_007_199_254_740_993.0, "9007199254740992.0"),
            (1e100, "1e+100"),
            (5e-324, "5e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (f64::NAN, "nan"),
        ] {
            assert_eq!(python_float(float), python);
        }
    }

    #[test]
    fn bytes_look_as_in_python() {
        assert_eq!(python_bytes(b"ab\0\n\\"), r"b'ab\x00\n\\'");
        assert_eq!(python_bytes(b"it's"), r#"b"it's""#);
        assert_eq!(python_bytes(b"'\""), r#"b'\'"'"#);
        assert_eq!(python_bytes(b"\xff\x7f~"), r"b'\xff\x7f~'");
    }
}
