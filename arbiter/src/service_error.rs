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
    /// A hook refused the start.
    #[error("{name} refused the start: {words}")]
    Hook {
        /// Its name.
        name: &'static str,
        /// The message of its panic.
        words: String,
    },
    /// The master's pid file cannot be kept.
    #[error("no pid file")]
    PidFile(#[source] gunmetal_supervise::PidFileError),
    /// A descriptor that was to be a listener is none.
    #[error("cannot listen")]
    Inherited(#[from] gunmetal_supervise::InheritedError),
    /// A variable that tells of inherited sockets cannot be understood.
    #[error("environment variable {variable} = {found:?} is not understood; allowed: {allowed}")]
    Variable {
        /// Its name.
        variable: &'static str,
        /// Its value.
        found: String,
        /// What would be.
        allowed: &'static str,
    },
    /// Workers cannot run as whom they are to.
    #[error(
        "cannot run workers as user {uid}, group {gid}: only root may, and this is user {own_uid}, group {own_gid}"
    )]
    Account {
        /// The user.
        uid: u32,
        /// The group.
        gid: u32,
        /// Whom the master runs as.
        own_uid: u32,
        /// And its group.
        own_gid: u32,
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
            Self::Bind(_)
            | Self::AlreadyRunning { .. }
            | Self::Stranger { .. }
            | Self::Hook { .. }
            | Self::PidFile(_)
            | Self::Inherited(_)
            | Self::Variable { .. }
            | Self::Account { .. }
            | Self::System { .. } => 1,
            Self::Startup { code, .. } => *code,
        }
    }

    /// What `failure` means to the service; `role` says whose it is, unless its own words do.
    pub(crate) fn startup(role: Option<&str>, failure: &StartupFailure) -> Self {
        let code = if failure.exit_code() == APP_LOAD_FAILED { 4 } else { 3 };
        let StartupFailure { error, restarts, .. } = failure;
        let reason = match (role, restarts) {
            (None, _) => error.clone(),
            (Some(role), 0) => format!("{role} failed to start: {error}"),
            (Some(role), restarts) => {
                format!("{role} keeps failing, after {restarts} restarts in a row: {error}")
            }
        };
        Self::Startup { reason, code }
    }

    /// Names what was to be done when the system refused.
    pub(crate) fn system<E: Into<io::Error>>(action: &'static str) -> impl FnOnce(E) -> Self {
        move |source| Self::System { action, source: source.into() }
    }
}
