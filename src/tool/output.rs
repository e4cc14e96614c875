//! Standard output, which may go to a program that has read enough.

use std::io;

use anyhow::Context;

/// Whoever read standard output reads no more: there is nothing left to do, and nothing wrong.
#[derive(Debug, thiserror::Error)]
#[error("standard output is closed")]
pub(crate) struct OutputClosed;

/// What a write to standard output means for the tool.
pub(crate) fn written(result: io::Result<()>) -> anyhow::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(OutputClosed.into()),
        result => result.context("cannot write to standard output"),
    }
}
