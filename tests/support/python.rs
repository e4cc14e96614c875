//! The Python that has the pinned gunicorn, and gunicorn's own dirty arbiter as the other side of a test.

#![allow(dead_code, unreachable_pub, reason = "each file of tests uses a part of this module")]

use std::path::{Path, PathBuf};
use std::process::Command;

/// The interpreter that `scripts/test` makes, or the one that `GUNMETAL_PYTHON` names.
pub fn python() -> PathBuf {
    let made = repository().join("target/python/bin/python");
    let python = std::env::var_os("GUNMETAL_PYTHON").map_or(made, PathBuf::from);
    assert!(python.exists(), "{} is missing: run scripts/test, which makes target/python", python.display());
    python
}

/// The Python files of the tests: the probe app, gunicorn's arbiter alone, and the tests in Python.
pub fn scripts() -> PathBuf {
    repository().join("tests/gunicorn")
}

/// The interpreter, told to leave no compiled files in the source tree and to write what it prints at once.
pub fn python_command() -> Command {
    let mut command = Command::new(python());
    command.env("PYTHONDONTWRITEBYTECODE", "1").env("PYTHONUNBUFFERED", "1");
    command.env_remove("GUNICORN_DIRTY_SOCKET");
    command
}

/// gunicorn's own dirty arbiter in the foreground at `socket`, hosting the probe app; `flags` are those of `arbiter.py`.
///
/// Its temporary files are beside the socket.
pub fn gunicorn_arbiter(socket: &Path, flags: &[&str]) -> Command {
    let mut command = python_command();
    command.arg(scripts().join("arbiter.py")).arg("--socket").arg(socket).args(flags);
    command.env("TMPDIR", socket.parent().unwrap_or(Path::new(".")));
    command
}

/// The root of the workspace, wherever the package under test lies in it.
fn repository() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.ancestors().find(|directory| directory.join("Cargo.lock").exists()).unwrap_or(package)
}
