//! Why the stash refused an operation.

use gunmetal_protocol::{ErrorPayload, ErrorType};

use crate::error::CallError;
use crate::stash::key::StashKey;
use crate::stash::message::{StashAsk, StashMessage};

/// Why the stash refused an operation. Nothing was changed.
///
/// gunicorn's exceptions `StashKeyNotFoundError`, `StashTableNotFoundError` and `StashError`.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum StashError {
    /// The table has no such key, or there is no such table.
    #[error("key not found in stash table {table}: {key}")]
    KeyNotFound {
        /// The table.
        table: String,
        /// The key.
        key: StashKey,
    },
    /// There is no such table.
    #[error("stash table not found: {table}")]
    TableNotFound {
        /// The table.
        table: String,
    },
    /// The stash has no room: the operation would take it past its memory limit, `dirty_stash_limit`.
    #[error("{message}")]
    Full {
        /// What the arbiter said.
        message: String,
        /// Memory that the stash uses, in bytes.
        used: u64,
        /// Memory that it may use, in bytes.
        limit: u64,
    },
    /// It was refused for another reason, such as a key of a wrong kind.
    #[error("{message}")]
    Refused {
        /// What the arbiter said.
        message: String,
    },
}

/// What the arbiter's `payload` says about `asked`.
pub(crate) fn from_payload(payload: &ErrorPayload, asked: &StashMessage<'_>) -> CallError {
    let message = payload.message.to_string();
    let table = || asked.table.to_owned();
    let key = || asked.key.cloned().unwrap_or_default();
    let error = match &payload.error_type {
        ErrorType::StashKeyNotFound => StashError::KeyNotFound { table: table(), key: key() },
        ErrorType::StashTableNotFound => StashError::TableNotFound { table: table() },
        ErrorType::Stash => match (bytes(payload, "used"), bytes(payload, "limit")) {
            (Some(used), Some(limit)) => StashError::Full { message, used, limit },
            _ => StashError::Refused { message },
        },
        // gunicorn's arbiter sends all of these as its base class.
        ErrorType::Dirty if message.starts_with("Key not found: ") && asked.ask == StashAsk::Get => {
            StashError::KeyNotFound { table: table(), key: key() }
        }
        ErrorType::Dirty if message.starts_with("Table not found: ") && asked.ask == StashAsk::Info => {
            StashError::TableNotFound { table: table() }
        }
        ErrorType::Dirty if UNKNOWN.iter().any(|known| message.starts_with(known)) => {
            return CallError::Unsupported { operation: asked.to_string() };
        }
        ErrorType::Dirty => StashError::Refused { message },
        _ => return CallError::from_payload(payload, "", ""),
    };
    error.into()
}

fn bytes(payload: &ErrorPayload, name: &str) -> Option<u64> {
    u64::try_from(payload.details.get(name)?.as_int()?).ok()
}

/// How arbiters begin when they do not know an operation: gunicorn's, and ours before it had a stash.
const UNKNOWN: [&str; 2] = ["Unknown stash operation", "stash is not available"];

#[cfg(test)]
mod tests;
