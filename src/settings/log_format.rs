//! What a log line looks like.

/// What a log line looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// As gunicorn has it: `[time] [pid] [LEVEL] message fields`.
    #[default]
    Text,
    /// An object of JSON on each line.
    Json,
}
