//! All that files say of companions, as the companions that they mean.

use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::super::error::{SettingsError, did_you_mean};
use super::super::file::File;
use super::super::key::{Default as Standard, Key};
use super::super::layer::Given;
use super::super::origin::Origin;
use super::super::raw::Raw;
use super::super::section::{Item, Section};
use super::keys::{self, Field, PREFIX, WORKERS};
use super::terms::Terms;
use super::value::Mode;
use super::worker::{self, Written};
use super::{Companions, Manager, between};

pub(in crate::settings) use super::worker::Place;

/// The files that may speak of companions.
#[derive(Clone, Copy)]
pub(in crate::settings) struct Files<'a> {
    /// The configuration file, if there is one.
    pub(in crate::settings) main: Option<&'a File>,
    /// The one that `companion_config_file` names, and what names it.
    pub(in crate::settings) dedicated: Option<(&'a File, &'a Origin)>,
}

/// The companions, checked. Their manager listens at `control_socket`.
pub(in crate::settings) fn read(
    files: Files<'_>,
    control_socket: &Given<PathBuf>,
    place: Place<'_>,
) -> Result<Companions, SettingsError> {
    let mut shared = Shared::standard(place);
    if let Some((file, origin)) = files.dedicated {
        refuse_others(file)?;
        if let Some(main) = files.main {
            refuse_here(main, file, origin)?;
        }
        shared.read(file, place)?;
    } else if let Some(file) = files.main {
        shared.read(file, place)?;
    }

    let at = |line| match files.dedicated.map(|(file, _)| file).or(files.main) {
        Some(file) => file.at(line),
        None => Origin::Program,
    };
    let is_listed = shared.workers.is_some() || files.dedicated.is_some();
    let written: Result<Vec<Written>, SettingsError> = if is_listed {
        let tables = shared.workers.iter().flatten().enumerate();
        tables.map(|(index, table)| worker::read(table, index + 1, &shared.terms, place, &at)).collect()
    } else {
        let tables = place.functions.names().map(of_function).enumerate();
        let read =
            |(index, table)| worker::read(&table, index + 1, &shared.terms, place, &|_| Origin::Program);
        tables.map(read).collect()
    };
    let written = written?;
    between::check(&written)?;

    let path = place.base.join(&control_socket.value);
    if !written.is_empty() && path.as_os_str().as_bytes().len() > MAX_SOCKET_PATH_LEN {
        let reason = format!("{} is longer than {MAX_SOCKET_PATH_LEN} bytes", path.display());
        let (key, found) = (Key::CompanionControlSocket, format!("{:?}", control_socket.value));
        return Err(SettingsError::bad_value(control_socket.origin.clone(), key, found, reason));
    }
    let (companions, origins) = written.into_iter().map(|written| (written.config, written.origin)).unzip();
    Ok(Companions {
        companions,
        control_socket: path,
        manager: shared.manager,
        origins,
        shared: shared.terms,
        is_listed,
    })
}

/// What a file says of all companions, and the tables of each.
#[derive(Default)]
struct Shared {
    terms: Terms,
    manager: Manager,
    workers: Option<Vec<Section>>,
}

impl Shared {
    /// Without a word in any file.
    fn standard(place: Place<'_>) -> Self {
        let mut shared = Self::default();
        for field in keys::MANAGER {
            if let Standard::Value(text) = field.default {
                let read = shared.set(field, &Raw::Text(text.into()), place, Origin::Default);
                debug_assert_eq!(read, Ok(()), "{}", field.name);
            }
        }
        shared
    }

    fn read(&mut self, file: &File, place: Place<'_>) -> Result<(), SettingsError> {
        for item in file.items() {
            let Some(name) = own_name(item) else { continue };
            let origin = file.at(item.line);
            let Some(field) = keys::of_all().find(|field| field.name == name) else {
                return Err(unknown(item, origin, None));
            };
            self.set(field, &item.value, place, origin.clone()).map_err(|reason| {
                SettingsError::BadValue {
                    origin,
                    key: item.name.as_str().into(),
                    found: item.value.to_string(),
                    reason,
                    allowed: (field.allowed)(),
                }
            })?;
        }
        Ok(())
    }

