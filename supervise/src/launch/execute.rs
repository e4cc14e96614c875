//! Becoming another program.

use std::env;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Why a program was not executed.
pub(super) struct Refusal {
    pub(super) reason: String,
    /// What a shell would exit with.
    pub(super) exit_code: i32,
}

/// Becomes `command`, a program and its arguments, or returns why not.
pub(super) fn execute(command: &[String]) -> Refusal {
    let Some((program, arguments)) = command.split_first() else {
        return Refusal { reason: "command: it names no program".to_owned(), exit_code: CANNOT_EXECUTE };
    };
    // The standard library gives the new program its default SIGPIPE.
    let error = Command::new(program).args(arguments).exec();
    // Of a search, the system tells what became of the last directory.
    let is_searched = !program.contains('/');
    let is_missing = error.kind() == io::ErrorKind::NotFound
        || is_searched && error.kind() == io::ErrorKind::NotADirectory;
    if !is_missing {
        return Refusal { reason: format!("command {program}: {error}"), exit_code: CANNOT_EXECUTE };
    }
    match find(program) {
        Some(path) => {
            let reason = format!("command {}: the interpreter that it asks for is not there", path.display());
            Refusal { reason, exit_code: CANNOT_EXECUTE }
        }
        None if is_searched => {
            let path = env::var_os("PATH").unwrap_or_default();
            let reason = format!("command {program}: not found along PATH ({})", path.display());
            Refusal { reason, exit_code: NOT_FOUND }
        }
        None => Refusal { reason: format!("command {program}: {error}"), exit_code: NOT_FOUND },
    }
}

/// The file that `program` means, which is there all the same.
fn find(program: &str) -> Option<PathBuf> {
    if program.contains('/') {
        return Path::new(program).exists().then(|| program.into());
    }
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|dir| dir.join(program)).find(|path| path.is_file())
}

/// What shells exit with for a program that they do not find, and for one that they cannot execute.
const NOT_FOUND: i32 = 127;
const CANNOT_EXECUTE: i32 = 126;
