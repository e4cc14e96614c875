//! What the service is told to do: flag over environment over file over the program's default over gunicorn's.

mod accept_mode;
mod account;
mod environment;
mod error;
mod file;
mod flags;
mod key;
mod layer;
mod log_format;
mod origin;
mod raw;
mod size;

use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gunmetal_arbiter::{AppSpec, BindAddress};

use crate::log_level::LogLevel;

pub use accept_mode::AcceptMode;
pub use account::{GroupName, UserName};
pub use log_format::LogFormat;

pub(crate) use environment::unknown as unknown_variables;
pub(crate) use error::SettingsError;
pub(crate) use flags::{Flags, FlagsError};
pub(crate) use key::Key;
pub(crate) use layer::Layer;
pub(crate) use origin::Origin;
pub(crate) use raw::Raw;

use error::did_you_mean;
use layer::Given;

/// The settings of a running service, under gunicorn's names. Every value has been checked.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Settings {
    /// Where HTTP listeners are bound.
    pub bind: Vec<BindAddress>,
    /// HTTP worker processes.
    pub workers: u32,
    /// Silence after which an HTTP worker that has ever beaten its heart is replaced; also the time it has to become
    /// ready. `None` is no timeout.
    pub timeout: Option<Duration>,
    /// Time that HTTP workers have to finish when the service stops.
    pub graceful_timeout: Duration,
    /// Dirty apps to serve; `None` is all that the program has registered.
    pub dirty_apps: Option<Vec<AppSpec>>,
    /// Dirty worker processes, 0 for no dirty arbiter; `None` is as many as the apps ask for.
    pub dirty_workers: Option<u32>,
    /// Time that a dirty call may take; `None` is no limit.
    pub dirty_timeout: Option<Duration>,
    /// Calls that a dirty worker serves at a time.
    pub dirty_threads: u32,
    /// Time that dirty calls have to finish when the service stops.
    pub dirty_graceful_timeout: Duration,
    /// Memory that stash tables may take, in bytes; `None` is a quarter of the machine's.
    pub dirty_stash_limit: Option<u64>,
    /// Calls after which a dirty worker is replaced; `None` is no limit.
    pub dirty_max_requests: Option<NonZeroU64>,
    /// The most calls that are added to `dirty_max_requests`, worker by worker, at random.
    pub dirty_max_requests_jitter: u64,
    /// Resident memory beyond which a dirty worker is replaced, in bytes; `None` is no limit.
    pub dirty_max_rss: Option<u64>,
    /// Connections that may wait in the queue of each listener.
    pub backlog: u32,
    /// Whether each HTTP worker has listening sockets of its own, between which the kernel distributes.
    pub reuse_port: bool,
    /// Which worker takes a connection.
    pub accept_mode: AcceptMode,
    /// Connections that an HTTP worker has open at a time, with the runners of this crate.
    pub worker_connections: u32,
    /// The private key of the HTTP listeners, PEM. With `certfile` alone it is looked for in that file.
    pub keyfile: Option<PathBuf>,
    /// The certificate chain of the HTTP listeners, PEM; `None` is HTTP without TLS.
    pub certfile: Option<PathBuf>,
    /// Requests after which an HTTP worker is replaced; `None` is no limit.
    pub max_requests: Option<NonZeroU64>,
    /// The most requests that are added to `max_requests`, worker by worker, at random.
    pub max_requests_jitter: u64,
    /// Resident memory beyond which an HTTP worker is replaced, in bytes; `None` is no limit.
    pub max_rss: Option<u64>,
    /// Crashes of one HTTP worker in a row after which the service gives up; `None` is never.
    pub restart_limit: Option<u32>,
    /// Whether what the program preloads is loaded once, in the master, and not in each worker.
    pub preload_app: bool,
    /// Whether the service leaves its terminal and goes on in the background.
    pub daemon: bool,
    /// Where the master writes its pid.
    pub pidfile: Option<PathBuf>,
    /// The user that workers run as; `None` is the user of the master.
    pub user: Option<UserName>,
    /// The group that workers run as; `None` is the user's, or the group of the master.
    pub group: Option<GroupName>,
    /// The file mode creation mask of the whole service, which decides who may connect to its unix sockets.
    pub umask: u32,
    /// The working directory of the service.
    pub chdir: Option<PathBuf>,
    /// Environment variables of the service, in the order in which they were given.
    pub env: Vec<(String, String)>,
    /// Where heartbeat files are made; `None` is `/dev/shm`, or the temporary directory.
    pub worker_tmp_dir: Option<PathBuf>,
    /// What `ps` shows in brackets behind the role of each process.
    pub proc_name: Option<String>,
    /// The file that log lines are appended to; `None` is standard error.
    pub errorlog: Option<PathBuf>,
    /// What a log line looks like.
    pub log_format: LogFormat,
    /// How much is logged.
    pub loglevel: LogLevel,
}