    fn set(&mut self, field: &Field, raw: &Raw, place: Place<'_>, origin: Origin) -> Result<(), String> {
        let manager = &mut self.manager;
        match field.name {
            name if name == WORKERS.name => self.workers = Some(tables(raw)?),
            "control_socket_mode" => {
                manager.control_socket_mode = Some(Given { value: Mode::of(raw)?, origin });
            }
            "manager_shutdown_buffer" => {
                manager.shutdown_buffer = Some(Given { value: raw.seconds()?, origin });
            }
            "manager_stop_timeout" => manager.stop_timeout = Some(Given { value: raw.seconds()?, origin }),
            name => self.terms.set(name, raw, place.base, origin).unwrap_or(Ok(()))?,
        }
        Ok(())
    }
}

/// The tables of `companion_workers`.
fn tables(raw: &Raw) -> Result<Vec<Section>, String> {
    let table = |item: &Raw| match item {
        Raw::Table(section) => Ok(section.clone()),
        other => Err(format!("{other} is not a table")),
    };
    match raw {
        Raw::List(items) => items.iter().map(table).collect(),
        Raw::Table(_) => Err("a single table, write [[companion_workers]]".into()),
        _ => Err("not a list".into()),
    }
}

/// What a table would say of a function that nobody has listed.
fn of_function(target: &str) -> Section {
    let name = target.rsplit(':').next().unwrap_or(target);
    let item = |key: &str, text: &str| Item { line: 0, name: key.into(), value: Raw::Text(text.to_owned()) };
    Section { line: 0, items: vec![item("name", name), item("target", target)] }
}

/// The name of a key for all companions without its prefix; `None` for every other key, settings included.
fn own_name(item: &Item) -> Option<&str> {
    item.name.strip_prefix(PREFIX).filter(|_| Key::from_name(&item.name).is_none())
}

/// A file for companions has nothing else in it.
fn refuse_others(file: &File) -> Result<(), SettingsError> {
    for item in file.items() {
        if own_name(item).is_some() || item.name == Key::CompanionControlSocket.name() {
            continue;
        }
        let hint = Key::from_name(&item.name).map(|_| " (it belongs in the configuration file)");
        return Err(unknown(item, file.at(item.line), hint));
    }
    Ok(())
}

/// The configuration file says nothing of companions if there is a file for them.
fn refuse_here(main: &File, dedicated: &File, named: &Origin) -> Result<(), SettingsError> {
    let is_in_both = |name: &str| dedicated.items().any(|item| item.name == name);
    let socket = Key::CompanionControlSocket.name();
    let misplaced =
        main.items().find(|item| own_name(item).is_some() || (item.name == socket && is_in_both(socket)));
    misplaced.map_or(Ok(()), |item| {
        Err(SettingsError::TwoCompanionFiles {
            origin: main.at(item.line),
            key: item.name.as_str().into(),
            file: dedicated.path().to_owned(),
            named: named.clone(),
        })
    })
}

/// There is no such key for all companions.
fn unknown(item: &Item, origin: Origin, hint: Option<&str>) -> SettingsError {
    let socket = Key::CompanionControlSocket.name().to_owned();
    let known: Vec<String> =
        keys::of_all().map(|field| format!("{PREFIX}{}", field.name)).chain([socket]).collect();
    let near = || did_you_mean(&item.name, known.iter().map(String::as_str));
    SettingsError::UnknownKey {
        origin,
        hint: hint.map_or_else(near, str::to_owned),
        name: item.name.clone(),
        known: known.join(", "),
    }
}

/// What the kernel takes, see unix(7).
const MAX_SOCKET_PATH_LEN: usize = 107;
