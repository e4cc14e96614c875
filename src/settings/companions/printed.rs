//! Companions as they are written in a configuration file, for `--print-config`.

use std::collections::BTreeMap;

use gunmetal_arbiter::{CompanionConfig, CompanionOutput, CompanionTarget};
use gunmetal_supervise::Signal;
use toml::Value;

use super::super::printed::{Printed, in_a_line};
use super::keys::PREFIX;
use super::value::Mode;
use super::{Companions, Manager};

impl Companions {
    /// A file that has these companions: what is said of all of them, and each with all that it comes to.
    pub(in crate::settings) fn printed(&self) -> String {
        let mut text = String::new();
        for (name, value, origin) in self.shared.printed().into_iter().chain(self.manager.printed()) {
            text += &format!("{PREFIX}{name} = {value}  # {}\n", in_a_line(&origin.to_string()));
        }
        if self.companions.is_empty() {
            text += if self.is_listed {
                "companion_workers = []\n"
            } else {
                "# companion_workers is not set: every function that the program has registered\n"
            };
        }
        for (config, origin) in self.companions.iter().zip(&self.origins) {
            text += &format!("\n[[companion_workers]]  # {}\n", in_a_line(&origin.to_string()));
            for (name, value) in values(config) {
                text += &format!("{name} = {value}\n");
            }
        }
        text
    }
}

impl Manager {
    fn printed(&self) -> impl Iterator<Item = (&'static str, Value, &super::Origin)> {
        let buffer = self
            .shutdown_buffer
            .iter()
            .map(|given| ("manager_shutdown_buffer", given.value.printed(), &given.origin));
        let timeout = self
            .stop_timeout
            .iter()
            .map(|given| ("manager_stop_timeout", given.value.printed(), &given.origin));
        let mode = self
            .control_socket_mode
            .iter()
            .map(|given| ("control_socket_mode", given.value.printed(), &given.origin));
        buffer.chain(timeout).chain(mode)
    }
}

/// All that a companion's table can say, in the order of its keys.
fn values(config: &CompanionConfig) -> Vec<(&'static str, Value)> {
    let target = match &config.target {
        CompanionTarget::Function { name, .. } => ("target", name.printed()),
        CompanionTarget::Command(words) => ("command", words.printed()),
    };
    let mut values = vec![
        ("name", config.name.printed()),
        target,
        ("stop_signal", config.stop_signal.printed()),
        ("stop_as_group", config.stop_as_group.printed()),
        ("kill_as_group", config.kill_as_group.printed()),
        ("stop_timeout", config.stop_timeout.printed()),
        ("reload_timeout", config.reload_timeout.printed()),
        ("stdout", config.stdout.printed()),
        ("stderr", config.stderr.printed()),
    ];
    // Without one it is the service's, which has no other name.
    values.extend(config.cwd.as_ref().map(|path| ("cwd", path.printed())));
    values.extend([
        ("env", config.env.printed()),
        ("startsecs", config.startsecs.printed()),
        ("restart_delay", config.restart_delay.printed()),
        ("max_restart_delay", config.max_restart_delay.unwrap_or_default().printed()),
        ("restart_limit", config.restart_limit.unwrap_or_default().printed()),
        ("max_rss", config.max_rss.unwrap_or_default().printed()),
        ("depends_on", config.depends_on.printed()),
        ("autostart", config.autostart.printed()),
    ]);
    values
}

impl Printed for Signal {
    fn printed(&self) -> Value {
        Value::String(self.as_str().into())
    }
}

impl Printed for Mode {
    fn printed(&self) -> Value {
        Value::String(self.to_string())
    }
}

impl Printed for CompanionOutput {
    fn printed(&self) -> Value {
        match self {
            Self::Inherit => Value::String("inherit".into()),
            Self::Stdout => Value::String("stdout".into()),
            Self::File(path) => path.printed(),
        }
    }
}

impl Printed for BTreeMap<String, String> {
    fn printed(&self) -> Value {
        Value::Table(self.iter().map(|(name, value)| (name.clone(), Value::String(value.clone()))).collect())
    }
}
