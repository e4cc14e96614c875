//! Settings from `GUNMETAL_…` variables.

use super::error::{SettingsError, did_you_mean};
use super::key::Key;
use super::layer::Layer;
use super::origin::Origin;
use super::raw::Raw;

/// Reads every setting's variable through `lookup`; an empty one counts as absent.
pub(super) fn read(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Layer, SettingsError> {
    let mut layer = Layer::default();
    for key in Key::ALL {
        if let Some(text) = lookup(&key.variable()).filter(|text| !text.trim().is_empty()) {
            layer.set(key, &Raw::Text(text), Origin::Variable(key))?;
        }
    }
    Ok(layer)
}

/// What to say of each of these variables that has the name of a setting, but of none that there is.
pub(crate) fn unknown(names: impl IntoIterator<Item = String>) -> Vec<String> {
    let settings = Key::ALL.map(|key| key.name().to_uppercase());
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

const PREFIX: &str = "GUNMETAL_";

/// Variables with our prefix that mean something elsewhere: the configuration file, the dirty socket for clients, the
/// interpreter that tests use.
const NOT_SETTINGS: [&str; 3] = ["CONFIG", "DIRTY_SOCKET", "PYTHON"];

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
