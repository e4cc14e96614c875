//! What a program does at the stations of its processes' lives.

use std::fmt;

/// Functions of the program that are called at the stations of the processes' lives, under gunicorn's names.
pub trait Hooks: Send + Sync {}

/// Nothing is done anywhere.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoHooks;

impl Hooks for NoHooks {}

impl fmt::Debug for dyn Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hooks")
    }
}
