//! Why a service was not started.

use std::io;
use std::path::PathBuf;

use gunmetal_dirty::RegistryError;

use super::key::Key;
use super::origin::Origin;
use crate::companion::FunctionError;
use crate::tls::TlsError;

/// What is wrong with the settings: which one, where it stands, what was found, what is allowed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum SettingsError {
    #[error("{origin}: unknown setting {name:?}{hint}; the settings are {known}")]
    UnknownKey { origin: Origin, name: String, hint: String, known: String },
    #[error("{origin}: {key} = {found} is not allowed: {reason}; allowed: {allowed}")]
    BadValue { origin: Origin, key: Box<str>, found: String, reason: String, allowed: String },
    #[error(
        "{origin}: dirty_apps names {path:?}, which this program has not registered{hint}; registered: {registered}"
    )]
    AppNotRegistered { origin: Origin, path: String, hint: String, registered: String },
    #[error("{origin}: keyfile is set, and certfile is not: without a certificate there is no TLS")]
    KeyWithoutCertificate { origin: Origin },
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("{origin}: dirty_apps names {path:?} twice")]
    AppTwice { origin: Origin, path: String },
    #[error("set by the program")]
    BadApp(#[from] RegistryError),
    #[error("set by the program")]
    BadFunction(#[from] FunctionError),
    #[error("{origin}: {companion}: unknown key {name:?}{hint}; the keys are {known}")]
    UnknownCompanionKey { origin: Origin, companion: Box<str>, name: Box<str>, hint: String, known: String },
    #[error("{origin}: {companion}: {missing}; allowed: {allowed}")]
    IncompleteCompanion { origin: Origin, companion: String, missing: &'static str, allowed: String },
    #[error(
        "{origin}: {key} is not allowed here: companions are configured in {}, which companion_config_file \
         names ({named})", file.display()
    )]
    TwoCompanionFiles { origin: Origin, key: Box<str>, file: PathBuf, named: Origin },
    #[error("configuration file {} cannot be read", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("the log file {} cannot be opened", path.display())]
    ErrorLog { path: PathBuf, source: io::Error },
    #[error("the working directory {} cannot be entered", path.display())]
    Chdir { path: PathBuf, source: io::Error },
    #[error("this process has no working directory")]
    NoDirectory { source: io::Error },
    #[error("standard output cannot be written")]
    Output(#[source] io::Error),
    #[error("{}:{line}: {message}", path.display())]
    BadToml { path: PathBuf, line: usize, message: String },
}

impl SettingsError {
    /// `found` is not what `key` may be, for this `reason`.
    pub(super) fn bad_value(origin: Origin, key: Key, found: String, reason: String) -> Self {
        Self::BadValue { origin, key: key.name().into(), found, reason, allowed: key.allowed() }
    }
}

/// ` (did you mean "…"?)` for the candidate that differs least from `name`, if one is near.
pub(super) fn did_you_mean<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    candidates
        .into_iter()
        .map(|candidate| (distance(name, candidate), candidate))
        .min()
        .filter(|(distance, _)| *distance <= 1 + name.len() / 4)
        .map(|(_, candidate)| format!(" (did you mean {candidate:?}?)"))
        .unwrap_or_default()
}

/// Levenshtein distance, in characters.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, to) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_name_is_suggested_and_a_far_one_is_not() {
        assert_eq!(did_you_mean("worker", ["bind", "workers"]), " (did you mean \"workers\"?)");
        assert_eq!(did_you_mean("dirty-app", ["dirty_apps"]), " (did you mean \"dirty_apps\"?)");
        assert_eq!(did_you_mean("port", ["bind", "workers"]), "");
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
