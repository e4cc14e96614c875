//! Settings from a TOML file.

use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{SettingsError, did_you_mean};
use super::key::Key;
use super::layer::Layer;
use super::origin::Origin;
use super::raw::Raw;

/// Reads the file at `path`, which is relative to `directory`.
pub(super) fn read(directory: &Path, path: &Path) -> Result<Layer, SettingsError> {
    match std::fs::read_to_string(directory.join(path)) {
        Ok(text) => parse(&text, path),
        Err(source) => Err(SettingsError::Unreadable { path: path.to_owned(), source }),
    }
}

/// Reads `text`, which stands in the file at `path`.
fn parse(text: &str, path: &Path) -> Result<Layer, SettingsError> {
    let line_of = |span: Range<usize>| 1 + text[..span.start].matches('\n').count();
    let table = DeTable::parse(text).map_err(|error| SettingsError::BadToml {
        path: path.to_owned(),
        line: line_of(error.span().unwrap_or(0..0)),
        message: error.message().to_owned(),
    })?;
    let mut layer = Layer::default();
    for (name, value) in table.get_ref() {
        let origin = Origin::File { path: path.to_owned(), line: line_of(name.span()) };
        let name = name.get_ref().as_ref();
        let Some(key) = Key::from_name(name) else {
            let names: Vec<&str> = Key::names().collect();
            return Err(SettingsError::UnknownKey {
                origin,
                name: name.to_owned(),
                hint: did_you_mean(name, names.iter().copied()),
                known: names.join(", "),
            });
        };
        layer.set(key, &raw(value), origin)?;
    }
    Ok(layer)
}

fn raw(value: &Spanned<DeValue<'_>>) -> Raw {
    match value.get_ref() {
        DeValue::String(text) => Raw::Text(text.clone().into_owned()),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Raw::Integer(number),
            Err(_) => Raw::Other(number.as_str().to_owned()),
        },
        DeValue::Float(number) => match number.as_str().parse() {
            Ok(number) => Raw::Float(number),
            Err(_) => Raw::Other(number.as_str().to_owned()),
        },
        DeValue::Array(items) => Raw::List(items.iter().map(raw).collect()),
        DeValue::Boolean(value) => Raw::Bool(*value),
        DeValue::Datetime(value) => Raw::Other(value.to_string()),
        DeValue::Table(entries) => Raw::Table(
            entries.iter().map(|(name, value)| (name.get_ref().clone().into_owned(), raw(value))).collect(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        parse(text, Path::new("app.toml")).unwrap_err().to_string()
    }

    #[test]
    fn a_file_sets_what_it_names() {
        let text = "bind = [\"127.0.0.1:0\", \"unix:/a\"]\nworkers = 3\ndirty_timeout = 0.5\ndirty_apps = \"a:B:1\"\n";
        let layer = parse(text, Path::new("app.toml")).unwrap();
        assert_eq!(layer.bind.unwrap().value.len(), 2);
        assert_eq!(layer.workers.unwrap().origin, Origin::File { path: "app.toml".into(), line: 2 });
        assert_eq!(layer.dirty_timeout.unwrap().value.as_millis(), 500);
        assert_eq!(layer.dirty_apps.unwrap().value[0].limit, Some(1));
    }

    #[test]
    fn an_unknown_key_is_named_with_file_line_and_the_nearest_setting() {
        let message = error("workers = 1\n\nworker_count = 2\ndirty_worker = 2\n");
        assert!(message.starts_with("app.toml:4: unknown setting \"dirty_worker\""), "{message}");
        assert!(message.contains("did you mean \"dirty_workers\"?"), "{message}");
        assert!(message.contains("graceful_timeout"), "{message}");
    }

    #[test]
    fn a_bad_value_says_what_was_found_and_what_is_allowed() {
        let message = error("workers = -2");
        assert!(message.starts_with("app.toml:1: workers = -2 is not allowed"), "{message}");
        assert!(message.ends_with("allowed: a whole number from 0 to 1024"), "{message}");
        assert!(error("timeout = true").contains("timeout = true"));
        assert!(error("bind = \"here:http\"").contains("port \"http\""));
        assert!(error("loglevel = \"loud\"").contains("no such level"));
    }

    #[test]
    fn broken_toml_is_reported_with_its_line() {
        let message = error("workers = 1\nbind = \n");
        assert!(message.starts_with("app.toml:2: "), "{message}");
    }
}
