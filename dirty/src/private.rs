//! What the written code of `#[dirty_app]` calls. No part of the API: it changes with the macros.
//!
//! The macros see names, not types. Where the type decides (is it a `Result`, an iterator, `Bytes`?) the written
//! code calls a method that several traits offer, on a chain of references: the compiler takes the first trait whose
//! bounds hold, from the most references to the fewest. `Tag` keeps the type's own methods out of it.

use std::marker::PhantomData;

use bytes::Bytes;
use futures_core::Stream;
use gunmetal_protocol::{Segments, Value, ValueRef};
use serde::{Deserialize, Serialize};

use crate::action_error::ActionError;
use crate::argument::FromArgument;
use crate::bind_error::BindError;
use crate::call::Call;
use crate::deserialize::deserialize;
use crate::reply::{Reply, encode_by_serde, encode_owned};

/// An argument on its way to type `T`.
pub struct Argument<T> {
    name: &'static str,
    expected: &'static str,
    to: PhantomData<fn() -> T>,
}

impl<T> Argument<T> {
    pub const fn new(name: &'static str, expected: &'static str) -> Self {
        Self { name, expected, to: PhantomData }
    }

    #[cold]
    fn wrong_type(&self, found: ValueRef<'_>, call: &Call<'_>, detail: String) -> ActionError {
        ActionError::BadArguments(BindError::WrongType {
            action: call.action().to_owned(),
            name: self.name,
            expected: self.expected,
            found: found.kind(),
            detail,
        })
    }
}

/// First choice: borrowed or shared.
pub trait ReadDirectly<'a, T> {
    fn read(&self, value: ValueRef<'a>, call: &Call<'a>) -> Result<T, ActionError>;
}

impl<'a, T: FromArgument<'a>> ReadDirectly<'a, T> for Argument<T> {
    fn read(&self, value: ValueRef<'a>, call: &Call<'a>) -> Result<T, ActionError> {
        T::from_argument(value, call).map_err(|detail| self.wrong_type(value, call, detail))
    }
}

/// Second choice: whatever serde makes of it.
pub trait ReadBySerde<'a, T> {
    fn read(&self, value: ValueRef<'a>, call: &Call<'a>) -> Result<T, ActionError>
    where
        T: Deserialize<'a>;
}

impl<'a, T> ReadBySerde<'a, T> for &Argument<T> {
    fn read(&self, value: ValueRef<'a>, call: &Call<'a>) -> Result<T, ActionError>
    where
        T: Deserialize<'a>,
    {
        deserialize(value, call.payload()).map_err(|error| self.wrong_type(value, call, error.to_string()))
    }
}

/// What a method returned.
pub struct Outcome<T>(pub T);

// Inherent methods go before those of traits: a `Result` never gets to `PlainOutcome`.
impl<T, E> Outcome<Result<T, E>> {
    pub fn into_result(self) -> Result<T, ActionError>
    where
        E: IntoActionError,
    {
        self.0.map_err(IntoActionError::into_action_error)
    }
}

/// Anything that is no `Result` cannot fail.
pub trait PlainOutcome<T> {
    fn into_result(self) -> Result<T, ActionError>;
}

impl<T> PlainOutcome<T> for Outcome<T> {
    fn into_result(self) -> Result<T, ActionError> {
        Ok(self.0)
    }
}

/// `Into<ActionError>` under a name that a compile error can explain.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no error that an action can return",
    note = "use a type that implements `std::error::Error`, `anyhow::Error`, `String`, or `ActionError` itself"
)]
pub trait IntoActionError {
    fn into_action_error(self) -> ActionError;
}

impl<E: Into<ActionError>> IntoActionError for E {
    fn into_action_error(self) -> ActionError {
        self.into()
    }
}

/// Stands for a type while a trait is chosen.
pub struct Tag<T>(PhantomData<fn() -> T>);

pub fn tag_of<T>(_: &T) -> Tag<T> {
    Tag(PhantomData)
}

/// First choice: an iterator streams.
pub trait ManyByIterator<I> {
    fn items(&self, items: I) -> IterItems<I>;
}

