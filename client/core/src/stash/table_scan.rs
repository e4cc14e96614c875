//! Reading a table piece by piece.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{mem, vec};

use bytes::Bytes;
use gunmetal_protocol::{DecodeError, ValueRef, from_bytes};
use serde::de::DeserializeOwned;

use super::error::StashError;
use super::key::StashKey;
use super::message::{ScanWindow, StashMessage};
use crate::error::CallError;
use crate::outgoing::Outgoing;
use crate::status::Status;

/// Walks over a table and never holds more of it than the arbiter sends at a time.
///
/// A plain value: the driver takes [`next_entry`](TableScan::next_entry) until there is none, then sends
/// [`next_message`](TableScan::next_message) and brings what came of it to
/// [`accept`](TableScan::accept), until there is no message either.
///
/// ```text
/// AskPeer ──knows stash-scan──▶ Scan ⟲ a part of the table each ──last part──▶ Over
///    └─────does not──▶ ListKeys ──keys only────────────────────────────────────▶ Over
///                          └──with values──▶ GetEach ⟲ one entry each ─────────▶ Over
/// ```
#[derive(Debug)]
pub struct TableScan {
    support: Arc<ScanSupport>,
    table: String,
    pattern: Option<String>,
    with_values: bool,
    step: Step,
    /// Entries that have arrived.
    ready: vec::IntoIter<Entry>,
}

/// Whether the arbiter is known to list tables in parts: learned by the first walk of a client, for all of
/// them.
#[derive(Debug, Default)]
pub struct ScanSupport(AtomicBool);

/// A key, and its encoded value if values are wanted.
type Entry = (StashKey, Option<Bytes>);

#[derive(Debug)]
enum Step {
    /// Does the arbiter know scans?
    AskPeer,
    /// It does; what comes after this cursor?
    Scan(i64),
    /// It does not: all keys at once, then.
    ListKeys,
    /// And the values one by one.
    GetEach {
        key: StashKey,
        rest: vec::IntoIter<StashKey>,
    },
    Over,
}

impl TableScan {
    /// A walk over the keys of a table.
    #[must_use]
    pub fn of_keys(table: &str, support: &Arc<ScanSupport>) -> TableScan {
        let is_known = support.0.load(Ordering::Relaxed);
        TableScan {
            support: Arc::clone(support),
            table: table.to_owned(),
            pattern: None,
            with_values: false,
            step: if is_known { Step::Scan(0) } else { Step::AskPeer },
            ready: Vec::new().into_iter(),
        }
    }

    /// A walk over the keys and values of a table.
    #[must_use]
    pub fn of_entries(table: &str, support: &Arc<ScanSupport>) -> TableScan {
        TableScan { with_values: true, ..TableScan::of_keys(table, support) }
    }

    /// Restricts the walk to the keys that match `pattern`. To be called before it begins.
    pub fn set_pattern(&mut self, pattern: &str) {
        self.pattern = Some(pattern.to_owned());
    }

    /// The next of the entries that have arrived.
    pub fn next_entry(&mut self) -> Option<(StashKey, Option<Bytes>)> {
        self.ready.next()
    }

