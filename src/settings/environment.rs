//! Settings from `GUNMETAL_…` variables.

use super::error::SettingsError;
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