impl<I: Iterator> ManyByIterator<I> for &&Tag<I> {
    fn items(&self, items: I) -> IterItems<I> {
        IterItems(items)
    }
}

/// Second choice: so does a `Stream`.
pub trait ManyByStream<S> {
    fn items(&self, items: S) -> StreamItems<S>;
}

impl<S: Stream> ManyByStream<S> for &Tag<S> {
    fn items(&self, items: S) -> StreamItems<S> {
        StreamItems(items)
    }
}

/// Third choice: one value.
pub trait OneValue<T> {
    fn items(&self, item: T) -> OneItem<T>;
}

impl<T> OneValue<T> for Tag<T> {
    fn items(&self, item: T) -> OneItem<T> {
        OneItem(item)
    }
}

pub struct IterItems<I>(I);
pub struct StreamItems<S>(S);
pub struct OneItem<T>(T);

impl<I: Iterator> IterItems<I> {
    pub fn encoded<'a, F>(self, encode: F) -> Result<Reply<'a>, ActionError>
    where
        I: 'a,
        F: FnMut(I::Item) -> Result<Segments, ActionError> + Unpin + 'a,
    {
        Ok(Reply::Iter(Box::new(self.0.map(encode))))
    }
}

impl<S: Stream> StreamItems<S> {
    pub fn encoded<'a, F>(self, encode: F) -> Result<Reply<'a>, ActionError>
    where
        S: 'a,
        F: FnMut(S::Item) -> Result<Segments, ActionError> + Unpin + 'a,
    {
        Ok(Reply::encoded_stream(self.0, encode))
    }
}

impl<T> OneItem<T> {
    pub fn encoded<'a, F>(self, encode: F) -> Result<Reply<'a>, ActionError>
    where
        F: FnOnce(T) -> Result<Segments, ActionError>,
    {
        encode(self.0).map(Reply::Value)
    }
}

/// First choice: what moves into the output as it is.
pub trait EncodeByMove<T> {
    fn encode(&self, item: T) -> Result<Segments, ActionError>;
}

impl<T: Movable> EncodeByMove<T> for &Tag<T> {
    fn encode(&self, item: T) -> Result<Segments, ActionError> {
        encode_owned(item.into_value())
    }
}

/// Second choice: through serde.
pub trait EncodeBySerde<T> {
    fn encode(&self, item: T) -> Result<Segments, ActionError>
    where
        T: Serialize;
}

impl<T> EncodeBySerde<T> for Tag<T> {
    fn encode(&self, item: T) -> Result<Segments, ActionError>
    where
        T: Serialize,
    {
        encode_by_serde(&item)
    }
}

/// Types that are a value of the protocol already.
pub trait Movable {
    fn into_value(self) -> Value;
}

impl Movable for Value {
    fn into_value(self) -> Value {
        self
    }
}

impl Movable for Bytes {
    fn into_value(self) -> Value {
        Value::Bytes(self)
    }
}

// Serde would make a list of integers of it.
impl Movable for Vec<u8> {
    fn into_value(self) -> Value {
        Value::Bytes(self.into())
    }
}

impl<T: Movable> Movable for Option<T> {
    fn into_value(self) -> Value {
        self.map_or(Value::None, T::into_value)
    }
}

/// Turns what a method returned into `Result<Reply, ActionError>`.
#[doc(hidden)]
#[macro_export]
macro_rules! __reply {
    ($outcome:expr) => {{
        #[allow(unused_imports)]
        use $crate::__private::{
            EncodeByMove as _, EncodeBySerde as _, ManyByIterator as _, ManyByStream as _, OneValue as _,
            PlainOutcome as _,
        };
        match $crate::__private::Outcome($outcome).into_result() {
            ::core::result::Result::Ok(value) => {
                (&&&$crate::__private::tag_of(&value)).items(value).encoded(|item| {
                    match $crate::__private::Outcome(item).into_result() {
                        ::core::result::Result::Ok(item) => (&&$crate::__private::tag_of(&item)).encode(item),
                        ::core::result::Result::Err(error) => ::core::result::Result::Err(error),
                    }
                })
            }
            ::core::result::Result::Err(error) => ::core::result::Result::Err(error),
        }
    }};
}
