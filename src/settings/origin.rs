//! Where a setting's value was written.

use std::fmt;
use std::path::PathBuf;

use super::key::Key;

/// The place that a message sends its reader to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A flag on the command line.
    Flag(Key),
    /// An environment variable.
    Variable(Key),
    /// A line of the configuration file.
    File { path: PathBuf, line: usize },
    /// A method of `Server`, called by the program.
    Program,
    /// The table of settings.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(key) => write!(f, "--{}", key.flag()),
            Self::Variable(key) => write!(f, "environment variable {}", key.variable().unwrap_or_default()),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Program => f.write_str("set by the program"),
            Self::Default => f.write_str("default"),
        }
    }
}
