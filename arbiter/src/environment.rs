//! What the master tells its children through the environment.

use std::path::Path;

use gunmetal_supervise::{ThreadsError, set_env};

/// Lets clients in every child find the dirty arbiter, ours and gunicorn's.
pub(crate) fn export_socket(path: &Path) -> Result<(), ThreadsError> {
    for name in SOCKET_VARIABLES {
        set_env(name, path)?;
    }
    Ok(())
}

const SOCKET_VARIABLES: [&str; 2] = ["GUNMETAL_DIRTY_SOCKET", "GUNICORN_DIRTY_SOCKET"];
