//! Passing a [`Value`] through serde whole.
//!
//! serde does not know it: through its data model a value would be taken apart by recursion, and its
//! bytes be copied. So where our own serializer or deserializer meets one, the two agree by a newtype
//! name that no one else uses, and the content changes hands in a thread-local slot. Each side fills
//! the slot right before it calls the other and empties it right after, so that no other format, and no
//! serializer used inside another one, can mistake it for its own. With any other format the same types
//! go through serde's data model as usual.

use std::any::Any;
use std::cell::Cell;

use ::serde::Serialize;
use ::serde::de::Visitor;
use bytes::Bytes;
use bytestring::ByteString;

use super::ser::Serializer;
use crate::encode::encode_value_within;
use crate::error::{DecodeError, EncodeError};
use crate::reader::{Reader, Token};
use crate::segments::Segments;
use crate::value::{Dict, List, Value};

/// The newtype name by which our serializer and deserializer know a [`Value`].
pub(crate) const TOKEN: &str = "$gunmetal_protocol::Value";

/// Output on its way to the value that shall append itself, and back.
enum Slot {
    /// The output, and how many lists and dicts are open around the value.
    Offered(Segments, usize),
    /// The output with the value appended, or why it could not be.
    Filled(Segments, Result<(), EncodeError>),
}

thread_local! {
    static OUT: Cell<Option<Slot>> = const { Cell::new(None) };
    static VALUE: Cell<Option<Value>> = const { Cell::new(None) };
}

/// The serializer's side: lets the [`Value`] behind `marked` append itself to `out`.
pub(super) fn offer<T: Serialize + ?Sized>(
    marked: &T,
    outer: usize,
    out: &mut Segments,
) -> Result<(), EncodeError> {
    let surrounding = OUT.replace(Some(Slot::Offered(std::mem::take(out), outer)));
    let mut otherwise = Segments::new();
    let called = marked.serialize(Serializer::new(&mut otherwise, outer));
    match OUT.replace(surrounding) {
        Some(Slot::Filled(filled, result)) => {
            *out = filled;
            result
        }
        // Not a value itself but what serde's buffers for tagged enums have made of it.
        Some(Slot::Offered(untouched, _)) => {
            *out = untouched;
            out.append(otherwise);
            called
        }
        None => called,
    }
}

/// The value's side: whether it was asked to append itself, and has done so.
pub(crate) fn accept(value: &Value) -> bool {
    match OUT.take() {
        Some(Slot::Offered(mut out, outer)) => {
            let result = encode_value_within(value, outer, &mut out);
            OUT.set(Some(Slot::Filled(out, result)));
            true
        }
        other => {
            OUT.set(other);
            false
        }
    }
}

/// The deserializer's side: hands `value` to a visitor, by its `visit_unit`.
pub(super) fn give<'de, V: Visitor<'de>>(value: Value, visitor: V) -> Result<V::Value, DecodeError> {
    VALUE.set(Some(value));
    let visited = visitor.visit_unit();
    VALUE.set(None);
    visited
}

/// The visitor's side: the value that comes with this call of `visit_unit`, none from other formats.
pub(crate) fn given() -> Value {
    VALUE.take().unwrap_or_default()
}

/// The payload as one of our own types, if `T` is one.
pub(super) fn own_type<T: 'static>(payload: &Bytes) -> Result<Option<T>, DecodeError> {
    let mut whole: Option<T> = None;
    let slot: &mut dyn Any = &mut whole;
    if let Some(slot) = slot.downcast_mut::<Option<Value>>() {
        *slot = Some(Value::decode(payload.clone())?);
    } else if let Some(slot) = slot.downcast_mut::<Option<Bytes>>() {
        let mut reader = Reader::new(payload);
        // Other kinds are left to serde: it knows how to refuse them.
        if let Token::Bytes(bytes) = reader.token()? {
            reader.finish()?;
            *slot = Some(payload.slice_ref(bytes));
        }
    } else if let Some(slot) = slot.downcast_mut::<Option<Vec<u8>>>() {
        let mut reader = Reader::new(payload);
        // Through serde it would be copied byte by byte.
        if let Token::Bytes(bytes) = reader.token()? {
            reader.finish()?;
            *slot = Some(bytes.to_vec());
        }
    } else if let Some(slot) = slot.downcast_mut::<Option<ByteString>>() {
        if let Value::Str(string) = Value::decode(payload.clone())? {
            *slot = Some(string);
        }
    } else if let Some(slot) = slot.downcast_mut::<Option<List>>() {
        if let Value::List(list) = Value::decode(payload.clone())? {
            *slot = Some(list);
        }
    } else if let Some(slot) = slot.downcast_mut::<Option<Dict>>()
        && let Value::Dict(dict) = Value::decode(payload.clone())?
    {
        *slot = Some(dict);
    }
    Ok(whole)
}

/// `from` as a `T`, if they are the same type.
pub(super) fn same_type<F: 'static, T: 'static>(from: F) -> Result<T, F> {
    let mut from = Some(from);
    let any: &mut dyn Any = &mut from;
    match any.downcast_mut::<Option<T>>().and_then(Option::take) {
        Some(same) => Ok(same),
        None => Err(from.expect("only taken if the types are the same")),
    }
}

/// Appends `value` if its type is one of our own, which needs no serde; `None` if it is not.
pub(crate) fn append_own_type<T: Any>(
    value: &T,
    outer: usize,
    out: &mut Segments,
) -> Option<Result<(), EncodeError>> {
    let value: &dyn Any = value;
    let own = if let Some(value) = value.downcast_ref::<Value>() {
        return Some(encode_value_within(value, outer, out));
    } else if let Some(bytes) = value.downcast_ref::<Bytes>() {
        Value::Bytes(bytes.clone())
    } else if let Some(string) = value.downcast_ref::<ByteString>() {
        Value::Str(string.clone())
    } else {
        return None;
    };
    Some(encode_value_within(&own, outer, out))
}
