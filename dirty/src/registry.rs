//! Which type serves which path.

use std::collections::BTreeMap;
use std::fmt;

use crate::action_error::ActionError;
use crate::app::{DirtyApp, ErasedApp};
use crate::init_context::InitContext;

/// Which type serves which path: filled before the first fork, read in every process.
///
/// ```
/// use gunmetal_dirty::prelude::*;
/// # struct ImageApp;
/// # #[dirty_app(workers = 2)] impl ImageApp { fn init() -> Self { ImageApp } }
///
/// let mut registry = AppRegistry::new();
/// registry.register::<ImageApp>("images:ImageApp")?;
/// assert_eq!(registry.get("images:ImageApp").unwrap().workers(), Some(2));
/// # Ok::<(), gunmetal_dirty::RegistryError>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct AppRegistry {
    apps: BTreeMap<String, AppFactory>,
}

/// How to make one app, and what its type declares.
#[derive(Clone, Copy)]
pub struct AppFactory {
    workers: Option<u32>,
    stashes: &'static [&'static str],
    type_name: &'static str,
    init: fn(&InitContext) -> Result<Box<dyn ErasedApp>, ActionError>,
}

/// A path that cannot be registered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// Not `module:Name`.
    #[error("app path {path:?} is not of the form module:Name")]
    BadPath {
        /// The path.
        path: String,
    },
    /// A second app at the same path.
    #[error("app path {path:?} is registered twice")]
    Taken {
        /// The path.
        path: String,
    },
}

impl AppRegistry {
    /// A registry without apps.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets `T` serve `path`. One type may serve several paths.
    ///
    /// # Errors
    ///
    /// A path that is not of the form `module:Name`, or is taken.
    pub fn register<T: DirtyApp>(&mut self, path: impl Into<String>) -> Result<(), RegistryError> {
        let path = path.into();
        let well_formed = path
            .split_once(':')
            .is_some_and(|(module, name)| !module.is_empty() && !name.is_empty() && !name.contains(':'));
        if !well_formed || path.contains(char::is_whitespace) {
            return Err(RegistryError::BadPath { path });
        }
        if self.apps.contains_key(&path) {
            return Err(RegistryError::Taken { path });
        }
        self.apps.insert(path, AppFactory::of::<T>());
        Ok(())
    }

    /// The app at `path`.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<AppFactory> {
        self.apps.get(path).copied()
    }

    /// All paths, sorted.
    pub fn paths(&self) -> impl ExactSizeIterator<Item = &str> {
        self.apps.keys().map(String::as_str)
    }
}

impl AppFactory {
    /// The factory of `T`.
    #[must_use]
    pub fn of<T: DirtyApp>() -> Self {
        Self {
            workers: T::WORKERS,
            stashes: T::STASHES,
            type_name: std::any::type_name::<T>(),
            init: |ctx| Ok(Box::new(T::init(ctx)?)),
        }
    }

    /// [`DirtyApp::WORKERS`].
    #[must_use]
    pub fn workers(&self) -> Option<u32> {
        self.workers
    }

    /// [`DirtyApp::STASHES`].
    #[must_use]
    pub fn stashes(&self) -> &'static [&'static str] {
        self.stashes
    }

    /// Makes the app.
    ///
    /// # Errors
    ///
    /// Those of [`DirtyApp::init`].
    pub fn init(&self, ctx: &InitContext) -> Result<Box<dyn ErasedApp>, ActionError> {
        (self.init)(ctx)
    }
}

impl fmt::Debug for AppFactory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppFactory")
            .field("type", &self.type_name)
            .field("workers", &self.workers)
            .field("stashes", &self.stashes)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Call, Reply, Result};

    struct Nothing;

    impl DirtyApp for Nothing {
        fn init(_: &InitContext) -> Result<Self> {
            Ok(Nothing)
        }

        fn call<'a>(&'a self, call: &'a Call<'a>) -> Result<Reply<'a>> {
            Err(call.unknown_action(&[]))
        }
    }

    #[test]
    fn a_path_is_module_and_name_and_registered_once() {
        let mut registry = AppRegistry::new();
        for path in ["", "images", ":App", "images:", "images:App:2", "my images:App"] {
            assert!(
                matches!(registry.register::<Nothing>(path), Err(RegistryError::BadPath { .. })),
                "{path:?}"
            );
        }
        assert_eq!(registry.register::<Nothing>("images:App"), Ok(()));
        assert_eq!(
            registry.register::<Nothing>("images:App"),
            Err(RegistryError::Taken { path: "images:App".into() })
        );
        assert_eq!(registry.paths().collect::<Vec<_>>(), ["images:App"]);
    }
}
