//! An entry of `dirty_apps`: which app, and in how many workers.

use std::fmt;
use std::str::FromStr;

/// `module:Name`, or `module:Name:N` for an app that only `N` workers load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppSpec {
    /// `module:Name`, the path that clients call.
    pub path: String,
    /// The `N` of the configuration; `None` leaves it to the app's own attribute.
    pub limit: Option<u32>,
}

/// What [`AppSpec`] accepts, for error messages.
pub const APP_SPEC_FORMS: &str = "\"module:Name\" or \"module:Name:N\" with a worker count N";

/// Why a text is no app spec.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AppSpecError {
    /// Not two or three non-empty parts between colons.
    #[error("{0:?} is not of the form \"module:Name\" or \"module:Name:N\"")]
    BadForm(String),
    /// The third part is no worker count.
    #[error("worker count {count:?} of {path:?} is not a number from 0 to {MAX_WORKERS}")]
    BadLimit {
        /// `module:Name`.
        path: String,
        /// What stands where the count belongs.
        count: String,
    },
}

/// Most workers that a service may be told to have, of either kind.
pub const MAX_WORKERS: u32 = 1024;

impl FromStr for AppSpec {
    type Err = AppSpecError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let mut parts = text.split(':');
        let (Some(module), Some(name), limit, None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(AppSpecError::BadForm(text.to_owned()));
        };
        if module.is_empty() || name.is_empty() {
            return Err(AppSpecError::BadForm(text.to_owned()));
        }
        let path = format!("{module}:{name}");
        let limit = match limit {
            None => None,
            Some(count) => match count.parse() {
                Ok(limit) if limit <= MAX_WORKERS => Some(limit),
                _ => return Err(AppSpecError::BadLimit { path, count: count.to_owned() }),
            },
        };
        Ok(Self { path, limit })
    }
}

impl fmt::Display for AppSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.limit {
            Some(limit) => write!(f, "{}:{limit}", self.path),
            None => f.write_str(&self.path),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spec_is_a_path_with_or_without_a_worker_count() {
        let parse = |text: &str| text.parse::<AppSpec>().unwrap();
        assert_eq!(parse("images:ImageApp"), AppSpec { path: "images:ImageApp".into(), limit: None });
        assert_eq!(parse("a.b.c:App:2"), AppSpec { path: "a.b.c:App".into(), limit: Some(2) });
        assert_eq!(parse("a:B:0").to_string(), "a:B:0");
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "images", ":App", "images:", "a:B:1:2"] {
            assert!(matches!(text.parse::<AppSpec>(), Err(AppSpecError::BadForm(_))), "{text:?}");
        }
        for text in ["a:B:-1", "a:B:", "a:B:many", "a:B:1025"] {
            assert!(matches!(text.parse::<AppSpec>(), Err(AppSpecError::BadLimit { .. })), "{text:?}");
        }
    }
}
