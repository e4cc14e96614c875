//! Environment variables, while there is one thread.

use std::ffi::OsStr;

use crate::sys;
use crate::threads::{SingleThread, ThreadsError};

/// Sets an environment variable of this process, and so of those it will fork.
///
/// # Errors
///
/// [`ThreadsError::Many`] if another thread could be reading the environment.
pub fn set_env(name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Result<(), ThreadsError> {
    let proof = SingleThread::check()?;
    sys::environment::set(&proof, name.as_ref(), value.as_ref());
    Ok(())
}

/// Removes an environment variable of this process.
///
/// # Errors
///
/// As [`set_env`].
pub fn remove_env(name: impl AsRef<OsStr>) -> Result<(), ThreadsError> {
    let proof = SingleThread::check()?;
    sys::environment::remove(&proof, name.as_ref());
    Ok(())
}
