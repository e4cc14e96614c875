//! What a companion manager answers.

use std::fmt;

use serde::{Deserialize, Deserializer};

/// The answer to one request: what of it the tool needs. Fields that it does not know mean nothing to it.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Answer {
    /// Whether the request was one that could be fulfilled.
    pub(super) ok: bool,
    /// Why not.
    pub(super) error: Option<String>,
    /// What has been done.
    pub(super) message: Option<String>,
    /// To a question for the status.
    pub(super) companions: Option<Vec<Companion>>,
    /// Names, of a reread.
    #[serde(default)]
    pub(super) added: Vec<String>,
    /// Names, of a reread.
    #[serde(default)]
    pub(super) removed: Vec<String>,
    /// Names, of a reread.
    #[serde(default)]
    pub(super) restarted: Vec<String>,
    /// Whether a reread has failed and changed nothing.
    #[serde(default)]
    pub(super) kept_old_config: bool,
}

/// One companion, as it is.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Companion {
    pub(super) name: String,
    pub(super) state: State,
    pub(super) pid: Option<i32>,
    /// What there is to say, on one line and without effect on a terminal: a part of it may come from the companion.
    #[serde(default, deserialize_with = "printable")]
    pub(super) description: String,
    /// When it is started again by itself, in seconds since 1970.
    pub(super) next_retry_at: Option<u64>,
    pub(super) last_exit_code: Option<i32>,
    pub(super) last_exit_signal: Option<i32>,
    #[serde(default)]
    pub(super) exit_count: u64,
    #[serde(default)]
    pub(super) manual_stop: bool,
    /// Whether it is configured no more, and only ends.
    #[serde(default)]
    pub(super) removed: bool,
    /// The file that it writes to; `None` is where the service does.
    pub(super) stdout: Option<String>,
    /// The same of its standard error.
    pub(super) stderr: Option<String>,
}

/// The state of a companion.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub(super) enum State {
    Stopped,
    Starting,
    Running,
    Backoff,
    Stopping,
    /// One that this tool does not know.
    Other(String),
}

impl From<String> for State {
    fn from(word: String) -> Self {
        match word.as_str() {
            "STOPPED" => Self::Stopped,
            "STARTING" => Self::Starting,
            "RUNNING" => Self::Running,
            "BACKOFF" => Self::Backoff,
            "STOPPING" => Self::Stopping,
            _ => Self::Other(word),
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Stopped => "STOPPED",
            Self::Starting => "STARTING",
            Self::Running => "RUNNING",
            Self::Backoff => "BACKOFF",
            Self::Stopping => "STOPPING",
            Self::Other(word) => word,
        })
    }
}

impl Answer {
    /// Why a request was refused, in any case a text.
    pub(super) fn refusal(&self) -> &str {
        self.error.as_deref().unwrap_or("no reason given")
    }
}

/// A text with its control characters escaped.
fn printable<'de, D: Deserializer<'de>>(text: D) -> Result<String, D::Error> {
    let text = String::deserialize(text)?;
    let mut printable = String::with_capacity(text.len());
    for sign in text.chars() {
        if sign.is_control() {
            printable.extend(sign.escape_default());
        } else {
            printable.push(sign);
        }
    }
    Ok(printable)
}
