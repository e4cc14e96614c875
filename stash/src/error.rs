//! Why an operation on the stash fails.

use gunmetal_protocol::{DecodeError, Dict, ErrorPayload, ErrorType, Value};

use crate::key::{Key, WrongKeyKind};

/// Why an operation on the stash fails. The stash is then as it was.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum StashError {
    /// There is no such table.
    #[error("Stash table not found: {table}")]
    TableNotFound {
        /// Its name.
        table: String,
    },
    /// There is no such key in the table, or no such table.
    #[error("Key not found in {table}: {text}")]
    KeyNotFound {
        /// The table's name.
        table: String,
        /// The key as Python's `str()` writes it; the end of a very long one is left out.
        text: String,
        /// The key, unless it is very long.
        key: Option<Value>,
    },
    /// The stash would take more memory than it may.
    #[error(
        "a put of {size} bytes to {table} is over the limit: the stash uses {used} of {limit} bytes (dirty_stash_limit)"
    )]
    OverLimit {
        /// The table's name.
        table: String,
        /// Bytes that it would take in addition.
        size: u64,
        /// Bytes in use.
        used: u64,
        /// Bytes that may be used.
        limit: u64,
    },
    /// The key is a value that cannot be one.
    #[error(transparent)]
    WrongKey(#[from] WrongKeyKind),
    /// The reply would not fit in a frame.
    #[error(
        "{what} of {count} items and {size} bytes exceed the limits of {max_count} items and {max_size} bytes: list them by pattern, or iterate"
    )]
    ReplyTooLong {
        /// What was asked for.
        what: String,
        /// Items in the reply.
        count: u64,
        /// Bytes of the reply.
        size: u64,
        /// Most items that a list may have.
        max_count: u64,
        /// Most bytes that a reply may have.
        max_size: u64,
    },
    /// The pattern is too long.
    #[error("a pattern of {len} bytes exceeds the limit of {max} bytes")]
    PatternTooLong {
        /// Its length in bytes.
        len: usize,
        /// The longest allowed, in bytes.
        max: usize,
    },
    /// The request is not what it has to be.
    #[error(transparent)]
    Request(#[from] DecodeError),
    /// A table has as many entries as it can have.
    #[error("table {table} has {count} entries and can't have more")]
    TableFull {
        /// Its name.
        table: String,
        /// Its entries.
        count: usize,
    },
}

impl StashError {
    pub(crate) fn table_not_found(table: &str) -> StashError {
        StashError::TableNotFound { table: table.to_owned() }
    }

    pub(crate) fn key_not_found(table: &str, key: &Key<'_>) -> StashError {
        let mut text = key.to_string();
        let is_short = text.len() <= SHOWN_LEN;
        if !is_short {
            text.truncate(text.floor_char_boundary(SHOWN_LEN));
            text.push('…');
        }
        let key = is_short.then(|| match *key {
            Key::None => Value::None,
            Key::Bool(bool) => bool.into(),
            Key::Int(int) => int.into(),
            Key::Bytes(bytes) => gunmetal_protocol::Bytes::copy_from_slice(bytes).into(),
            Key::Str(str) => str.into(),
        });
        StashError::KeyNotFound { table: table.to_owned(), text, key }
    }

    /// The same for the peer: gunicorn's classes, and the names under which their Python attributes are known.
    #[must_use]
    pub fn to_payload(&self) -> ErrorPayload {
        let mut details = Dict::new();
        let error_type = match self {
            Self::TableNotFound { table } => {
                details.insert("table_name", table.as_str());
                ErrorType::StashTableNotFound
            }
            Self::KeyNotFound { table, key, .. } => {
                details.insert("table_name", table.as_str());
                if let Some(key) = key {
                    details.insert("key", key.clone());
                }
                ErrorType::StashKeyNotFound
            }
            Self::OverLimit { table, size, used, limit } => {
                details.insert("table_name", table.as_str());
                for (name, bytes) in [("size", size), ("used", used), ("limit", limit)] {
                    details.insert(name, i64::try_from(*bytes).unwrap_or(i64::MAX));
                }
                ErrorType::Stash
            }
            Self::WrongKey(_)
            | Self::ReplyTooLong { .. }
            | Self::PatternTooLong { .. }
            | Self::Request(_)
            | Self::TableFull { .. } => ErrorType::Stash,
        };
        ErrorPayload { error_type, message: self.to_string().into(), details }
    }
}

/// Bytes of a key that an error shows.
const SHOWN_LEN: usize = 1000;
