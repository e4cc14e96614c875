//! A table of `companion_workers`.

use std::num::NonZeroU64;
use std::path::Path;

use gunmetal_arbiter::{CompanionConfig, CompanionTarget};

use super::super::error::{SettingsError, did_you_mean};
use super::super::layer::Given;
use super::super::origin::Origin;
use super::super::printed::Printed;
use super::super::raw::Raw;
use super::super::section::{Item, Section};
use super::super::{none_if_zero, required, value as given};
use super::keys::{self, Field};
use super::terms::Terms;
use super::value;
use crate::companion::{Functions, StopTerms};

/// What companions are read with.
#[derive(Clone, Copy)]
pub(in crate::settings) struct Place<'a> {
    /// The service's working directory, to which paths are relative.
    pub(in crate::settings) base: &'a Path,
    /// The functions that may be targets.
    pub(in crate::settings) functions: &'a Functions,
}

/// A companion and where it was written.
pub(super) struct Written {
    pub(super) config: CompanionConfig,
    /// Where its table begins.
    pub(super) origin: Origin,
    pub(super) name_at: Origin,
    pub(super) depends_on_at: Origin,
}

/// Reads the table of a companion, the `number`th, over what is said of all companions.
pub(super) fn read(
    section: &Section,
    number: usize,
    shared: &Terms,
    place: Place<'_>,
    at: &dyn Fn(usize) -> Origin,
) -> Result<Written, SettingsError> {
    let mut draft = Draft { label: label(section, number), ..Draft::default() };
    let mut own = Terms::default();
    for item in &section.items {
        let origin = at(item.line);
        let read = match draft.set(item, place.functions, &origin) {
            Some(read) => read,
            None => own.set(&item.name, &item.value, place.base, origin.clone()).ok_or_else(|| {
                let known: Vec<&str> = keys::of_companion().map(|field| field.name).collect();
                SettingsError::UnknownCompanionKey {
                    origin: origin.clone(),
                    companion: draft.label.as_str().into(),
                    name: item.name.as_str().into(),
                    hint: did_you_mean(&item.name, known.iter().copied()),
                    known: known.join(", "),
                }
            })?,
        };
        read.map_err(|reason| draft.bad(&item.name, &origin, item.value.to_string(), reason))?;
    }
    draft.finish(own.over(shared.clone()).over(Terms::standard()), at(section.line), place.functions)
}

/// What a companion is called in messages about it, whether it has a name or not.
fn label(section: &Section, number: usize) -> String {
    match section.items.iter().find(|item| item.name == "name").map(|item| &item.value) {
        Some(Raw::Text(name)) => format!("companion {name:?}"),
        _ => format!("companion {number}"),
    }
}

/// What only the companion itself is told, as far as it has been read.
#[derive(Default)]
struct Draft {
    label: String,
    name: Option<Given<String>>,
    target: Option<String>,
    command: Option<Vec<String>>,
    depends_on: Option<Given<Vec<String>>>,
    autostart: Option<bool>,
}

impl Draft {
    /// Keeps a value; `None` if it is not of the companion's own keys.
    fn set(&mut self, item: &Item, functions: &Functions, origin: &Origin) -> Option<Result<(), String>> {
        let (raw, origin) = (&item.value, origin.clone());
        Some(match item.name.as_str() {
            "name" => value::name(raw).map(|value| self.name = Some(Given { value, origin })),
            "target" => target(raw, functions).map(|name| self.target = Some(name)),
            "command" => value::command(raw).map(|words| self.command = Some(words)),
            "depends_on" => value::names(raw).map(|value| self.depends_on = Some(Given { value, origin })),
            "autostart" => raw.switch().map(|switch| self.autostart = Some(switch)),
            _ => return None,
        })
    }

    fn bad(&self, key: &str, origin: &Origin, found: String, reason: String) -> SettingsError {
        bad(&self.label, key, origin.clone(), found, reason)
    }

