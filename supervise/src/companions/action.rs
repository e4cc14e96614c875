//! What happens to companions, and what is to be done about it.

use std::fmt;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::LaunchId;
use crate::{ExitStatus, StopMode};

/// What has happened to a process, or to all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CompanionEvent {
    /// A process has ended, or never began.
    Ended(LaunchId, CompanionEnd),
    /// A process takes more memory than it may. It is restarted as by a command; the text is for people.
    Outgrown(LaunchId, String),
    /// All are to end, for good: each within its own `stop_timeout` and within `limit`.
    Stop {
        /// At once means within a second.
        mode: StopMode,
        /// Time for all of them.
        limit: Option<Duration>,
    },
    /// Time has passed.
    Tick,
}

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CompanionEnd {
    /// It ran, and ended like this.
    Exit(ExitStatus),
    /// It ended like this before it was what it should have become, for the reason it gave.
    NeverBegan(ExitStatus, String),
    /// There was no process, for this reason.
    NotForked(String),
}

impl CompanionEnd {
    /// How the process ended, if there was one.
    #[must_use]
    pub fn status(&self) -> Option<ExitStatus> {
        match self {
            Self::Exit(status) | Self::NeverBegan(status, _) => Some(*status),
            Self::NotForked(_) => None,
        }
    }
}

impl fmt::Display for CompanionEnd {
    /// In the words of `supervisorctl status`: `exited with status 1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NeverBegan(_, reason) | Self::NotForked(reason) => f.write_str(reason),
            Self::Exit(ExitStatus::Code(code)) => write!(f, "exited with status {code}"),
            Self::Exit(status @ (ExitStatus::Signal { .. } | ExitStatus::Unknown)) => status.fmt(f),
        }
    }
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CompanionAction {
    /// Start a process by the latest configuration; report its end, or that it could not be forked.
    Spawn {
        /// The companion.
        name: String,
        /// What the process is called from now on.
        launch: LaunchId,
    },
    /// Send a signal. A process that has ended or was never forked needs none.
    Signal {
        /// The companion.
        name: String,
        /// Its process.
        launch: LaunchId,
        /// The signal; SIGKILL if the time was up.
        signal: Signal,
        /// Time it has to end; `None` after SIGKILL, which leaves it none.
        timeout: Option<Duration>,
    },
    /// For the log: it has lasted for `startsecs`.
    Running {
        /// The companion.
        name: String,
    },
    /// For the log: a process has ended.
    Ended {
        /// The companion.
        name: String,
        /// How.
        end: CompanionEnd,
        /// And what follows.
        sequel: Sequel,
    },
    /// For the log: it takes more memory than it may, and is restarted.
    Outgrown {
        /// The companion.
        name: String,
        /// What it takes, in words.
        reason: String,
    },
}

/// What follows the end of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sequel {
    /// Another process, after this time.
    Retry(Duration),
    /// None: there were so many restarts in a row.
    GivenUp(u32),
    /// None: it was to stop.
    Stopped,
    /// Another process: it was to be restarted.
    Restart,
    /// None: the companion is configured no more.
    Removed,
}
