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

impl LogFormat {
    /// The format of that name, in any case.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        [Self::Text, Self::Json].into_iter().find(|format| name.eq_ignore_ascii_case(format.name()))
    }

    /// Its name in the settings.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}
