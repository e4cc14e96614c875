//! Why arguments do not fit an action.

use std::fmt::{self, Display};

use crate::action_error::Allowed;

/// Why arguments do not fit an action; the texts follow Python's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// Arguments without default that the caller did not give.
    #[error("{action}() missing required {}", Quoted(names))]
    MissingArguments {
        /// The action called.
        action: &'static str,
        /// All that is missing, in the action's order.
        names: Vec<&'static str>,
    },
    /// A keyword that the action does not take.
    #[error("{action}() got an unexpected keyword argument '{name}'{}", Allowed(allowed))]
    UnexpectedKeyword {
        /// The action called.
        action: &'static str,
        /// What the caller gave.
        name: String,
        /// The names that the action takes.
        allowed: Vec<&'static str>,
    },
    /// An argument given by position and again by name.
    #[error("{action}() got multiple values for argument '{name}'")]
    MultipleValues {
        /// The action called.
        action: &'static str,
        /// The argument.
        name: &'static str,
    },
    /// More positional arguments than the action takes.
    #[error("{action}() takes {} ({given} given)", AtMost(*allowed))]
    TooManyPositional {
        /// The action called.
        action: &'static str,
        /// How many it takes.
        allowed: usize,
        /// How many there were.
        given: usize,
    },
    /// A value that does not convert to the argument's type.
    #[error("{action}() argument '{name}': expected {expected}, found {found}{}", Detail(detail))]
    WrongType {
        /// The action called.
        action: String,
        /// The argument.
        name: &'static str,
        /// The Rust type that the action declares.
        expected: &'static str,
        /// What kind of value it got, as the protocol calls it.
        found: &'static str,
        /// What exactly does not fit; may be empty.
        detail: String,
    },
}

/// `argument: 'a'` or `arguments: 'a', 'b'`.
struct Quoted<'a>(&'a [&'static str]);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.len() == 1 { "argument: " } else { "arguments: " })?;
        for (index, name) in self.0.iter().enumerate() {
            write!(f, "{}'{name}'", if index == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

struct AtMost(usize);

impl Display for AtMost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("no positional arguments"),
            1 => f.write_str("at most 1 positional argument"),
            count => write!(f, "at most {count} positional arguments"),
        }
    }
}

struct Detail<'a>(&'a str);

impl Display for Detail<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, " ({})", self.0) }
    }
}
