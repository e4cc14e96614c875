//! What an HTTP closure may return.

use std::error::Error;

/// The end of an HTTP closure: `()`, or a `Result` whose error says why the worker could not go on.
pub trait HttpOutcome {
    /// The error in words, causes included; `Ok` if there is none.
    fn into_result(self) -> Result<(), String>;
}

impl HttpOutcome for () {
    fn into_result(self) -> Result<(), String> {
        Ok(())
    }
}

impl<E: Into<Box<dyn Error + Send + Sync>>> HttpOutcome for Result<(), E> {
    fn into_result(self) -> Result<(), String> {
        self.map_err(|error| chain(error.into().as_ref()))
    }
}

/// An error and its causes on one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        // Some errors repeat their cause in their own text.
        if !text.ends_with(&words) {
            text = format!("{text}: {words}");
        }
        cause = error.source();
    }
    text
}
