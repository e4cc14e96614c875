//! The environment of this process.

use std::env;
use std::ffi::OsStr;

use crate::threads::SingleThread;

pub(crate) fn set(_proof: &SingleThread, name: &OsStr, value: &OsStr) {
    // SAFETY: the hazard is another thread that reads the environment meanwhile; there is no other thread.
    unsafe { env::set_var(name, value) };
}

pub(crate) fn remove(_proof: &SingleThread, name: &OsStr) {
    // SAFETY: as in `set`.
    unsafe { env::remove_var(name) };
}
