//! A table, entry by entry.

use std::fmt;
use std::iter::FusedIterator;
use std::marker::PhantomData;

use gunmetal_client_core::{CallError, StashKey, TableScan};
use gunmetal_protocol::Bytes;
use serde::de::DeserializeOwned;

use crate::stash::Stash;

/// The keys and values of a table; see [`Table::iter`](crate::Table::iter).
///
/// It asks for a part of the table at a time, about a mebibyte of it, and never holds more. An entry that
/// is there all the while comes exactly once; one that is put or removed meanwhile may come or not.
/// gunicorn's arbiter cannot list a table in parts: towards it all keys are fetched at once, then each
/// value. After an error the iterator is over.
pub struct Entries<T> {
    walk: Walk,
    value: PhantomData<fn() -> T>,
}

/// The keys of a table; see [`Table::keys_iter`](crate::Table::keys_iter).
///
/// It asks for a part of the table at a time, as [`Entries`] does.
#[derive(Debug)]
pub struct Keys {
    walk: Walk,
}

impl<T> Entries<T> {
    pub(crate) fn new(stash: Stash, scan: TableScan) -> Entries<T> {
        Entries { walk: Walk { stash, scan }, value: PhantomData }
    }

    /// Only the entries whose keys match `pattern`; see [`Stash::keys`]. To be said before the first is
    /// asked for.
    #[must_use]
    pub fn matching(mut self, pattern: &str) -> Entries<T> {
        self.walk.scan.set_pattern(pattern);
        self
    }
}

impl Keys {
    pub(crate) fn new(stash: Stash, scan: TableScan) -> Keys {
        Keys { walk: Walk { stash, scan } }
    }

    /// Only the keys that match `pattern`; see [`Stash::keys`]. To be said before the first is
    /// asked for.
    #[must_use]
    pub fn matching(mut self, pattern: &str) -> Keys {
        self.walk.scan.set_pattern(pattern);
        self
    }
}

impl<T: DeserializeOwned + 'static> Iterator for Entries<T> {
    type Item = Result<(StashKey, T), CallError>;

    fn next(&mut self) -> Option<Self::Item> {
        let entry = self.walk.next_entry()?;
        Some(entry.and_then(|(key, value)| self.walk.scan.decode(key, value)))
    }
}

impl<T: DeserializeOwned + 'static> FusedIterator for Entries<T> {}

impl Iterator for Keys {
    type Item = Result<StashKey, CallError>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.walk.next_entry()?.map(|(key, _)| key))
    }
}

impl FusedIterator for Keys {}

impl<T> fmt::Debug for Entries<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entries").field("walk", &self.walk).finish_non_exhaustive()
    }
}

/// A walk over a table and the way to its arbiter.
#[derive(Debug)]
struct Walk {
    stash: Stash,
    scan: TableScan,
}

impl Walk {
    fn next_entry(&mut self) -> Option<Result<(StashKey, Option<Bytes>), CallError>> {
        loop {
            if let Some(entry) = self.scan.next_entry() {
                return Some(Ok(entry));
            }
            let answer = self.stash.result_of(&self.scan.next_message()?);
            if let Err(error) = self.scan.accept(answer) {
                return Some(Err(error));
            }
        }
    }
}
