//! Settings as they are written in a configuration file, for `--print-config`.

use std::path::PathBuf;
use std::time::Duration;

use gunmetal_arbiter::{AppSpec, BindAddress};
use toml::Value;

use super::accept_mode::AcceptMode;
use super::account::{GroupName, UserName};
use super::key::Key;
use super::layer::Layer;
use super::log_format::LogFormat;
use super::umask::Umask;
use crate::log_level::LogLevel;

/// A file that sets what `layer` does, with a comment behind each line that says where the value came from. What the file for
/// companions says is for the caller to add.
pub(super) fn file(layer: &Layer) -> String {
    let line = |key: Key| match layer.printed(key) {
        // A file that has both would be refused.
        Some((value, origin)) if key == Key::CompanionConfigFile => {
            format!(
                "# {} = {value} says what follows of companions  # {}\n",
                key.name(),
                in_a_line(&origin.to_string())
            )
        }
        Some((value, origin)) => format!("{} = {value}  # {}\n", key.name(), in_a_line(&origin.to_string())),
        None => format!("# {} is not set: {}\n", key.name(), key.entry().default.text()),
    };
    Key::all().map(line).collect()
}

/// A value that can be written in a file, from which the same is read again.
pub(super) trait Printed {
    fn printed(&self) -> Value;
}

impl Printed for bool {
    fn printed(&self) -> Value {
        Value::Boolean(*self)
    }
}

impl Printed for u32 {
    fn printed(&self) -> Value {
        Value::Integer((*self).into())
    }
}

impl Printed for u64 {
    fn printed(&self) -> Value {
        // TOML's integers have a sign; a text is read as a number too.
        i64::try_from(*self).map_or_else(|_| Value::String(self.to_string()), Value::Integer)
    }
}

impl Printed for Duration {
    fn printed(&self) -> Value {
        if self.subsec_nanos() == 0 { self.as_secs().printed() } else { Value::Float(self.as_secs_f64()) }
    }
}

impl Printed for String {
    fn printed(&self) -> Value {
        Value::String(self.clone())
    }
}

impl Printed for (String, String) {
    fn printed(&self) -> Value {
        Value::String(format!("{}={}", self.0, self.1))
    }
}

impl Printed for PathBuf {
    fn printed(&self) -> Value {
        // Every source gives text.
        Value::String(self.to_string_lossy().into_owned())
    }
}

impl Printed for Option<PathBuf> {
    fn printed(&self) -> Value {
        self.as_ref().map_or_else(|| Value::String("-".into()), PathBuf::printed)
    }
}

impl Printed for BindAddress {
    fn printed(&self) -> Value {
        Value::String(self.to_string())
    }
}

impl Printed for AppSpec {
    fn printed(&self) -> Value {
        Value::String(self.to_string())
    }
}

impl<T: Printed> Printed for Vec<T> {
    fn printed(&self) -> Value {
        Value::Array(self.iter().map(T::printed).collect())
    }
}

impl Printed for UserName {
    fn printed(&self) -> Value {
        self.name.as_ref().map_or_else(|| self.uid.printed(), String::printed)
    }
}

impl Printed for GroupName {
    fn printed(&self) -> Value {
        self.name.as_ref().map_or_else(|| self.gid.printed(), String::printed)
    }
}

impl Printed for Umask {
    fn printed(&self) -> Value {
        Value::String(self.to_string())
    }
}

impl Printed for AcceptMode {
    fn printed(&self) -> Value {
        Value::String(self.name().into())
    }
}

impl Printed for LogFormat {
    fn printed(&self) -> Value {
        Value::String(self.name().into())
    }
}

impl Printed for LogLevel {
    fn printed(&self) -> Value {
        Value::String(self.name().into())
    }
}

/// A comment ends with its line, whatever a path has in it.
pub(super) fn in_a_line(text: &str) -> String {
    text.replace(char::is_control, "?")
}
