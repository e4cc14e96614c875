//! A table, entry by entry.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use gunmetal_client_core::{CallError, StashKey, TableScan};
use gunmetal_protocol::Bytes;
use serde::de::DeserializeOwned;

use crate::stash::Stash;

/// The keys and values of a table; see [`Table::stream`](crate::Table::stream).
///
/// It asks for a part of the table at a time, about a mebibyte of it, and never holds more. An entry that
/// is there all the while comes exactly once; one that is put or removed meanwhile may come or not.
/// gunicorn's arbiter cannot list a table in parts: towards it all keys are fetched at once, then each
/// value. Nothing happens before it is first polled; after an error it is over.
pub struct Entries<T> {
    walk: Walk,
    value: PhantomData<fn() -> T>,
}

/// The keys of a table; see [`Table::keys_stream`](crate::Table::keys_stream).
///
/// It asks for a part of the table at a time, as [`Entries`] does.
#[derive(Debug)]
pub struct Keys {
    walk: Walk,
}

impl<T> Entries<T> {
    pub(crate) fn new(stash: Stash, scan: TableScan) -> Entries<T> {
        Entries { walk: Walk::new(stash, scan), value: PhantomData }
    }

    /// Only the entries whose keys match `pattern`; see [`Stash::keys`]. To be said before the first is
    /// asked for.
    #[must_use]
    pub fn matching(mut self, pattern: &str) -> Entries<T> {
        self.walk.set_pattern(pattern);
        self
    }
}

impl Keys {
    pub(crate) fn new(stash: Stash, scan: TableScan) -> Keys {
        Keys { walk: Walk::new(stash, scan) }
    }

    /// Only the keys that match `pattern`; see [`Stash::keys`]. To be said before the first is asked for.
    #[must_use]
    pub fn matching(mut self, pattern: &str) -> Keys {
        self.walk.set_pattern(pattern);
        self
    }
}

impl<T: DeserializeOwned + 'static> Stream for Entries<T> {
    type Item = Result<(StashKey, T), CallError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let entry = ready!(self.walk.poll_entry(cx));
        Poll::Ready(entry.map(|entry| entry.and_then(|(key, value)| self.walk.decode(key, value))))
    }
}

impl Stream for Keys {
    type Item = Result<StashKey, CallError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.walk.poll_entry(cx).map(|entry| entry.map(|entry| entry.map(|(key, _)| key)))
    }
}

impl<T> fmt::Debug for Entries<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entries").field("walk", &self.walk).finish_non_exhaustive()
    }
}

/// A walk over a table and the way to its arbiter.
struct Walk {
    stash: Stash,
    state: State,
}

enum State {
    /// There are entries, or something to ask for.
    Here(TableScan),
    /// Waiting for an answer.
    Asking(Pin<Box<dyn Future<Output = Asked> + Send>>),
    Over,
}

/// The scan, and whether it could take its answer.
type Asked = (TableScan, Result<(), CallError>);

/// A key, and its encoded value if values are wanted.
type Entry = (StashKey, Option<Bytes>);

impl Walk {
    fn new(stash: Stash, scan: TableScan) -> Walk {
        Walk { stash, state: State::Here(scan) }
    }

    fn set_pattern(&mut self, pattern: &str) {
        if let State::Here(scan) = &mut self.state {
            scan.set_pattern(pattern);
        }
    }

    fn decode<T: DeserializeOwned + 'static>(
        &mut self,
        key: StashKey,
        value: Option<Bytes>,
    ) -> Result<(StashKey, T), CallError> {
        let State::Here(scan) = &mut self.state else { unreachable!("an entry has just come from the scan") };
        scan.decode(key, value)
    }

    fn poll_entry(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Entry, CallError>>> {
        loop {
            match mem::replace(&mut self.state, State::Over) {
                State::Here(mut scan) => {
                    let entry = scan.next_entry();
                    if entry.is_some() {
                        self.state = State::Here(scan);
                        return Poll::Ready(entry.map(Ok));
                    }
                    if scan.next_message().is_none() {
                        return Poll::Ready(None);
                    }
                    self.state = State::Asking(Box::pin(ask(self.stash.clone(), scan)));
                }
                State::Asking(mut asking) => {
                    let Poll::Ready((scan, accepted)) = asking.as_mut().poll(cx) else {
                        self.state = State::Asking(asking);
                        return Poll::Pending;
                    };
                    accepted?;
                    self.state = State::Here(scan);
                }
                State::Over => return Poll::Ready(None),
            }
        }
    }
}

impl fmt::Debug for Walk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Walk").field("stash", &self.stash).finish_non_exhaustive()
    }
}

/// Sends the next message of a walk and brings its answer.
async fn ask(stash: Stash, mut scan: TableScan) -> Asked {
    let answer = match scan.next_message() {
        Some(message) => stash.result_of(&message).await,
        None => return (scan, Ok(())),
    };
    let accepted = scan.accept(answer);
    (scan, accepted)
}
