//! The functions that a program has registered to be run as companions.

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use gunmetal_arbiter::CompanionBody;
use gunmetal_supervise::APP_LOAD_FAILED;

use super::{Companion, StopTerms};
use crate::http::Outcome;
use crate::preload::{LoadError, Loaders};
use crate::runtime;

/// What a companion does, the kind of its function forgotten.
pub(crate) type CompanionClosure = Rc<dyn Fn(Companion) -> Result<(), String>>;

/// A function that blocks, on the process's main thread.
pub(crate) fn blocking<R: Outcome>(function: impl Fn(Companion) -> R + 'static) -> CompanionClosure {
    Rc::new(move |companion| function(companion).into_result())
}

/// An async function, on a tokio runtime of its own.
pub(crate) fn on_runtime<R: Outcome>(function: impl AsyncFn(Companion) -> R + 'static) -> CompanionClosure {
    Rc::new(move |companion| runtime::block_on("companion", function(companion))?.into_result())
}

/// Which function is meant by which target: filled before the first fork, read in every process.
#[derive(Clone, Default)]
pub(crate) struct Functions {
    /// In the order in which they were registered.
    closures: Vec<(String, CompanionClosure)>,
    /// What the program preloads, for companions of a master that has not done so.
    loaders: Arc<Loaders>,
}

/// A function that cannot be registered.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FunctionError {
    #[error(
        "companion {name:?} is not called as a function can be; allowed: a name or module:name, without blanks"
    )]
    BadName { name: String },
    #[error("companion {name:?} is registered twice")]
    Taken { name: String },
}

impl Functions {
    /// Lets `closure` be run as the target `name`.
    pub(crate) fn register(&mut self, name: &str, closure: CompanionClosure) -> Result<(), FunctionError> {
        let name = name.to_owned();
        let is_allowed = |part: &str| {
            !part.is_empty() && !part.contains(|sign: char| sign.is_whitespace() || sign.is_control())
        };
        let parts = name.split(':').count();
        if parts > 2 || !name.split(':').all(is_allowed) {
            return Err(FunctionError::BadName { name });
        }
        if self.names().any(|taken| taken == name) {
            return Err(FunctionError::Taken { name });
        }
        self.closures.push((name, closure));
        Ok(())
    }

    /// The same functions, of a program that preloads this.
    pub(crate) fn with_loaders(self, loaders: &Arc<Loaders>) -> Self {
        Self { loaders: Arc::clone(loaders), ..self }
    }

    /// The targets, in the order in which they were registered.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.closures.iter().map(|(name, _)| name.as_str())
    }

    /// The process of a companion whose target is the function `name`; `None` if there is no such function.
    pub(crate) fn body(&self, name: &str, terms: StopTerms) -> Option<CompanionBody> {
        let (_, closure) = self.closures.iter().find(|(registered, _)| registered == name)?;
        let (closure, loaders) = (Rc::clone(closure), Arc::clone(&self.loaders));
        Some(Rc::new(move |companion| run(&closure, &loaders, Companion::new(companion, terms))))
    }
}

impl fmt::Debug for Functions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

/// Runs a companion's process to its end; returns its exit code. A panic is for whoever forked it.
fn run(closure: &CompanionClosure, loaders: &Loaders, companion: Companion) -> i32 {
    let name = companion.name().to_owned();
    if let Err(words) = loaders.run() {
        tracing::error!(companion = name, reason = LoadError(words).to_string(), "companion cannot start");
        return APP_LOAD_FAILED;
    }
    match closure(companion) {
        Ok(()) => 0,
        Err(reason) => {
            tracing::error!(companion = name, reason, "companion failed");
            1
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use gunmetal_supervise::Signal;

    use super::*;

    fn terms() -> StopTerms {
        StopTerms { signal: Signal::SIGTERM, patience: Duration::from_secs(60) }
    }

    fn nothing() -> CompanionClosure {
        blocking(|_| ())
    }

    #[test]
    fn a_function_has_a_name_or_a_module_and_a_name() {
        let mut functions = Functions::default();
        functions.register("scheduler", nothing()).unwrap();
        functions.register("jobs:scheduler", nothing()).unwrap();
        for bad in ["", " ", "a b", "a\tb", "a\u{7}", ":a", "a:", ":", "a:b:c", "a\n"] {
            let name = bad.to_owned();
            assert_eq!(functions.register(bad, nothing()), Err(FunctionError::BadName { name }), "{bad:?}");
        }
        assert_eq!(functions.names().collect::<Vec<_>>(), ["scheduler", "jobs:scheduler"]);
    }

    #[test]
    fn a_name_is_registered_once() {
        let mut functions = Functions::default();
        functions.register("a:b", nothing()).unwrap();
        let error = functions.register("a:b", nothing()).unwrap_err();
        assert_eq!(error.to_string(), "companion \"a:b\" is registered twice");
    }

    #[test]
    fn a_function_is_called_with_the_companions_name_and_its_error_is_exit_code_1() {
        let mut functions = Functions::default();
        let is = |wanted: &'static str| {
            move |companion: Companion| match companion.name() == wanted {
                true => Ok(()),
                false => Err(format!("not {wanted}")),
            }
        };
        functions.register("blocking", blocking(is("a"))).unwrap();
        functions.register("async", on_runtime(async move |companion| is("a")(companion))).unwrap();
        for name in ["blocking", "async"] {
            let body = functions.body(name, terms()).unwrap();
            assert_eq!((body("a"), body("b")), (0, 1), "{name}");
        }
        assert!(functions.body("other", terms()).is_none());
    }

    #[test]
    fn what_cannot_be_loaded_is_exit_code_4_and_the_function_is_not_called() {
        let mut loaders = Loaders::default();
        loaders.add(|| Err::<(), _>("no table"));
        let mut functions = Functions::default().with_loaders(&Arc::new(loaders));
        functions.register("a", blocking(|_| -> () { unreachable!("it has nothing to work with") })).unwrap();
        assert_eq!(functions.body("a", terms()).unwrap()("a"), 4);
    }
}
