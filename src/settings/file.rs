//! Settings from a TOML file.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::companions;
use super::error::{SettingsError, did_you_mean};
use super::key::Key;
use super::layer::Layer;
use super::origin::Origin;
use super::raw::Raw;
use super::section::{Item, Section};
use crate::text_file;

/// A file that could be read; whether it says what may be said is asked of it later.
#[derive(Debug)]
pub(super) struct File {
    /// As it was named.
    path: PathBuf,
    section: Section,
}

impl File {
    /// Reads the file at `path`, which is relative to `directory`, and must be a regular one.
    pub(super) fn read(directory: &Path, path: &Path) -> Result<Self, SettingsError> {
        Self::of(text_file::read(&directory.join(path)), path)
    }

    /// The same at the start of a service, which may be given a pipe, and waits for whoever writes it.
    pub(super) fn read_at_start(directory: &Path, path: &Path) -> Result<Self, SettingsError> {
        Self::of(std::fs::read_to_string(directory.join(path)), path)
    }

    fn of(text: io::Result<String>, path: &Path) -> Result<Self, SettingsError> {
        match text {
            Ok(text) => Self::parse(&text, path),
            Err(source) => Err(SettingsError::Unreadable { path: path.to_owned(), source }),
        }
    }

    /// Reads `text`, which stands in the file at `path`.
    pub(super) fn parse(text: &str, path: &Path) -> Result<Self, SettingsError> {
        let lines = Lines(text);
        let table = DeTable::parse(text).map_err(|error| SettingsError::BadToml {
            path: path.to_owned(),
            line: lines.of(&error.span().unwrap_or(0..0)),
            message: error.message().to_owned(),
        })?;
        Ok(Self { path: path.to_owned(), section: lines.section(1, table.get_ref()) })
    }

    /// As it was named.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// A line of it.
    pub(super) fn at(&self, line: usize) -> Origin {
        Origin::File { path: self.path.clone(), line }
    }

    /// What it says.
    pub(super) fn items(&self) -> impl Iterator<Item = &Item> {
        self.section.items.iter()
    }

    /// The settings in it. What it says of companions beside them is for whoever reads those.
    pub(super) fn layer(&self) -> Result<Layer, SettingsError> {
        let mut layer = Layer::default();
        for item in self.items() {
            match Key::from_name(&item.name) {
                Some(key) => layer.set(key, &item.value, self.at(item.line))?,
                None if companions::is_name(&item.name) => {}
                None => {
                    let names: Vec<&str> = Key::names().collect();
                    return Err(SettingsError::UnknownKey {
                        origin: self.at(item.line),
                        name: item.name.clone(),
                        hint: did_you_mean(&item.name, names.iter().copied()),
                        known: names.join(", "),
                    });
                }
            }
        }
        Ok(layer)
    }

    /// Those of its settings that are among `keys`; the rest is not looked at.
    pub(super) fn layer_of(&self, keys: &[Key]) -> Result<Layer, SettingsError> {
        let mut layer = Layer::default();
        for item in self.items() {
            if let Some(key) = Key::from_name(&item.name).filter(|key| keys.contains(key)) {
                layer.set(key, &item.value, self.at(item.line))?;
            }
        }
        Ok(layer)
    }
}

/// The text of a file, in which places are lines.
#[derive(Clone, Copy)]
struct Lines<'a>(&'a str);

impl Lines<'_> {
    fn of(self, span: &Range<usize>) -> usize {
        1 + self.0[..span.start].matches('\n').count()
    }

    fn section(self, line: usize, table: &DeTable<'_>) -> Section {
        let item = |(name, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| -> Item {
            let text: &std::borrow::Cow<'_, str> = name.get_ref();
            Item { line: self.of(&name.span()), name: text.clone().into_owned(), value: self.raw(value) }
        };
        Section { line, items: table.iter().map(item).collect() }
    }

    fn raw(self, value: &Spanned<DeValue<'_>>) -> Raw {
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
            DeValue::Array(items) => Raw::List(items.iter().map(|item| self.raw(item)).collect()),
            DeValue::Boolean(value) => Raw::Bool(*value),
            DeValue::Datetime(value) => Raw::Other(value.to_string()),
            DeValue::Table(table) => Raw::Table(self.section(self.of(&value.span()), table)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Layer, SettingsError> {
        File::parse(text, Path::new("app.toml"))?.layer()
    }

    fn error(text: &str) -> String {
        parse(text).unwrap_err().to_string()
    }

    #[test]
    fn a_file_sets_what_it_names() {
        let text = "bind = [\"127.0.0.1:0\", \"unix:/a\"]\nworkers = 3\ndirty_timeout = 0.5\ndirty_apps = \"a:B:1\"\n";
        let layer = parse(text).unwrap();
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

    #[test]
    fn of_the_settings_that_are_asked_for_the_others_are_not_looked_at() {
        let file = File::parse("workers = \"x\"\nwrokers = 1\nbacklog = 64", Path::new("app.toml")).unwrap();
        let layer = file.layer_of(&[Key::Backlog]).unwrap();
        assert_eq!((layer.backlog.unwrap().value, layer.workers), (64, None));
        assert!(file.layer_of(&[Key::Workers]).is_err());
    }

    #[test]
    fn tables_and_what_is_in_them_have_lines() {
        let text = "a = 1\n\n[[t]]\nb = 2\n\n[t.c]\nd = 3\n[[t]]\n";
        let file = File::parse(text, Path::new("app.toml")).unwrap();
        let Raw::List(tables) = &file.section.items[1].value else { panic!("{file:?}") };
        let [Raw::Table(first), Raw::Table(second)] = &tables[..] else { panic!("{file:?}") };
        assert_eq!((first.line, second.line, first.items[0].line), (3, 8, 4));
        let Raw::Table(inner) = &first.items[1].value else { panic!("{file:?}") };
        assert_eq!(inner.items[0].line, 7);
    }
}
