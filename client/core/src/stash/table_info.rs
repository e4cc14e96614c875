//! What the stash says about a table.

use serde::Deserialize;

/// A table of the stash, in figures.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct TableInfo {
    /// Entries in it.
    pub size: u64,
    /// Its name.
    pub table: String,
    /// Memory that it takes, in bytes; gunicorn's arbiter does not say.
    #[serde(default)]
    pub bytes: Option<u64>,
}
