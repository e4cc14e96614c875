//! What the tool can do.

pub(crate) mod companion;
pub(crate) mod dirty;
pub(crate) mod output;
