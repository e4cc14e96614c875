//! Everything that settings are read from, kept so that they can be read again.

use std::path::{Path, PathBuf};

use gunmetal_arbiter::AppSpec;

use super::environment::Variables;
use super::error::{SettingsError, did_you_mean};
use super::key::Key;
use super::layer::{Given, Layer};
use super::{Settings, file, printed};

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
    /// Where the service was started: the configuration file and `chdir` are relative to it, also when they are read
    /// again from another working directory.
    pub(crate) directory: PathBuf,
}

impl Sources {
    /// Reads the file, if there is one, and resolves the settings from all sources.
    ///
    /// # Errors
    /// A source cannot be read, or one of its values is not allowed.
    pub(crate) fn resolve(&self) -> Result<Settings, SettingsError> {
        Ok(Settings::of(self.layer()?))
    }

    /// What [`resolve`](Self::resolve) finds, as a configuration file.
    ///
    /// # Errors
    /// The same.
    pub(crate) fn print(&self) -> Result<String, SettingsError> {
        Ok(printed::file(&self.layer()?))
    }

    /// All sources in one, checked.
    fn layer(&self) -> Result<Layer, SettingsError> {
        let file = match self.config_path() {
            Some(path) => file::read(&self.directory, &path)?,
            None => Layer::default(),
        };
        let flags = self.flags.clone();
        let set = flags.over(self.variables.layer()?).over(file).over(self.program.clone());
        let mut layer = set.over(Layer::defaults()?);
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
        if let Some(directory) = &layer.worker_tmp_dir {
            let base = layer.chdir.as_ref().map_or(&self.directory, |chdir| &chdir.value);
            check_directory(Key::WorkerTmpDir, directory, base)?;
        }
        Ok(layer)
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
