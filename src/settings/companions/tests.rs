//! Companions from files: what is refused, rule by rule, and what is made of what is allowed.

mod files;
mod page;
mod refused_values;
mod rules;
mod values;

use std::path::Path;

use gunmetal_arbiter::CompanionConfig;

use super::*;
use crate::companion::{Functions, blocking};
use crate::settings::environment::Variables;
use crate::settings::{Key, Layer, Raw, SettingsError, Sources};

/// A program with two functions, whose files are `app.toml` and `companions.toml` in a directory of its own.
struct Program {
    directory: tempfile::TempDir,
    sources: Sources,
}

impl Program {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut functions = Functions::default();
        for name in ["scheduler", "jobs:mailer"] {
            functions.register(name, blocking(|_| ())).unwrap();
        }
        let sources = Sources {
            flags: Layer::default(),
            config: Some("app.toml".into()),
            program: Layer::default(),
            variables: Variables::default(),
            registered: Vec::new(),
            functions,
            directory: directory.path().to_owned(),
        };
        let program = Self { directory, sources };
        program.write("app.toml", "");
        program
    }

    /// A program whose configuration file is `text`.
    fn with(text: &str) -> Self {
        let program = Self::new();
        program.write("app.toml", text);
        program
    }

    /// One that also has a file for companions, which is named on the command line.
    fn with_both(text: &str, companions: &str) -> Self {
        let mut program = Self::with(text);
        program.write("companions.toml", companions);
        program.flag(Key::CompanionConfigFile, "companions.toml");
        program
    }

    fn flag(&mut self, key: Key, text: &str) {
        self.sources.flags.set(key, &Raw::Text(text.into()), Origin::Flag(key)).unwrap();
    }

    fn at(&self) -> &Path {
        self.directory.path()
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.at().join(name), text).unwrap();
    }

    fn read(&self) -> Result<Companions, SettingsError> {
        Ok(self.sources.resolve(None)?.1)
    }

    /// What is wrong, with nothing of where this test has its directory.
    fn error(&self) -> String {
        let error = self.read().unwrap_err().to_string();
        error.replace(self.at().to_str().unwrap(), "/srv")
    }
}

/// The companions of a configuration file.
fn companions(text: &str) -> Vec<CompanionConfig> {
    Program::with(text).read().unwrap().companions
}

/// What is wrong with a configuration file.
fn error(text: &str) -> String {
    Program::with(text).error()
}

/// What is wrong with a companion that runs a command, in line 4.
fn error_of(line: &str) -> String {
    error(&format!("[[companion_workers]]\nname = \"a\"\ncommand = [\"true\"]\n{line}\n"))
}

fn names(companions: &[CompanionConfig]) -> Vec<&str> {
    companions.iter().map(|companion| companion.name.as_str()).collect()
}
