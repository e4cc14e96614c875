//! Everything that settings are read from, kept so that they can be read again.

use std::path::{Path, PathBuf};

use gunmetal_arbiter::AppSpec;

use super::companions::{self, Companions, Files, Place};
use super::environment::Variables;
use super::error::{SettingsError, did_you_mean};
use super::file::File;
use super::key::Key;
use super::layer::{Given, Layer};
use super::{Settings, printed};
use crate::companion::Functions;

/// The sources of a service's settings: flag over environment over file over the program's default over gunicorn's.
#[derive(Clone, Debug)]
pub(crate) struct Sources {
    /// What the command line says.
    pub(crate) flags: Layer,
    /// The configuration file that the command line names.
    pub(crate) config: Option<PathBuf>,
    /// What the program set.
    pub(crate) program: Layer,
    pub(crate) variables: Variables,
    /// The app paths that may be named.
    pub(crate) registered: Vec<String>,
    /// The functions that may be companions.
    pub(crate) functions: Functions,
    /// Where the service was started: the configuration file and `chdir` are relative to it, also when they are read
    /// again from another working directory.
    pub(crate) directory: PathBuf,
}

impl Sources {
    /// Reads the files, if there are any, and resolves the settings from all sources, and the companions with them.
    ///
    /// `running_in` is the working directory of a service that runs, which the settings no longer change; companions have paths
    /// that are relative to it.
    ///
    /// # Errors
    /// A source cannot be read, or one of its values is not allowed.
    pub(crate) fn resolve(&self, running_in: Option<&Path>) -> Result<(Settings, Companions), SettingsError> {
        let main = match (running_in, self.config_path()) {
            (None, Some(path)) => Some(File::read_at_start(&self.directory, &path)?),
            (_, path) => path.map(|path| File::read(&self.directory, &path)).transpose()?,
        };
        let (layer, base) = self.layer(main.as_ref(), running_in)?;
        let (layer, companions) = self.with_companions(layer, main.as_ref(), &base)?;
        Ok((Settings::of(layer), companions))
    }

    /// The settings alone, of a service that runs in `directory`: companions are not looked at.
    ///
    /// # Errors
    /// The same, as far as settings go.
    pub(crate) fn settings(&self, directory: &Path) -> Result<Settings, SettingsError> {
        let layer = self.layer(self.main_file()?.as_ref(), Some(directory))?.0;
        Ok(Settings::of(layer))
    }

    /// The companions alone, of a service that runs in `directory`: whatever else is wrong with the sources.
    ///
    /// # Errors
    /// The same, as far as companions go.
    pub(crate) fn companions(&self, directory: &Path) -> Result<Companions, SettingsError> {
        let keys = [Key::CompanionConfigFile, Key::CompanionControlSocket];
        let above = self.flags.clone().over(self.variables.layer_of(keys)?);
        let main = match (self.main_file(), &above.companion_config_file) {
            (Ok(main), _) => main,
            // It would be looked at for what does not belong there.
            (Err(_), Some(_)) => None,
            (Err(error), None) => return Err(error),
        };
        let file = main.as_ref().map(|main| main.layer_of(&keys)).transpose()?;
        let set = self.over_defaults(above, file.unwrap_or_default())?;
        Ok(self.with_companions(set, main.as_ref(), directory)?.1)
    }

    /// What [`resolve`](Self::resolve) finds, as a configuration file.
    ///
    /// # Errors
    /// The same.
    pub(crate) fn print(&self) -> Result<String, SettingsError> {
        let (layer, companions) = self.read()?;
        Ok(printed::file(&layer) + &companions.printed())
    }

    /// Whether a start would find the directory of the control socket, which something may make until then.
    ///
    /// # Errors
    /// There is none, or those of [`resolve`](Self::resolve).
    pub(crate) fn check_control_socket(&self) -> Result<(), SettingsError> {
        let (layer, companions) = self.read()?;
        layer.companion_control_socket.map_or(Ok(()), |socket| check_socket(&socket, &companions))
    }

    /// All sources in one, checked.
    fn read(&self) -> Result<(Layer, Companions), SettingsError> {
        let main = self.main_file()?;
        let (layer, base) = self.layer(main.as_ref(), None)?;
        self.with_companions(layer, main.as_ref(), &base)
    }

    /// The settings in one, checked, and the working directory that goes with them.
    fn layer(
        &self,
        main: Option<&File>,
        running_in: Option<&Path>,
    ) -> Result<(Layer, PathBuf), SettingsError> {
        let file = main.map(File::layer).transpose()?;
        let above = self.flags.clone().over(self.variables.layer()?);
        let mut layer = self.over_defaults(above, file.unwrap_or_default())?;
        if let Some(apps) = &layer.dirty_apps {
            check_apps(apps, &self.registered)?;
        }
        if let (Some(key), None) = (&layer.keyfile, &layer.certfile) {
            return Err(SettingsError::KeyWithoutCertificate { origin: key.origin.clone() });
        }
        if let Some(chdir) = &mut layer.chdir {
            check_directory(Key::Chdir, chdir, &self.directory)?;
            chdir.value = self.directory.join(&chdir.value);
        }
        let chdir = layer.chdir.as_ref().map_or(&self.directory, |chdir| &chdir.value);
        let base = running_in.unwrap_or(chdir).to_owned();
        if let Some(directory) = &layer.worker_tmp_dir {
            check_directory(Key::WorkerTmpDir, directory, &base)?;
        }
        Ok((layer, base))
    }

