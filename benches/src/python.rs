use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

/// The interpreter that `scripts/test` prepares, with the pinned gunicorn in it, or the one that `GUNMETAL_PYTHON` names.
///
/// # Errors
///
/// It is not there.
pub fn python() -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let python =
        env::var_os("GUNMETAL_PYTHON").map_or_else(|| root.join("target/python/bin/python"), PathBuf::from);
    ensure!(
        python.exists(),
        "{} is missing: `scripts/test vectors` makes it, with the pinned gunicorn",
        python.display()
    );
    Ok(python)
}