    /// The companion, if it is all there.
    fn finish(self, terms: Terms, origin: Origin, functions: &Functions) -> Result<Written, SettingsError> {
        let incomplete = |missing, keys: &[&str]| SettingsError::IncompleteCompanion {
            origin: origin.clone(),
            companion: self.label.clone(),
            missing,
            allowed: keys
                .iter()
                .filter_map(|key| field(key).map(|field| format!("{key} = {}", (field.allowed)())))
                .collect::<Vec<_>>()
                .join(", or "),
        };
        let Some(name) = &self.name else { return Err(incomplete("name is missing", &["name"])) };
        self.check_delays(&terms)?;
        let Given { value: depends_on, origin: depends_on_at } =
            self.depends_on.clone().unwrap_or_else(|| Given { value: Vec::new(), origin: origin.clone() });

        let (stop_signal, stop_timeout) = (required(terms.stop_signal), required(terms.stop_timeout));
        let reload_timeout = required(terms.reload_timeout);
        let target = match (&self.target, &self.command) {
            (Some(_), Some(_)) => {
                return Err(incomplete("target and command are both given", &["target", "command"]));
            }
            (None, None) => return Err(incomplete("target or command is missing", &["target", "command"])),
            (None, Some(words)) => CompanionTarget::Command(words.clone()),
            (Some(name), None) => {
                let stop = StopTerms { signal: stop_signal, patience: stop_timeout.max(reload_timeout) };
                // It has been looked up when it was read.
                let body = functions.body(name, stop).expect("the function is registered");
                CompanionTarget::Function { name: name.clone(), body }
            }
        };
        Ok(Written {
            config: CompanionConfig {
                name: name.value.clone(),
                target,
                cwd: given(terms.cwd),
                env: given(terms.env).unwrap_or_default(),
                stop_signal,
                stop_as_group: required(terms.stop_as_group),
                kill_as_group: required(terms.kill_as_group),
                stop_timeout,
                reload_timeout,
                startsecs: required(terms.startsecs),
                restart_delay: required(terms.restart_delay),
                max_restart_delay: none_if_zero(required(terms.max_restart_delay)),
                restart_limit: Some(required(terms.restart_limit)).filter(|limit| *limit > 0),
                max_rss: NonZeroU64::new(required(terms.max_rss)).map(NonZeroU64::get),
                depends_on,
                autostart: self.autostart.unwrap_or(true),
                stdout: required(terms.stdout),
                stderr: required(terms.stderr),
            },
            name_at: name.origin.clone(),
            origin,
            depends_on_at,
        })
    }

    /// A delay that grows does not end below where it begins.
    fn check_delays(&self, terms: &Terms) -> Result<(), SettingsError> {
        let (Some(first), Some(last)) = (&terms.restart_delay, &terms.max_restart_delay) else {
            return Ok(());
        };
        if last.value.is_zero() || last.value >= first.value {
            return Ok(());
        }
        let reason =
            format!("less than restart_delay, which is {} ({})", first.value.printed(), first.origin);
        Err(self.bad("max_restart_delay", &last.origin, last.value.printed().to_string(), reason))
    }
}

/// A function that can be a companion.
fn target(raw: &Raw, functions: &Functions) -> Result<String, String> {
    let Raw::Text(name) = raw else { return Err("not a string".into()) };
    if functions.names().any(|registered| registered == name) {
        return Ok(name.clone());
    }
    let registered: Vec<&str> = functions.names().collect();
    let hint = did_you_mean(name, registered.iter().copied());
    let registered = if registered.is_empty() { "no function".to_owned() } else { registered.join(", ") };
    Err(format!("not registered{hint}; registered: {registered}"))
}

/// `found` is not what the `key` of this companion may be.
pub(super) fn bad(label: &str, key: &str, origin: Origin, found: String, reason: String) -> SettingsError {
    let allowed = field(key).map(|field| (field.allowed)()).unwrap_or_default();
    SettingsError::BadValue { origin, key: format!("{label}: {key}").into(), found, reason, allowed }
}

fn field(key: &str) -> Option<&'static Field> {
    keys::of_companion().find(|field| field.name == key)
}