    fn main_file(&self) -> Result<Option<File>, SettingsError> {
        self.config_path().map(|path| File::read(&self.directory, &path)).transpose()
    }

    /// What the command line and the environment say, over the file, over the program and the table.
    fn over_defaults(&self, above: Layer, file: Layer) -> Result<Layer, SettingsError> {
        Ok(above.over(file).over(self.program.clone()).over(Layer::defaults()?))
    }

    /// Reads the companions, and the setting that may stand beside them in their own file.
    fn with_companions(
        &self,
        mut layer: Layer,
        main: Option<&File>,
        base: &Path,
    ) -> Result<(Layer, Companions), SettingsError> {
        let dedicated = match &layer.companion_config_file {
            Some(named) => Some((dedicated(base, named)?, named.origin.clone())),
            None => None,
        };
        if let Some((file, _)) = &dedicated {
            let keys = [Key::CompanionControlSocket];
            let (variables, own) = (self.variables.layer_of(keys)?, file.layer_of(&keys)?);
            let flag = self.flags.companion_control_socket.clone();
            layer.companion_control_socket = flag
                .or(variables.companion_control_socket)
                .or(own.companion_control_socket)
                .or(layer.companion_control_socket);
        }
        let files = Files { main, dedicated: dedicated.as_ref().map(|(file, named)| (file, named)) };
        let place = Place { base, functions: &self.functions };
        let socket = layer.companion_control_socket.clone();
        let socket = socket.expect("the table of settings has a default for it");
        let companions = companions::read(files, &socket, place)?;
        Ok((layer, companions))
    }

    /// The file that is to be read: a named one must be there, the default one may be.
    fn config_path(&self) -> Option<PathBuf> {
        let named = self.config.clone().or_else(|| self.variables.value("GUNMETAL_CONFIG").map(Into::into));
        named.or_else(|| {
            let default = PathBuf::from("gunmetal.toml");
            self.directory.join(&default).exists().then_some(default)
        })
    }
}

/// The companions' own file.
fn dedicated(base: &Path, named: &Given<PathBuf>) -> Result<File, SettingsError> {
    File::read(base, &named.value).map_err(|error| match error {
        SettingsError::Unreadable { path, source } => {
            let reason = format!("{}: {source}", base.join(&path).display());
            let origin = named.origin.clone();
            SettingsError::bad_value(origin, Key::CompanionConfigFile, format!("{path:?}"), reason)
        }
        error => error,
    })
}

fn check_apps(apps: &Given<Vec<AppSpec>>, registered: &[String]) -> Result<(), SettingsError> {
    let origin = || apps.origin.clone();
    for (index, app) in apps.value.iter().enumerate() {
        if !registered.contains(&app.path) {
            return Err(SettingsError::AppNotRegistered {
                origin: origin(),
                path: app.path.clone(),
                hint: did_you_mean(&app.path, registered.iter().map(String::as_str)),
                registered: if registered.is_empty() { "no app".into() } else { registered.join(", ") },
            });
        }
        if apps.value[..index].iter().any(|earlier| earlier.path == app.path) {
            return Err(SettingsError::AppTwice { origin: origin(), path: app.path.clone() });
        }
    }
    Ok(())
}

/// Whether there can be a control socket, if one is needed.
fn check_socket(given: &Given<PathBuf>, companions: &Companions) -> Result<(), SettingsError> {
    match companions.control_socket.parent() {
        Some(parent) if !companions.companions.is_empty() && !parent.is_dir() => {
            let reason = format!("there is no directory {}", parent.display());
            let (key, found) = (Key::CompanionControlSocket, format!("{:?}", given.value));
            Err(SettingsError::bad_value(given.origin.clone(), key, found, reason))
        }
        _ => Ok(()),
    }
}

/// Whether `given`, which is relative to `base`, is a directory that is there.
fn check_directory(key: Key, given: &Given<PathBuf>, base: &Path) -> Result<(), SettingsError> {
    let path = base.join(&given.value);
    let reason = match path.metadata() {
        Ok(found) if found.is_dir() => return Ok(()),
        Ok(_) => format!("{} is not a directory", path.display()),
        Err(error) => format!("{}: {error}", path.display()),
    };
    Err(SettingsError::bad_value(given.origin.clone(), key, format!("{:?}", given.value), reason))
}
