//! What a process finds around it. An error says what could not be had, and why.

use std::collections::BTreeMap;
use std::env;
use std::fs::File;
use std::path::Path;

use nix::unistd::dup2_stdin;

use crate::set_env;

pub(super) fn change_dir(cwd: &Path) -> Result<(), String> {
    env::set_current_dir(cwd).map_err(|error| format!("cwd {}: {error}", cwd.display()))
}

pub(super) fn add_variables(variables: &BTreeMap<String, String>) -> Result<(), String> {
    for (name, value) in variables {
        // No system call takes these, and the standard library panics.
        if name.is_empty() || name.contains(['=', '\0']) {
            return Err(format!("env: {name:?} cannot be the name of a variable"));
        }
        if value.contains('\0') {
            return Err(format!("env {name}: its value holds a NUL"));
        }
        set_env(name, value).map_err(|error| format!("env {name}: {error}"))?;
    }
    Ok(())
}

/// Whoever reads has reached the end.
pub(super) fn empty_stdin() -> Result<(), String> {
    let opened = File::open(NOTHING).and_then(|file| Ok(dup2_stdin(file)?));
    opened.map_err(|error| format!("standard input from {NOTHING}: {error}"))
}

const NOTHING: &str = "/dev/null";
