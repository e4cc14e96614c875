//! What an action answers.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;
use gunmetal_protocol::{Segments, Value, encode_value, to_segments};
use serde::Serialize;

use crate::action_error::ActionError;

/// What an action answers: one value, or many.
///
/// Values are already encoded; large bytes in them are linked, not copied. Iterators and streams become a stream of
/// chunks and are dropped as soon as nobody reads it any more.
pub enum Reply<'a> {
    /// One value.
    Value(Segments),
    /// A stream of chunks; `next` is called on the lane's thread when the chunk before it has been handed over.
    Iter(ChunkIter<'a>),
    /// A stream of chunks from asynchronous code.
    Stream(ChunkStream<'a>),
    /// A reply that asynchronous code still works on.
    Future(ReplyFuture<'a>),
}

/// The iterator of [`Reply::Iter`].
pub type ChunkIter<'a> = Box<dyn Iterator<Item = Result<Segments, ActionError>> + 'a>;
/// The stream of [`Reply::Stream`].
pub type ChunkStream<'a> = Pin<Box<dyn Stream<Item = Result<Segments, ActionError>> + 'a>>;
/// The future of [`Reply::Future`].
pub type ReplyFuture<'a> = Pin<Box<dyn Future<Output = Result<Reply<'a>, ActionError>> + 'a>>;

impl<'a> Reply<'a> {
    /// One value, through serde.
    ///
    /// # Errors
    ///
    /// A value that the protocol cannot carry, such as an integer beyond 64 bits.
    pub fn value<T: Serialize + ?Sized>(value: &T) -> Result<Self, ActionError> {
        encode_by_serde(value).map(Self::Value)
    }

    /// One bytes value, not copied if it is large.
    ///
    /// # Errors
    ///
    /// More bytes than the protocol carries.
    pub fn bytes(bytes: impl Into<Bytes>) -> Result<Self, ActionError> {
        encode_owned(Value::Bytes(bytes.into())).map(Self::Value)
    }

    /// A stream of chunks from an iterator.
    pub fn iter<I, T>(items: I) -> Self
    where
        I: IntoIterator<Item = Result<T, ActionError>>,
        I::IntoIter: 'a,
        T: Serialize,
    {
        Self::Iter(Box::new(items.into_iter().map(|item| encode_by_serde(&item?))))
    }

    /// A stream of chunks from a [`Stream`].
    pub fn stream<S, T>(items: S) -> Self
    where
        S: Stream<Item = Result<T, ActionError>> + 'a,
        T: Serialize,
    {
        Self::encoded_stream(items, |item| encode_by_serde(&item?))
    }

    /// A reply that `future` makes.
    pub fn future<F>(future: F) -> Self
    where
        F: Future<Output = Result<Reply<'a>, ActionError>> + 'a,
    {
        Self::Future(Box::pin(future))
    }

    /// A stream of chunks, each encoded by `encode`.
    pub(crate) fn encoded_stream<S, F>(items: S, encode: F) -> Self
    where
        S: Stream + 'a,
        F: FnMut(S::Item) -> Result<Segments, ActionError> + Unpin + 'a,
    {
        Self::Stream(Box::pin(EncodedStream { items: Box::pin(items), encode }))
    }
}

impl fmt::Debug for Reply<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(value) => write!(f, "Reply::Value({} bytes)", value.len()),
            Self::Iter(_) => f.write_str("Reply::Iter"),
            Self::Stream(_) => f.write_str("Reply::Stream"),
            Self::Future(_) => f.write_str("Reply::Future"),
        }
    }
}

/// Encodes anything serializable.
pub(crate) fn encode_by_serde<T: Serialize + ?Sized>(value: &T) -> Result<Segments, ActionError> {
    let mut encoded = Segments::new();
    to_segments(value, &mut encoded)?;
    Ok(encoded)
}

/// Encodes a value; its large bytes are linked.
pub(crate) fn encode_owned(value: Value) -> Result<Segments, ActionError> {
    let mut encoded = Segments::new();
    encode_value(&value, &mut encoded)?;
    Ok(encoded)
}

struct EncodedStream<S, F> {
    items: Pin<Box<S>>,
    encode: F,
}

impl<S, F> Stream for EncodedStream<S, F>
where
    S: Stream,
    F: FnMut(S::Item) -> Result<Segments, ActionError> + Unpin,
{
    type Item = Result<Segments, ActionError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        this.items.as_mut().poll_next(cx).map(|item| item.map(&mut this.encode))
    }
}