    /// An entry of a walk over keys and values, its value decoded. If it is no `T` the walk is over.
    ///
    /// # Errors
    ///
    /// [`CallError::Decode`].
    pub fn decode<T: DeserializeOwned + 'static>(
        &mut self,
        key: StashKey,
        value: Option<Bytes>,
    ) -> Result<(StashKey, T), CallError> {
        let message = Outgoing::Stash(StashMessage::get(&self.table, &key));
        match message.decode(value.unwrap_or_default()) {
            Ok(value) => Ok((key, value)),
            Err(error) => {
                (self.step, self.ready) = (Step::Over, Vec::new().into_iter());
                Err(error)
            }
        }
    }

    /// What to ask next; `None` at the end of the table.
    #[must_use]
    pub fn next_message(&self) -> Option<Outgoing<'_>> {
        let TableScan { table, pattern, with_values, .. } = self;
        let pattern = pattern.as_deref();
        Some(Outgoing::Stash(match &self.step {
            Step::AskPeer => return Some(Outgoing::Status),
            Step::Scan(cursor) => {
                let window = ScanWindow { cursor: *cursor, count: BATCH, with_values: *with_values };
                StashMessage::scan(table, pattern, window)
            }
            Step::ListKeys => StashMessage::keys(table, pattern),
            Step::GetEach { key, .. } => StashMessage::get(table, key),
            Step::Over => return None,
        }))
    }

    /// Takes what came of the last message.
    ///
    /// # Errors
    ///
    /// The call's own, or [`CallError::Decode`]; the walk is over then.
    pub fn accept(&mut self, result: Result<Bytes, CallError>) -> Result<(), CallError> {
        let step = mem::replace(&mut self.step, Step::Over);
        let result = match (&step, result) {
            // Removed since the keys were listed.
            (Step::GetEach { .. }, Err(CallError::Stash(StashError::KeyNotFound { .. }))) => None,
            // Another arbiter than the one that was asked.
            (Step::Scan(0), Err(CallError::Unsupported { .. })) => {
                self.support.0.store(false, Ordering::Relaxed);
                self.step = Step::ListKeys;
                return Ok(());
            }
            (_, result) => Some(result?),
        };
        let failed = |scan: &TableScan, source| CallError::Decode {
            call: format!("the walk over stash table {}", scan.table),
            source,
        };
        self.step = match (step, result) {
            (Step::AskPeer, Some(status)) => {
                let status: Status = from_bytes(status).map_err(|source| failed(self, source))?;
                let is_known = status.has_extension(Status::STASH_SCAN);
                self.support.0.store(is_known, Ordering::Relaxed);
                if is_known { Step::Scan(0) } else { Step::ListKeys }
            }
            (Step::Scan(_), Some(part)) => {
                let (cursor, entries) =
                    read_part(&part, self.with_values).map_err(|source| failed(self, source))?;
                self.ready = entries.into_iter();
                if cursor == 0 { Step::Over } else { Step::Scan(cursor) }
            }
            (Step::ListKeys, Some(keys)) => {
                let keys = StashKey::read_all(&keys).map_err(|source| failed(self, source))?;
                if self.with_values {
                    next_key(keys.into_iter())
                } else {
                    self.ready = keys.into_iter().map(|key| (key, None)).collect::<Vec<_>>().into_iter();
                    Step::Over
                }
            }
            (Step::GetEach { key, rest }, value) => {
                self.ready =
                    value.map(|value| (key, Some(value))).into_iter().collect::<Vec<_>>().into_iter();
                next_key(rest)
            }
            (Step::AskPeer | Step::Scan(_) | Step::ListKeys, None) | (Step::Over, _) => Step::Over,
        };
        Ok(())
    }
}

fn next_key(mut rest: vec::IntoIter<StashKey>) -> Step {
    rest.next().map_or(Step::Over, |key| Step::GetEach { key, rest })
}

/// The cursor and entries of `{"cursor": int, "items": [key or [key, value], …]}`.
fn read_part(payload: &Bytes, with_values: bool) -> Result<(i64, Vec<Entry>), DecodeError> {
    let part = ValueRef::decode(payload)?;
    let field = |name| part.as_dict().and_then(|part| part.get(name));
    let cursor = field("cursor").and_then(|cursor| cursor.as_int());
    let items = field("items").and_then(|items| items.as_list());
    let (Some(cursor), Some(items)) = (cursor, items) else {
        return Err(DecodeError::Mismatch("a part of a table has a cursor and items".to_owned()));
    };
    let entries = items.iter().map(|item| {
        if !with_values {
            return Ok((StashKey::read(item)?, None));
        }
        let pair = item.as_list().filter(|pair| pair.len() == 2);
        let mut pair = pair.map(|pair| pair.iter()).ok_or_else(|| {
            DecodeError::Mismatch(format!(
                "an entry of a table: found {}, expected key and value",
                item.kind()
            ))
        })?;
        let key = StashKey::read(pair.next().unwrap_or(ValueRef::None))?;
        Ok((key, pair.next_encoded().map(|value| payload.slice_ref(value))))
    });
    Ok((cursor, entries.collect::<Result<_, _>>()?))
}

/// Entries asked for at a time; the arbiter also keeps each part to about a mebibyte.
const BATCH: u32 = 1000;

#[cfg(test)]
mod tests;
