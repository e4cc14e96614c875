//! serde's data model to bytes.

use ::serde::{Serialize, ser};

use super::handoff;
use super::key::KeySerializer;
use crate::encode::{
    check_count, check_depth, put_bool, put_bytes, put_dict, put_float, put_head, put_int, put_none, put_str,
};
use crate::error::EncodeError;
use crate::segments::{Mark, Segments};
use crate::tag;

/// Appends one value to an output.
pub(super) struct Serializer<'a> {
    out: &'a mut Segments,
    /// Lists and dicts that are open around the value.
    depth: usize,
}

impl<'a> Serializer<'a> {
    pub(super) fn new(out: &'a mut Segments, depth: usize) -> Self {
        Self { out, depth }
    }

    /// Begins a list or dict; without a known length, the count is patched at its end.
    fn open(self, tag: u8, len: Option<usize>) -> Result<Items<'a>, EncodeError> {
        check_depth(self.depth + 1)?;
        let head = self.out.mark();
        let declared = check_count(tag::kind(tag), len.unwrap_or(0))?;
        put_head(tag, declared, self.out);
        Ok(Items { out: self.out, depth: self.depth + 1, head, tag, declared, count: 0 })
    }

    /// Begins the dict `{variant: …}` around an enum variant's content.
    fn variant(self, variant: &str) -> Result<Self, EncodeError> {
        check_depth(self.depth + 1)?;
        put_dict(1, self.out)?;
        put_str(variant, self.out)?;
        Ok(Self { out: self.out, depth: self.depth + 1 })
    }

    fn int<T: TryInto<i64> + ToString + Copy>(self, int: T) -> Result<(), EncodeError> {
        let Ok(short) = int.try_into() else {
            return Err(EncodeError::IntOutOfRange { value: int.to_string() });
        };
        put_int(short, self.out);
        Ok(())
    }
}

macro_rules! integers {
    ($($method:ident: $int:ty),*) => {$(
        fn $method(self, int: $int) -> Result<(), EncodeError> {
            self.int(int)
        }
    )*};
}

impl<'a> ser::Serializer for Serializer<'a> {
    type Ok = ();
    type Error = EncodeError;
    type SerializeSeq = Items<'a>;
    type SerializeTuple = Items<'a>;
    type SerializeTupleStruct = Items<'a>;
    type SerializeTupleVariant = Items<'a>;
    type SerializeMap = Items<'a>;
    type SerializeStruct = Items<'a>;
    type SerializeStructVariant = Items<'a>;

    integers! {
        serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64, serialize_i128: i128,
        serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64, serialize_u128: u128
    }

    fn serialize_bool(self, bool: bool) -> Result<(), EncodeError> {
        put_bool(bool, self.out);
        Ok(())
    }

    fn serialize_f32(self, float: f32) -> Result<(), EncodeError> {
        self.serialize_f64(float.into())
    }

    fn serialize_f64(self, float: f64) -> Result<(), EncodeError> {
        put_float(float, self.out);
        Ok(())
    }

    fn serialize_char(self, char: char) -> Result<(), EncodeError> {
        put_str(char.encode_utf8(&mut [0; 4]), self.out)
    }

    fn serialize_str(self, str: &str) -> Result<(), EncodeError> {
        put_str(str, self.out)
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Result<(), EncodeError> {
        put_bytes(bytes, self.out)
    }

    fn serialize_none(self) -> Result<(), EncodeError> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), EncodeError> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), EncodeError> {
        put_none(self.out);
        Ok(())
    }

    fn serialize_unit_struct(self, _name: &'static str) -> Result<(), EncodeError> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
    ) -> Result<(), EncodeError> {
        put_str(variant, self.out)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<(), EncodeError> {
        if name == handoff::TOKEN {
            handoff::offer(value, self.depth, self.out)
        } else {
            value.serialize(self)
        }
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), EncodeError> {
        value.serialize(self.variant(variant)?)
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<Items<'a>, EncodeError> {
        self.open(tag::LIST, len)
    }

    fn serialize_tuple(self, len: usize) -> Result<Items<'a>, EncodeError> {
        self.open(tag::LIST, Some(len))
    }

    fn serialize_tuple_struct(self, _name: &'static str, len: usize) -> Result<Items<'a>, EncodeError> {
        self.open(tag::LIST, Some(len))
    }

    fn serialize_tuple_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Items<'a>, EncodeError> {
        self.variant(variant)?.open(tag::LIST, Some(len))
    }

    fn serialize_map(self, len: Option<usize>) -> Result<Items<'a>, EncodeError> {
        self.open(tag::DICT, len)
    }

    fn serialize_struct(self, _name: &'static str, len: usize) -> Result<Items<'a>, EncodeError> {
        self.open(tag::DICT, Some(len))
    }

    fn serialize_struct_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Items<'a>, EncodeError> {
        self.variant(variant)?.open(tag::DICT, Some(len))
    }
}

/// A list or dict being written.
pub(super) struct Items<'a> {
    out: &'a mut Segments,
    /// Open lists and dicts, this one included.
    depth: usize,
    /// Where its tag is.
    head: Mark,
    tag: u8,
    /// The count that was written at its beginning.
    declared: u32,
    /// The items that were written.
    count: usize,
}

impl Items<'_> {
    fn item<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        self.count += 1;
        check_count(tag::kind(self.tag), self.count)?;
        self.value(value)
    }

    fn pair<T: Serialize + ?Sized>(&mut self, key: &str, value: &T) -> Result<(), EncodeError> {
        put_str(key, self.out)?;
        self.item(value)
    }

    fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        value.serialize(Serializer { out: &mut *self.out, depth: self.depth })
    }

    fn close(self) -> Result<(), EncodeError> {
        let count = check_count(tag::kind(self.tag), self.count)?;
        if count != self.declared {
            let [a, b, c, d] = count.to_be_bytes();
            self.out.patch(self.head, &[self.tag, a, b, c, d]);
        }
        Ok(())
    }
}

macro_rules! sequences {
    ($($of:ident :: $method:ident),*) => {$(
        impl ser::$of for Items<'_> {
            type Ok = ();
            type Error = EncodeError;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
                self.item(value)
            }

            fn end(self) -> Result<(), EncodeError> {
                self.close()
            }
        }
    )*};
}

sequences!(
    SerializeSeq::serialize_element,
    SerializeTuple::serialize_element,
    SerializeTupleStruct::serialize_field,
    SerializeTupleVariant::serialize_field
);

macro_rules! structs {
    ($($of:ident),*) => {$(
        impl ser::$of for Items<'_> {
            type Ok = ();
            type Error = EncodeError;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                key: &'static str,
                value: &T,
            ) -> Result<(), EncodeError> {
                self.pair(key, value)
            }

            fn end(self) -> Result<(), EncodeError> {
                self.close()
            }
        }
    )*};
}

structs!(SerializeStruct, SerializeStructVariant);

impl ser::SerializeMap for Items<'_> {
    type Ok = ();
    type Error = EncodeError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), EncodeError> {
        key.serialize(KeySerializer { out: &mut *self.out })
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        self.item(value)
    }

    fn end(self) -> Result<(), EncodeError> {
        self.close()
    }
}
