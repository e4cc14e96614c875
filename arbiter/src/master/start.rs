//! What a program was started with, so that it can be started again.

use std::cell::RefCell;
use std::env;
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

use gunmetal_supervise::ReadyWriter;

/// What a program was started with: its arguments, environment and working directory. A new master of an upgrade is started
/// with the same.
///
/// Capture it before anything changes them.
#[derive(Debug)]
pub struct StartContext {
    pub(super) args: Vec<OsString>,
    pub(super) env: Vec<(OsString, OsString)>,
    pub(super) directory: PathBuf,
    /// Whoever waits for the news that the service is up.
    pub(super) launcher: RefCell<Option<ReadyWriter>>,
}

impl StartContext {
    /// The start of this process. The first of the arguments is the program.
    ///
    /// # Errors
    ///
    /// The working directory is gone.
    pub fn capture(args: Vec<OsString>) -> io::Result<Self> {
        let directory = env::current_dir()?;
        Ok(Self { args, env: env::vars_os().collect(), directory, launcher: RefCell::new(None) })
    }

    /// Whether this process is to replace a master that runs.
    #[must_use]
    pub fn is_upgrade(&self) -> bool {
        self.env.iter().any(|(name, _)| name == crate::handed_over::GUNICORN_PID)
    }

    /// Tells the launcher that the service will not be up, and why, as [`set_launcher`](Self::set_launcher) has it.
    pub fn refuse(&self, words: &str) {
        // Who does not wait any more need not know.
        let _ = self.launcher.borrow_mut().take().map(|launcher| launcher.failed(words));
    }

    /// Tells `launcher` when the service is up, or why it is not: `3 the last words` with the exit code in front.
    pub fn set_launcher(&self, launcher: ReadyWriter) {
        *self.launcher.borrow_mut() = Some(launcher);
    }
}
