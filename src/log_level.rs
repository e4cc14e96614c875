//! How much the service says.

use tracing_subscriber::filter::LevelFilter;

/// gunicorn's log levels, and `trace`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// Nothing but the reason why the service had to end.
    Critical,
    /// What somebody must act on.
    Error,
    /// What the service recovered from.
    Warning,
    /// The lives of the processes.
    Info,
    /// Every call.
    Debug,
    /// Every frame.
    Trace,
}

impl LogLevel {
    /// The level of that name, in any case; `warn` is `warning`.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "critical" => Self::Critical,
            "error" => Self::Error,
            "warning" | "warn" => Self::Warning,
            "info" => Self::Info,
            "debug" => Self::Debug,
            "trace" => Self::Trace,
            _ => return None,
        })
    }

    /// gunicorn's name for it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }

    pub(crate) fn filter(self) -> LevelFilter {
        match self {
            Self::Critical => LevelFilter::OFF,
            Self::Error => LevelFilter::ERROR,
            Self::Warning => LevelFilter::WARN,
            Self::Info => LevelFilter::INFO,
            Self::Debug => LevelFilter::DEBUG,
            Self::Trace => LevelFilter::TRACE,
        }
    }
}
