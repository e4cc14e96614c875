//! The settings there are: names, flags, and what each accepts.

use gunmetal_arbiter::{APP_SPEC_FORMS, BIND_ADDRESS_FORMS, MAX_WORKERS};

use super::size::SIZE_FORMS;

/// A setting, under gunicorn's name for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    Bind,
    Workers,
    Timeout,
    GracefulTimeout,
    DirtyApps,
    DirtyWorkers,
    DirtyTimeout,
    DirtyThreads,
    DirtyGracefulTimeout,
    DirtyStashLimit,
    DirtyMaxRequests,
    DirtyMaxRequestsJitter,
    DirtyMaxRss,
    ErrorLog,
    LogLevel,
}

impl Key {
    /// Every setting, in the order in which help texts list them.
    pub(crate) const ALL: [Self; 15] = [
        Self::Bind,
        Self::Workers,
        Self::Timeout,
        Self::GracefulTimeout,
        Self::DirtyApps,
        Self::DirtyWorkers,
        Self::DirtyTimeout,
        Self::DirtyThreads,
        Self::DirtyGracefulTimeout,
        Self::DirtyStashLimit,
        Self::DirtyMaxRequests,
        Self::DirtyMaxRequestsJitter,
        Self::DirtyMaxRss,
        Self::ErrorLog,
        Self::LogLevel,
    ];

    /// The name in a configuration file.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bind => "bind",
            Self::Workers => "workers",
            Self::Timeout => "timeout",
            Self::GracefulTimeout => "graceful_timeout",
            Self::DirtyApps => "dirty_apps",
            Self::DirtyWorkers => "dirty_workers",
            Self::DirtyTimeout => "dirty_timeout",
            Self::DirtyThreads => "dirty_threads",
            Self::DirtyGracefulTimeout => "dirty_graceful_timeout",
            Self::DirtyStashLimit => "dirty_stash_limit",
            Self::DirtyMaxRequests => "dirty_max_requests",
            Self::DirtyMaxRequestsJitter => "dirty_max_requests_jitter",
            Self::DirtyMaxRss => "dirty_max_rss",
            Self::ErrorLog => "errorlog",
            Self::LogLevel => "loglevel",
        }
    }

    /// The setting of that name in a configuration file.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|key| key.name() == name)
    }

    /// The long flag, without its dashes.
    pub(crate) fn flag(self) -> &'static str {
        match self {
            Self::Bind => "bind",
            Self::Workers => "workers",
            Self::Timeout => "timeout",
            Self::GracefulTimeout => "graceful-timeout",
            Self::DirtyApps => "dirty-app",
            Self::DirtyWorkers => "dirty-workers",
            Self::DirtyTimeout => "dirty-timeout",
            Self::DirtyThreads => "dirty-threads",
            Self::DirtyGracefulTimeout => "dirty-graceful-timeout",
            Self::DirtyStashLimit => "dirty-stash-limit",
            Self::DirtyMaxRequests => "dirty-max-requests",
            Self::DirtyMaxRequestsJitter => "dirty-max-requests-jitter",
            Self::DirtyMaxRss => "dirty-max-rss",
            Self::ErrorLog => "error-logfile",
            Self::LogLevel => "log-level",
        }
    }

    /// Another name of the long flag, as in gunicorn.
    pub(crate) fn flag_alias(self) -> Option<&'static str> {
        match self {
            Self::ErrorLog => Some("log-file"),
            _ => None,
        }
    }

    /// The short flag, as in gunicorn.
    pub(crate) fn short(self) -> Option<char> {
        match self {
            Self::Bind => Some('b'),
            Self::Workers => Some('w'),
            Self::Timeout => Some('t'),
            _ => None,
        }
    }

    /// The environment variable.
    pub(crate) fn variable(self) -> String {
        format!("GUNMETAL_{}", self.name().to_uppercase())
    }

    /// Whether the setting is a list: its flag may be repeated, its variable has commas.
    pub(crate) fn is_list(self) -> bool {
        matches!(self, Self::Bind | Self::DirtyApps)
    }

    /// What a value must look like, for error messages and help.
    pub(crate) fn allowed(self) -> String {
        match self {
            Self::Bind => format!("{BIND_ADDRESS_FORMS}, or a list of these"),
            Self::Workers | Self::DirtyWorkers => format!("a whole number from 0 to {MAX_WORKERS}"),
            Self::DirtyThreads => format!("a whole number from 1 to {MAX_WORKERS}"),
            Self::Timeout | Self::DirtyTimeout => "seconds, 0 for no timeout".into(),
            Self::GracefulTimeout | Self::DirtyGracefulTimeout => "seconds, 0 to wait for nobody".into(),
            Self::DirtyApps => format!("a list of {APP_SPEC_FORMS}"),
            Self::DirtyStashLimit | Self::DirtyMaxRss => format!("{SIZE_FORMS}, 0 for no limit"),
            Self::DirtyMaxRequests => "a whole number, 0 for no limit".into(),
            Self::DirtyMaxRequestsJitter => "a whole number".into(),
            Self::ErrorLog => "the path of a file, or - for standard error".into(),
            Self::LogLevel => "critical, error, warning, info, debug or trace".into(),
        }
    }

    /// What the setting does, with its default.
    pub(crate) fn help(self) -> &'static str {
        match self {
            Self::Bind => {
                "Where to listen for HTTP: host:port, [ipv6]:port or unix:/path [default: 127.0.0.1:8000]"
            }
            Self::Workers => "HTTP worker processes [default: 1]",
            Self::Timeout => {
                "Seconds of silence after which an HTTP worker is replaced, 0 for never [default: 30]"
            }
            Self::GracefulTimeout => {
                "Seconds that HTTP workers have to finish when the service stops [default: 30]"
            }
            Self::DirtyApps => {
                "Dirty app to serve, module:Name or module:Name:N [default: all that are registered]"
            }
            Self::DirtyWorkers => "Dirty worker processes, 0 for none [default: as many as the apps ask for]",
            Self::DirtyTimeout => "Seconds that a dirty call may take, 0 for no limit [default: 300]",
            Self::DirtyThreads => "Calls that one dirty worker serves at a time [default: 1]",
            Self::DirtyGracefulTimeout => {
                "Seconds that dirty calls have to finish when the service stops [default: 30]"
            }
            Self::DirtyStashLimit => {
                "Memory that stash tables may take, as 512M or 2G, 0 for no limit [default: a quarter of the machine's]"
            }
            Self::DirtyMaxRequests => {
                "Calls after which a dirty worker is replaced, 0 for never [default: 0]"
            }
            Self::DirtyMaxRequestsJitter => {
                "At most so many calls are added to dirty-max-requests, worker by worker, at random [default: 0]"
            }
            Self::DirtyMaxRss => {
                "Resident memory beyond which a dirty worker is replaced, as 512M or 2G, 0 for never [default: 0]"
            }
            Self::ErrorLog => "File that log lines are appended to, - for standard error [default: -]",
            Self::LogLevel => "critical, error, warning, info, debug or trace [default: info]",
        }
    }
}