impl Settings {
    /// Resolves the settings of a service from all its sources.
    ///
    /// `program` holds what the program set, `lookup` reads the environment, `registered` are the app paths that may
    /// be named.
    pub(crate) fn resolve(
        flags: Layer,
        config: Option<&Path>,
        program: Layer,
        lookup: &dyn Fn(&str) -> Option<String>,
        registered: &[&str],
    ) -> Result<Self, SettingsError> {
        let file = match config_path(config, lookup) {
            Some(path) => file::read(&path)?,
            None => Layer::default(),
        };
        let layer = flags.over(environment::read(lookup)?).over(file).over(program);
        if let Some(apps) = &layer.dirty_apps {
            check_apps(apps, registered)?;
        }
        Ok(Self {
            bind: value(layer.bind).unwrap_or_else(default_bind),
            workers: value(layer.workers).unwrap_or(1),
            timeout: none_if_zero(value(layer.timeout).unwrap_or(DEFAULT_TIMEOUT)),
            graceful_timeout: value(layer.graceful_timeout).unwrap_or(DEFAULT_TIMEOUT),
            dirty_apps: value(layer.dirty_apps),
            dirty_workers: value(layer.dirty_workers),
            dirty_timeout: none_if_zero(value(layer.dirty_timeout).unwrap_or(DEFAULT_DIRTY_TIMEOUT)),
            dirty_threads: value(layer.dirty_threads).unwrap_or(1),
            dirty_graceful_timeout: value(layer.dirty_graceful_timeout).unwrap_or(DEFAULT_TIMEOUT),
            dirty_stash_limit: value(layer.dirty_stash_limit)
                .map(|limit| if limit == 0 { u64::MAX } else { limit }),
            dirty_max_requests: value(layer.dirty_max_requests).and_then(NonZeroU64::new),
            dirty_max_requests_jitter: value(layer.dirty_max_requests_jitter).unwrap_or(0),
            dirty_max_rss: value(layer.dirty_max_rss).filter(|limit| *limit > 0),
            backlog: 2048,
            reuse_port: false,
            accept_mode: AcceptMode::Shared,
            worker_connections: 1000,
            keyfile: None,
            certfile: None,
            max_requests: None,
            max_requests_jitter: 0,
            max_rss: None,
            restart_limit: None,
            preload_app: false,
            daemon: false,
            pidfile: None,
            user: None,
            group: None,
            umask: 0,
            chdir: None,
            env: Vec::new(),
            worker_tmp_dir: None,
            proc_name: None,
            errorlog: value(layer.error_log).flatten(),
            log_format: LogFormat::Text,
            loglevel: value(layer.log_level).unwrap_or(LogLevel::Info),
        })
    }
}

/// The file that is to be read: a named one must be there, the default one may be.
fn config_path(flag: Option<&Path>, lookup: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
    if let Some(path) = flag {
        return Some(path.to_owned());
    }
    if let Some(path) = lookup("GUNMETAL_CONFIG").filter(|path| !path.is_empty()) {
        return Some(path.into());
    }
    let default = PathBuf::from("gunmetal.toml");
    default.exists().then_some(default)
}

fn check_apps(apps: &Given<Vec<AppSpec>>, registered: &[&str]) -> Result<(), SettingsError> {
    let origin = || apps.origin.clone();
    for (index, app) in apps.value.iter().enumerate() {
        if !registered.contains(&app.path.as_str()) {
            return Err(SettingsError::AppNotRegistered {
                origin: origin(),
                path: app.path.clone(),
                hint: did_you_mean(&app.path, registered.iter().copied()),
                registered: if registered.is_empty() { "no app".into() } else { registered.join(", ") },
            });
        }
        if apps.value[..index].iter().any(|earlier| earlier.path == app.path) {
            return Err(SettingsError::AppTwice { origin: origin(), path: app.path.clone() });
        }
    }
    Ok(())
}

fn value<T>(given: Option<Given<T>>) -> Option<T> {
    given.map(|given| given.value)
}

fn none_if_zero(timeout: Duration) -> Option<Duration> {
    (!timeout.is_zero()).then_some(timeout)
}

fn default_bind() -> Vec<BindAddress> {
    vec![BindAddress::Tcp { host: "127.0.0.1".into(), port: 8000 }]
}

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
const DEFAULT_DIRTY_TIMEOUT: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests;
