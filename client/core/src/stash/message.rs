//! One operation on the stash, as it is sent.

use std::fmt;

use gunmetal_protocol::{EncodeError, ScanRef, Segments, StashOp, encode_scan, encode_stash};

use super::key::StashKey;

/// An operation on the stash. It prints as its name, for errors and logs.
#[derive(Debug, Clone, Copy)]
pub struct StashMessage<'a> {
    pub(crate) ask: StashAsk,
    pub(crate) table: &'a str,
    pub(crate) key: Option<&'a StashKey>,
    value: Option<&'a Segments>,
    pattern: Option<&'a str>,
}

/// What is asked of the stash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StashAsk {
    Put,
    Get,
    Delete,
    Exists,
    Keys,
    Clear,
    Info,
    Ensure,
    DeleteTable,
    Tables,
    Scan(ScanWindow),
}

/// Which part of a table a scan asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScanWindow {
    /// Where the last part ended; 0 to begin.
    pub cursor: i64,
    /// Entries wanted; the arbiter may send fewer.
    pub count: u32,
    /// Whether the values are wanted too.
    pub with_values: bool,
}

impl<'a> StashMessage<'a> {
    fn new(ask: StashAsk, table: &'a str) -> StashMessage<'a> {
        StashMessage { ask, table, key: None, value: None, pattern: None }
    }

    fn of_key(ask: StashAsk, table: &'a str, key: &'a StashKey) -> StashMessage<'a> {
        StashMessage { key: Some(key), ..StashMessage::new(ask, table) }
    }

    /// Store an encoded value under a key. The answer is `True`.
    #[must_use]
    pub fn put(table: &'a str, key: &'a StashKey, value: &'a Segments) -> StashMessage<'a> {
        StashMessage { value: Some(value), ..StashMessage::of_key(StashAsk::Put, table, key) }
    }

    /// Fetch the value under a key. The answer is the value.
    #[must_use]
    pub fn get(table: &'a str, key: &'a StashKey) -> StashMessage<'a> {
        StashMessage::of_key(StashAsk::Get, table, key)
    }

    /// Remove a key. The answer is whether it was there.
    #[must_use]
    pub fn delete(table: &'a str, key: &'a StashKey) -> StashMessage<'a> {
        StashMessage::of_key(StashAsk::Delete, table, key)
    }

    /// Whether a key exists; with the key [`StashKey::None`], whether the table does.
    #[must_use]
    pub fn exists(table: &'a str, key: &'a StashKey) -> StashMessage<'a> {
        StashMessage::of_key(StashAsk::Exists, table, key)
    }

    /// List the keys, all or those that match a pattern.
    #[must_use]
    pub fn keys(table: &'a str, pattern: Option<&'a str>) -> StashMessage<'a> {
        StashMessage { pattern, ..StashMessage::new(StashAsk::Keys, table) }
    }

    /// Remove all keys. The answer is `True`.
    #[must_use]
    pub fn clear(table: &'a str) -> StashMessage<'a> {
        StashMessage::new(StashAsk::Clear, table)
    }

    /// Describe a table. The answer is a [`TableInfo`](super::TableInfo).
    #[must_use]
    pub fn info(table: &'a str) -> StashMessage<'a> {
        StashMessage::new(StashAsk::Info, table)
    }

    /// Create a table unless it exists. The answer is `True`.
    #[must_use]
    pub fn ensure(table: &'a str) -> StashMessage<'a> {
        StashMessage::new(StashAsk::Ensure, table)
    }

    /// Remove a table. The answer is whether it was there.
    #[must_use]
    pub fn delete_table(table: &'a str) -> StashMessage<'a> {
        StashMessage::new(StashAsk::DeleteTable, table)
    }

    /// List the tables.
    #[must_use]
    pub fn tables() -> StashMessage<'static> {
        StashMessage::new(StashAsk::Tables, "")
    }

    /// List a part of a table. Only for an arbiter that has said it knows
    /// [`Status::STASH_SCAN`](crate::Status::STASH_SCAN).
    #[must_use]
    pub fn scan(table: &'a str, pattern: Option<&'a str>, window: ScanWindow) -> StashMessage<'a> {
        StashMessage { pattern, ..StashMessage::new(StashAsk::Scan(window), table) }
    }

    /// Appends the message as one frame.
    pub(crate) fn encode(&self, request_id: u64, out: &mut Segments) -> Result<(), EncodeError> {
        let op = match self.ask {
            StashAsk::Put => StashOp::Put,
            StashAsk::Get => StashOp::Get,
            StashAsk::Delete => StashOp::Delete,
            StashAsk::Exists => StashOp::Exists,
            StashAsk::Keys => StashOp::Keys,
            StashAsk::Clear => StashOp::Clear,
            StashAsk::Info => StashOp::Info,
            StashAsk::Ensure => StashOp::Ensure,
            StashAsk::DeleteTable => StashOp::DeleteTable,
            StashAsk::Tables => StashOp::Tables,
            StashAsk::Scan(ScanWindow { cursor, count, with_values: values }) => {
                let StashMessage { table, pattern, .. } = *self;
                let scan = ScanRef { table, cursor, count: count.into(), pattern, values };
                return encode_scan(request_id, &scan, out);
            }
        };
        let (key, value) = (self.key.map(StashKey::to_value), self.value.cloned());
        encode_stash(request_id, op, self.table, key.as_ref(), value, self.pattern, out)
    }
}

impl fmt::Display for StashMessage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.ask {
            StashAsk::Put => "put",
            StashAsk::Get => "get",
            StashAsk::Delete => "delete",
            StashAsk::Exists => "exists",
            StashAsk::Keys => "keys",
            StashAsk::Clear => "clear",
            StashAsk::Info => "info",
            StashAsk::Ensure => "ensure",
            StashAsk::DeleteTable => "delete_table",
            StashAsk::Tables => return f.write_str("stash tables"),
            StashAsk::Scan(_) => "scan",
        };
        write!(f, "stash {name} {}", self.table)?;
        self.key.map_or(Ok(()), |key| write!(f, " {key}"))
    }
}
