//! Why a call to an action came to nothing.

use std::error::Error;
use std::fmt::{self, Display, Write as _};

use crate::bind_error::BindError;

/// `Result` with [`ActionError`]: what actions and `init` return.
pub type Result<T, E = ActionError> = std::result::Result<T, E>;

/// Why a call to an action came to nothing; made from any error by `?`.
///
/// The client receives a `DirtyAppError` whose message is the outermost error's and whose traceback lists the chain
/// of sources, each on a line of its own.
///
/// Like `anyhow::Error` it does not implement [`Error`] itself, so that every error, `anyhow::Error`, `&str` and
/// `String` included, converts into it:
///
/// ```
/// use gunmetal_dirty::prelude::*;
///
/// fn parse(text: &str) -> Result<u32> {
///     let number = text.parse()?; // ParseIntError
///     if number == 0 { Err("zero is not a size")? }
///     Ok(number)
/// }
/// assert_eq!(parse("0").unwrap_err().to_string(), "zero is not a size");
/// assert_eq!(parse("x").unwrap_err().to_string(), "invalid digit found in string");
/// ```
#[non_exhaustive]
pub enum ActionError {
    /// The arguments do not fit the action.
    BadArguments(BindError),
    /// The app has no such action.
    UnknownAction(UnknownAction),
    /// The action failed, or its result cannot be sent.
    Failed(Box<dyn Error + Send + Sync>),
}

impl ActionError {
    /// An error with a text of its own.
    #[must_use]
    pub fn msg(message: impl Into<String>) -> Self {
        Self::Failed(message.into().into())
    }

    /// The chain of causes, one a line, outermost first: what clients receive as the traceback.
    #[must_use]
    pub fn traceback(&self) -> String {
        let mut text = format!("error: {self}\n");
        let mut cause = match self {
            Self::Failed(error) => error.source(),
            Self::BadArguments(_) | Self::UnknownAction(_) => None,
        };
        while let Some(error) = cause {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "caused by: {error}");
            cause = error.source();
        }
        text
    }
}

impl<E: Into<Box<dyn Error + Send + Sync>>> From<E> for ActionError {
    fn from(error: E) -> Self {
        let error = match error.into().downcast::<BindError>() {
            Ok(error) => return Self::BadArguments(*error),
            Err(error) => error,
        };
        match error.downcast::<UnknownAction>() {
            Ok(error) => Self::UnknownAction(*error),
            Err(error) => Self::Failed(error),
        }
    }
}

impl Display for ActionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadArguments(error) => Display::fmt(error, f),
            Self::UnknownAction(error) => Display::fmt(error, f),
            Self::Failed(error) => Display::fmt(error, f),
        }
    }
}

impl fmt::Debug for ActionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.traceback().trim_end())
    }
}

/// The app has no action of that name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{app_path} has no action '{action}'{}", Allowed(known))]
pub struct UnknownAction {
    /// The app that was asked.
    pub app_path: String,
    /// The action that it was asked for.
    pub action: String,
    /// The actions it has.
    pub known: Vec<&'static str>,
}

/// `; allowed: a, b`, or nothing if nothing is.
pub(crate) struct Allowed<'a, T>(pub(crate) &'a [T]);

impl<T: AsRef<str>> Display for Allowed<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, name) in self.0.iter().enumerate() {
            f.write_str(if index == 0 { "; allowed: " } else { ", " })?;
            f.write_str(name.as_ref())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot load the model")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn the_message_is_the_outermost_and_the_traceback_the_chain() {
        let error = ActionError::from(Outer(std::io::Error::other("disk on fire")));
        assert_eq!(error.to_string(), "cannot load the model");
        assert_eq!(error.traceback(), "error: cannot load the model\ncaused by: disk on fire\n");
    }

    #[test]
    fn an_anyhow_error_keeps_its_chain() {
        fn action() -> Result<()> {
            Err(anyhow::anyhow!("inner").context("outer"))?;
            Ok(())
        }
        assert_eq!(action().unwrap_err().traceback(), "error: outer\ncaused by: inner\n");
    }

    #[test]
    fn a_bind_error_stays_what_it_is() {
        let error = ActionError::from(BindError::MissingArguments { action: "a", names: vec!["b"] });
        assert!(matches!(error, ActionError::BadArguments(_)), "{error:?}");
    }

    #[test]
    fn an_unknown_action_names_the_known_ones() {
        let error = UnknownAction { app_path: "m:A".into(), action: "x".into(), known: vec!["echo", "info"] };
        assert_eq!(error.to_string(), "m:A has no action 'x'; allowed: echo, info");
    }
}
