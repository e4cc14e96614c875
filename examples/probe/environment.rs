//! What the environment tells the probe to do at its start and end.

use std::env;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;
use std::process;
use std::thread;
use std::time::Duration;

use gunmetal::dirty::prelude::*;

/// The variables, read once.
pub(crate) struct Environment {
    init_delay: Option<String>,
    init_delay_file: Option<PathBuf>,
    init_fail_file: Option<PathBuf>,
    close_file: Option<PathBuf>,
}

impl Environment {
    pub(crate) fn read() -> Environment {
        let path = |name| env::var_os(name).map(PathBuf::from);
        Environment {
            init_delay: env::var("BENCH_INIT_DELAY").ok(),
            init_delay_file: path("BENCH_INIT_DELAY_FILE"),
            init_fail_file: path("BENCH_INIT_FAIL_FILE"),
            close_file: path("BENCH_CLOSE_FILE"),
        }
    }

    /// Sleeps for `BENCH_INIT_DELAY` seconds, or as many as the file says.
    pub(crate) fn delay_init(&self) {
        let from_file = self.init_delay_file.as_ref().and_then(|path| fs::read_to_string(path).ok());
        let text = from_file.as_ref().or(self.init_delay.as_ref());
        if let Some(seconds) = text.and_then(|text| text.trim().parse().ok()) {
            thread::sleep(Duration::from_secs_f64(seconds));
        }
    }

    /// Fails while the file `BENCH_INIT_FAIL_FILE` exists.
    pub(crate) fn fail_init(&self) -> Result<()> {
        match &self.init_fail_file {
            Some(path) if path.exists() => Err(ActionError::msg("init told to fail")),
            _ => Ok(()),
        }
    }

    /// Appends the process id to `BENCH_CLOSE_FILE`.
    pub(crate) fn note_close(&self) {
        let Some(path) = &self.close_file else { return };
        if let Ok(mut file) = OpenOptions::new().append(true).create(true).open(path) {
            // In one write: other workers append to the file at the same time.
            let _ = file.write_all(format!("{}\n", process::id()).as_bytes());
        }
    }
}
