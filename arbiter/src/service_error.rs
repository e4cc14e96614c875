//! Why a service did not start, or had to end.

use std::io;
use std::path::PathBuf;

use gunmetal_supervise::{APP_LOAD_FAILED, StartupFailure};

use crate::BindError;

/// Why a service did not start, or had to end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServiceError {
    /// An address could not be bound.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// A process of the first generation failed to start.
    #[error("{reason}")]
    Startup {
        /// Which one, and what it left behind.
        reason: String,
        /// The exit code of the service.
        code: u8,
    },
    /// It runs already.
    #[error("already running (pid {pid}): it keeps the pid file {}", path.display())]
    AlreadyRunning {
        /// The process that keeps the pid file; 0 if it is in another container.
        pid: i32,
        /// The pid file.
        path: PathBuf,
    },
    /// The pid file is in the hands of a process that is no dirty arbiter of this user.
    #[error("process {pid}, which is no dirty arbiter of this user, has locked the pid file {}", path.display())]
    Stranger {
        /// The process.
        pid: i32,
        /// The pid file.
        path: PathBuf,
    },
    /// The system refused something that a service cannot do without.
    #[error("cannot {action}")]
    System {
        /// What was to be done.
        action: &'static str,
        /// What the system says.
        source: io::Error,
    },
}

impl ServiceError {
    /// The exit code: 3 if a process failed to start, 4 if it did because its application could not be loaded, 1 for
    /// everything else.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Bind(_) | Self::AlreadyRunning { .. } | Self::Stranger { .. } | Self::System { .. } => 1,
            Self::Startup { code, .. } => *code,
        }
    }

    /// What `failure` means to the service; `process` says whose it is, unless its own words do.
    pub(crate) fn startup(process: &str, failure: &StartupFailure) -> Self {
        let code = if failure.exit_code() == APP_LOAD_FAILED { 4 } else { 3 };
        Self::Startup { reason: format!("{process}{}", failure.error), code }
    }

    /// Names what was to be done when the system refused.
    pub(crate) fn system<E: Into<io::Error>>(action: &'static str) -> impl FnOnce(E) -> Self {
        move |source| Self::System { action, source: source.into() }
    }
}
