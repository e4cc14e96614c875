//! The settings that one source gives, each with its origin.

use std::path::PathBuf;
use std::time::Duration;

use gunmetal_arbiter::{AppSpec, BindAddress, MAX_WORKERS};

use super::accept_mode::AcceptMode;
use super::account::{GroupName, UserName};
use super::error::SettingsError;
use super::key::{Default as Standard, Key};
use super::log_format::LogFormat;
use super::origin::Origin;
use super::printed::Printed;
use super::raw::Raw;
use super::umask::Umask;
use crate::log_level::LogLevel;

/// A value and where it was written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Given<T> {
    pub(crate) value: T,
    pub(crate) origin: Origin,
}

/// Makes [`Layer`] of one line for each setting: field, type, key, and the method of [`Raw`] that reads it.
macro_rules! layer {
    ($($field:ident: $type:ty = $key:ident, $read:ident($($argument:expr),*);)+) => {
        /// Some of the settings; what is `None` is left to the layers below.
        #[derive(Clone, Debug, Default, PartialEq)]
        pub(crate) struct Layer {
            $(pub(crate) $field: Option<Given<$type>>,)+
        }

        impl Layer {
            fn read(&mut self, key: Key, raw: &Raw, origin: Origin) -> Result<(), String> {
                match key {
                    $(Key::$key => self.$field = Some(Given { value: raw.$read($($argument),*)?, origin }),)+
                }
                Ok(())
            }

            /// This layer's values, and `lower`'s where this one has none.
            pub(crate) fn over(self, lower: Self) -> Self {
                Self { $($field: self.$field.or(lower.$field),)+ }
            }

            /// A value as it is written in a configuration file, and where it came from; `None` where there is none.
            pub(super) fn printed(&self, key: Key) -> Option<(toml::Value, &Origin)> {
                match key {
                    $(Key::$key => self.$field.as_ref().map(|given| (given.value.printed(), &given.origin)),)+
                }
            }
        }
    };
}

layer! {
    bind: Vec<BindAddress> = Bind, list_of_some();
    backlog: u32 = Backlog, count(1, MAX_INT);
    reuse_port: bool = ReusePort, switch();
    accept_mode: AcceptMode = AcceptMode, named(AcceptMode::from_name, "mode");
    worker_connections: u32 = WorkerConnections, count(1, MAX_INT);
    keyfile: PathBuf = Keyfile, path();
    certfile: PathBuf = Certfile, path();
    workers: u32 = Workers, count(0, MAX_WORKERS);
    timeout: Duration = Timeout, seconds();
    graceful_timeout: Duration = GracefulTimeout, seconds();
    keepalive: Duration = Keepalive, seconds();
    max_requests: u64 = MaxRequests, whole_number();
    max_requests_jitter: u64 = MaxRequestsJitter, whole_number();
    max_rss: u64 = MaxRss, size();
    restart_limit: u32 = RestartLimit, count(0, u32::MAX);
    preload_app: bool = PreloadApp, switch();
    worker_tmp_dir: PathBuf = WorkerTmpDir, path();
    dirty_apps: Vec<AppSpec> = DirtyApps, list();
    dirty_workers: u32 = DirtyWorkers, count(0, MAX_WORKERS);
    dirty_timeout: Duration = DirtyTimeout, seconds();
    dirty_threads: u32 = DirtyThreads, count(1, MAX_WORKERS);
    dirty_graceful_timeout: Duration = DirtyGracefulTimeout, seconds();
    dirty_stash_limit: u64 = DirtyStashLimit, size();
    dirty_max_requests: u64 = DirtyMaxRequests, whole_number();
    dirty_max_requests_jitter: u64 = DirtyMaxRequestsJitter, whole_number();
    dirty_max_rss: u64 = DirtyMaxRss, size();
    dirty_socket: PathBuf = DirtySocket, path();
    companion_config_file: PathBuf = CompanionConfigFile, path();
    companion_control_socket: PathBuf = CompanionControlSocket, path();
    daemon: bool = Daemon, switch();
    pidfile: PathBuf = Pidfile, path();
    user: UserName = User, user();
    group: GroupName = Group, group();
    umask: Umask = Umask, umask();
    chdir: PathBuf = Chdir, path();
    env: Vec<(String, String)> = Env, assignments();
    proc_name: String = ProcName, text();
    errorlog: Option<PathBuf> = ErrorLog, path_or_dash();
    log_format: LogFormat = LogFormat, named(LogFormat::from_name, "format");
    loglevel: LogLevel = LogLevel, named(LogLevel::from_name, "level");
}

impl Layer {
    /// What the table has for each setting that has a value by default.
    pub(super) fn defaults() -> Result<Self, SettingsError> {
        let mut layer = Self::default();
        for key in Key::all() {
            if let Standard::Value(text) = key.entry().default {
                layer.set(key, &Raw::Text(text.into()), Origin::Default)?;
            }
        }
        Ok(layer)
    }

    /// Checks a value and keeps it.
    pub(crate) fn set(&mut self, key: Key, raw: &Raw, origin: Origin) -> Result<(), SettingsError> {
        self.read(key, raw, origin.clone())
            .map_err(|reason| SettingsError::bad_value(origin, key, raw.to_string(), reason))
    }
}

/// What the system takes as a count, see listen(2).
const MAX_INT: u32 = i32::MAX.unsigned_abs();
