//! Names and values of a TOML file, each with its place.

use super::raw::Raw;

/// A table of a file, or the whole of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Section {
    /// Where it begins.
    pub(super) line: usize,
    pub(super) items: Vec<Item>,
}

/// A name with its value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Item {
    /// Where the name stands.
    pub(super) line: usize,
    pub(super) name: String,
    pub(super) value: Raw,
}
