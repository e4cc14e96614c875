//! Settings from `GUNMETAL_…` variables.

use std::collections::BTreeMap;

use super::error::{SettingsError, did_you_mean};
use super::key::{Key, PREFIX};
use super::layer::Layer;
use super::origin::Origin;
use super::raw::Raw;

/// The `GUNMETAL_…` variables that this process has. Kept from its start: what the service sets in its own environment
/// later is meant for its workers and no setting.
#[derive(Clone, Debug, Default)]
pub(crate) struct Variables(BTreeMap<String, String>);

impl Variables {
    /// Those of this process.
    pub(crate) fn of_this_process() -> Self {
        let texts = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self::from_pairs(texts)
    }

    /// Those of ours among `pairs`.
    pub(super) fn from_pairs(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        Self(pairs.into_iter().filter(|(name, _)| name.starts_with(PREFIX)).collect())
    }

    /// The value of the variable `name`; an empty one counts as absent.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|text| !text.trim().is_empty())
    }

    /// What they set.
    pub(super) fn layer(&self) -> Result<Layer, SettingsError> {
        self.layer_of(Key::all())
    }

    /// What they set of these settings; the others are not looked at.
    pub(super) fn layer_of(&self, keys: impl IntoIterator<Item = Key>) -> Result<Layer, SettingsError> {
        let mut layer = Layer::default();
        for key in keys {
            if let Some(text) = key.variable().and_then(|name| self.value(&name)) {
                layer.set(key, &Raw::Text(text.into()), Origin::Variable(key))?;
            }
        }
        Ok(layer)
    }
}

/// What to say of each of these variables that has the name of a setting, but of none that there is.
pub(crate) fn unknown(names: impl IntoIterator<Item = String>) -> Vec<String> {
    let settings: Vec<String> =
        Key::all().filter_map(|key| key.variable()?.strip_prefix(PREFIX).map(str::to_owned)).collect();
    let known: Vec<&str> = settings.iter().map(String::as_str).chain(NOT_SETTINGS).collect();
    let mut remarks: Vec<String> = names
        .into_iter()
        .filter_map(|name| {
            let rest = name.strip_prefix(PREFIX).filter(|rest| !known.contains(rest))?;
            let hint =
                did_you_mean(rest, known.iter().copied()).replace('"', "").replace("mean ", "mean GUNMETAL_");
            Some(format!("environment variable {name} is no setting and does nothing{hint}"))
        })
        .collect();
    remarks.sort();
    remarks
}

/// Variables with our prefix that mean something elsewhere: the configuration file, the dirty socket for clients, the
/// interpreter that tests use, and what a master hands over to the one that replaces it.
const NOT_SETTINGS: [&str; 6] = ["CONFIG", "DIRTY_SOCKET", "PYTHON", "BOUND", "READY_FD", "DIRTY_FD"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_of_no_setting_is_named_with_the_nearest_one() {
        let names = [
            "PATH",
            "GUNMETAL_WORKERS",
            "GUNMETAL_CONFIG",
            "GUNMETAL_DIRTY_SOCKET",
            "GUNMETAL_PYTHON",
            "GUNMETAL_WORKRES",
            "GUNMETAL_DIRTY_APP",
            "GUNMETAL_FLAVOUR",
        ];
        assert_eq!(
            unknown(names.map(str::to_owned)),
            [
                "environment variable GUNMETAL_DIRTY_APP is no setting and does nothing (did you mean GUNMETAL_DIRTY_APPS?)",
                "environment variable GUNMETAL_FLAVOUR is no setting and does nothing",
                "environment variable GUNMETAL_WORKRES is no setting and does nothing (did you mean GUNMETAL_WORKERS?)",
            ]
        );
    }
}
