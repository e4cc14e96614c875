//! What companions may not be to each other.

use gunmetal_arbiter::CompanionConfig;

use super::super::error::{SettingsError, did_you_mean};
use super::super::printed::Printed;
use super::worker::{Written, bad};

/// Whether every name is there once, and every dependency leads to an end.
pub(super) fn check(all: &[Written]) -> Result<(), SettingsError> {
    for (index, written) in all.iter().enumerate() {
        let name = &written.config.name;
        if let Some(earlier) = all[..index].iter().find(|earlier| earlier.config.name == *name) {
            let reason = format!("it is taken ({})", earlier.name_at);
            let origin = written.name_at.clone();
            return Err(bad(&label(name), "name", origin, format!("{name:?}"), reason));
        }
    }
    for written in all {
        if let Some(reason) = broken_dependency(&written.config, all) {
            let config = &written.config;
            let found = config.depends_on.printed().to_string();
            let origin = written.depends_on_at.clone();
            return Err(bad(&label(&config.name), "depends_on", origin, found, reason));
        }
    }
    Ok(())
}

fn label(name: &str) -> String {
    format!("companion {name:?}")
}

/// What is wrong with the dependencies of a companion, if anything is.
fn broken_dependency(config: &CompanionConfig, all: &[Written]) -> Option<String> {
    let names = || all.iter().map(|written| written.config.name.as_str());
    if let Some(unknown) = config.depends_on.iter().find(|name| !names().any(|known| known == *name)) {
        let hint = did_you_mean(unknown, names());
        let names: Vec<&str> = names().collect();
        return Some(format!("there is no companion {unknown:?}{hint}; there are {}", names.join(", ")));
    }
    let path = path_to_itself(&config.name, all)?;
    let steps: Vec<String> =
        path.windows(2).map(|pair| format!("{} waits for {}", pair[0], pair[1])).collect();
    Some(format!("it would never start: {}", steps.join(", ")))
}

/// The shortest way along dependencies from a companion back to it, both ends included.
fn path_to_itself<'a>(name: &'a str, all: &'a [Written]) -> Option<Vec<&'a str>> {
    let dependencies = |name: &str| {
        let found = all.iter().find(|written| written.config.name == name);
        found.map(|written| written.config.depends_on.as_slice()).unwrap_or_default()
    };
    let mut paths = vec![vec![name]];
    let mut seen: Vec<&str> = Vec::new();
    // Grows while it is walked: the paths that are one step longer follow all others.
    let mut next = 0;
    while let Some(path) = paths.get(next).cloned() {
        next += 1;
        for dependency in path.last().map(|last| dependencies(last)).unwrap_or_default() {
            let longer = [&path[..], &[dependency.as_str()]].concat();
            if dependency == name {
                return Some(longer);
            }
            if !seen.contains(&dependency.as_str()) {
                seen.push(dependency);
                paths.push(longer);
            }
        }
    }
    None
}
