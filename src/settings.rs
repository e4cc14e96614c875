//! What the service is told to do: flag over environment over file over the program's default over gunicorn's.

mod accept_mode;
mod account;
mod assignment;
mod companions;
mod environment;
mod error;
mod file;
mod flags;
mod key;
mod layer;
mod log_format;
mod origin;
mod printed;
mod raw;
mod section;
mod size;
mod sources;
mod table;
mod umask;

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use gunmetal_arbiter::{AppSpec, BindAddress};

use crate::log_level::LogLevel;
use crate::tls;

pub use accept_mode::AcceptMode;
pub use account::{GroupName, UserName};
pub use log_format::LogFormat;

pub(crate) use companions::Companions;
pub(crate) use environment::{Variables, unknown as unknown_variables};
pub(crate) use error::SettingsError;
pub(crate) use flags::{Flags, FlagsError, Task};
pub(crate) use key::Key;
pub(crate) use layer::Layer;
pub(crate) use origin::Origin;
pub(crate) use raw::Raw;
pub(crate) use sources::Sources;

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
    /// Time that a connection may wait for the head of its next request, with the runners of this crate; `None` is no limit.
    pub keepalive: Option<Duration>,
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
    /// Where the dirty arbiter listens; `None` is a path in the temporary directory with the master's pid in it.
    pub dirty_socket: Option<PathBuf>,
    /// The file that companions are configured in; `None` is the configuration file.
    pub companion_config_file: Option<PathBuf>,
    /// Where the companion manager listens for commands.
    pub companion_control_socket: PathBuf,
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
    /// The bits that are taken from the mode of unix sockets, which is 0777: who may connect to them.
    pub umask: u32,
    /// The working directory of the service, absolute; paths in other settings are relative to it. `None` is where it
    /// was started.
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
    /// The names of settings that differ in `other`, and that a service takes over at its start only.
    pub(crate) fn fixed_but_changed(&self, other: &Self) -> Vec<&'static str> {
        [
            ("preload_app", self.preload_app != other.preload_app),
            ("daemon", self.daemon != other.daemon),
            ("chdir", self.chdir != other.chdir),
            ("user", self.user != other.user),
            ("group", self.group != other.group),
            ("dirty_apps", self.dirty_apps != other.dirty_apps),
            ("dirty_workers", self.dirty_workers != other.dirty_workers),
            ("dirty_threads", self.dirty_threads != other.dirty_threads),
            ("dirty_timeout", self.dirty_timeout != other.dirty_timeout),
            ("dirty_graceful_timeout", self.dirty_graceful_timeout != other.dirty_graceful_timeout),
            ("dirty_stash_limit", self.dirty_stash_limit != other.dirty_stash_limit),
            ("dirty_max_requests", self.dirty_max_requests != other.dirty_max_requests),
            ("dirty_max_requests_jitter", self.dirty_max_requests_jitter != other.dirty_max_requests_jitter),
            ("dirty_max_rss", self.dirty_max_rss != other.dirty_max_rss),
            ("dirty_socket", self.dirty_socket != other.dirty_socket),
            ("companion_control_socket", self.companion_control_socket != other.companion_control_socket),
        ]
        .into_iter()
        .filter_map(|(name, has_changed)| has_changed.then_some(name))
        .collect()
    }

    /// How HTTP listeners speak TLS; `None` if they do not. Reads the files.
    pub(crate) fn tls(&self) -> Result<Option<Arc<rustls::ServerConfig>>, SettingsError> {
        let Some(certfile) = &self.certfile else { return Ok(None) };
        Ok(Some(tls::load(certfile, self.keyfile.as_deref())?))
    }

    /// The settings that stand in `layer`, over the defaults of the table, checked.
    fn of(layer: Layer) -> Self {
        Self {
            bind: required(layer.bind),
            workers: required(layer.workers),
            timeout: none_if_zero(required(layer.timeout)),
            graceful_timeout: required(layer.graceful_timeout),
            keepalive: none_if_zero(required(layer.keepalive)),
            dirty_apps: value(layer.dirty_apps),
            dirty_workers: value(layer.dirty_workers),
            dirty_timeout: none_if_zero(required(layer.dirty_timeout)),
            dirty_threads: required(layer.dirty_threads),
            dirty_graceful_timeout: required(layer.dirty_graceful_timeout),
            dirty_stash_limit: value(layer.dirty_stash_limit)
                .map(|limit| if limit == 0 { u64::MAX } else { limit }),
            dirty_max_requests: NonZeroU64::new(required(layer.dirty_max_requests)),
            dirty_max_requests_jitter: required(layer.dirty_max_requests_jitter),
            dirty_max_rss: Some(required(layer.dirty_max_rss)).filter(|limit| *limit > 0),
            dirty_socket: value(layer.dirty_socket),
            companion_config_file: value(layer.companion_config_file),
            companion_control_socket: required(layer.companion_control_socket),
            backlog: required(layer.backlog),
            reuse_port: required(layer.reuse_port),
            accept_mode: required(layer.accept_mode),
            worker_connections: required(layer.worker_connections),
            keyfile: value(layer.keyfile),
            certfile: value(layer.certfile),
            max_requests: NonZeroU64::new(required(layer.max_requests)),
            max_requests_jitter: required(layer.max_requests_jitter),
            max_rss: Some(required(layer.max_rss)).filter(|limit| *limit > 0),
            restart_limit: Some(required(layer.restart_limit)).filter(|limit| *limit > 0),
            preload_app: required(layer.preload_app),
            daemon: required(layer.daemon),
            pidfile: value(layer.pidfile),
            user: value(layer.user),
            group: value(layer.group),
            umask: required(layer.umask).0,
            chdir: value(layer.chdir),
            env: value(layer.env).unwrap_or_default(),
            worker_tmp_dir: value(layer.worker_tmp_dir),
            proc_name: value(layer.proc_name),
            errorlog: required(layer.errorlog),
            log_format: required(layer.log_format),
            loglevel: required(layer.loglevel),
        }
    }
}

/// A setting that has a value by default.
fn required<T>(given: Option<Given<T>>) -> T {
    // A slip in the table is found by any test that resolves settings.
    value(given).expect("the table of settings has a default for it")
}

fn value<T>(given: Option<Given<T>>) -> Option<T> {
    given.map(|given| given.value)
}

fn none_if_zero(timeout: Duration) -> Option<Duration> {
    (!timeout.is_zero()).then_some(timeout)
}

#[cfg(test)]
mod page;
#[cfg(test)]
mod tests;
