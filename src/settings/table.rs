//! The table of settings: a new one is an entry here, a line in `Layer`, and a field of `Settings`.

use gunmetal_arbiter::{APP_SPEC_FORMS, BIND_ADDRESS_FORMS, MAX_WORKERS};

use super::key::{Default, Entry, Form};
use super::size::SIZE_FORMS;

/// Makes [`Key`] and [`TABLE`] of one list, in one order. What an entry leaves out is as in [`PLAIN`].
macro_rules! table {
    ($($key:ident { $($field:ident: $value:expr),+ $(,)? })+) => {
        /// A setting.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Key {
            $($key),+
        }

        /// What is known of each setting, in the order of [`Key`].
        pub(super) static TABLE: &[Entry] = &[$(Entry { key: Key::$key, $($field: $value),+, ..PLAIN }),+];
    };
}

table! {
    Bind {
        name: "bind", flag: "bind", short: Some('b'), form: Form::List,
        allowed: || format!("{BIND_ADDRESS_FORMS}, or a list of these"),
        default: Default::Value("127.0.0.1:8000"),
        help: "Where to listen for HTTP: host:port, [ipv6]:port, unix:/path or fd://N",
    }
    Backlog {
        name: "backlog", flag: "backlog",
        allowed: || format!("a whole number from 1 to {}", i32::MAX),
        default: Default::Value("2048"),
        help: "Connections that may wait in the queue of each listener",
    }
    ReusePort {
        name: "reuse_port", flag: "reuse-port", form: Form::Switch, allowed: switch,
        default: Default::Value("false"),
        help: "Each HTTP worker has listening sockets of its own, between which the kernel distributes",
    }
    AcceptMode {
        name: "accept_mode", flag: "accept-mode",
        allowed: || "shared or fair".into(),
        default: Default::Value("shared"),
        help: "Which HTTP worker takes a connection: shared (whichever is awake first) or fair (by turns)",
    }
    WorkerConnections {
        name: "worker_connections", flag: "worker-connections",
        allowed: || format!("a whole number from 1 to {}", i32::MAX),
        default: Default::Value("1000"),
        help: "Connections that an HTTP worker has open at a time",
    }
    Keyfile {
        name: "keyfile", flag: "keyfile", allowed: file, default: Default::Unset("in certfile"),
        help: "The private key of the HTTP listeners, PEM; needs certfile",
    }
    Certfile {
        name: "certfile", flag: "certfile", allowed: file, default: Default::Unset("no TLS"),
        help: "The certificate chain of the HTTP listeners, PEM",
    }
    Workers {
        name: "workers", flag: "workers", short: Some('w'), allowed: worker_count,
        default: Default::Value("1"),
        help: "HTTP worker processes",
    }
    Timeout {
        name: "timeout", flag: "timeout", short: Some('t'),
        allowed: || "seconds, 0 for no timeout".into(),
        default: Default::Value("30"),
        help: "Seconds of silence after which an HTTP worker is replaced, 0 for never",
    }
    GracefulTimeout {
        name: "graceful_timeout", flag: "graceful-timeout", allowed: patience,
        default: Default::Value("30"),
        help: "Seconds that HTTP workers have to finish when the service stops",
    }
    Keepalive {
        name: "keepalive", flag: "keep-alive",
        allowed: || "seconds, 0 for no limit".into(),
        default: Default::Value("75"),
        help: "Seconds that an HTTP connection may wait for its client's next request, 0 for no limit",
    }
    MaxRequests {
        name: "max_requests", flag: "max-requests", allowed: request_count, default: Default::Value("0"),
        help: "Requests after which an HTTP worker is replaced, 0 for never",
    }
    MaxRequestsJitter {
        name: "max_requests_jitter", flag: "max-requests-jitter",
        allowed: || "a whole number".into(),
        default: Default::Value("0"),
        help: "At most so many requests are added to max-requests, worker by worker, at random",
    }
    MaxRss {
        name: "max_rss", flag: "max-rss", allowed: size, default: Default::Value("0"),
        help: "Resident memory beyond which an HTTP worker is replaced, as 512M or 2G, 0 for never",
    }
    RestartLimit {
        name: "restart_limit", flag: "restart-limit",
        allowed: || "a whole number, 0 for no limit".into(),
        default: Default::Value("0"),
        help: "Crashes of one HTTP worker in a row after which the service gives up, 0 for never",
    }
    PreloadApp {
        name: "preload_app", flag: "preload", form: Form::Switch, allowed: switch,
        default: Default::Value("false"),
        help: "What the program preloads is loaded once, in the master, and shared by the workers",
    }
    WorkerTmpDir {
        name: "worker_tmp_dir", flag: "worker-tmp-dir", allowed: directory,
        default: Default::Unset("/dev/shm, or the temporary directory"),
        help: "Where heartbeat files are made",
    }
    DirtyApps {
        name: "dirty_apps", flag: "dirty-app", form: Form::List,
        allowed: || format!("a list of {APP_SPEC_FORMS}"),
        default: Default::Unset("all that are registered"),
        help: "Dirty app to serve, module:Name or module:Name:N",
    }
    DirtyWorkers {
        name: "dirty_workers", flag: "dirty-workers", allowed: worker_count,
        default: Default::Unset("as many as the apps ask for"),
        help: "Dirty worker processes, 0 for none",
    }
    DirtyTimeout {
        name: "dirty_timeout", flag: "dirty-timeout",
        allowed: || "seconds, 0 for no timeout".into(),
        default: Default::Value("300"),
        help: "Seconds that a dirty call may take, 0 for no limit",
    }
    DirtyThreads {
        name: "dirty_threads", flag: "dirty-threads",
        allowed: || format!("a whole number from 1 to {MAX_WORKERS}"),
        default: Default::Value("1"),
        help: "Calls that one dirty worker serves at a time",
    }
    DirtyGracefulTimeout {
        name: "dirty_graceful_timeout", flag: "dirty-graceful-timeout", allowed: patience,
        default: Default::Value("30"),
        help: "Seconds that dirty calls have to finish when the service stops",
    }
    DirtyStashLimit {
        name: "dirty_stash_limit", flag: "dirty-stash-limit", allowed: size,
        default: Default::Unset("a quarter of the machine's"),
        help: "Memory that stash tables may take, as 512M or 2G, 0 for no limit",
    }
    DirtyMaxRequests {
        name: "dirty_max_requests", flag: "dirty-max-requests", allowed: request_count,
        default: Default::Value("0"),
        help: "Calls after which a dirty worker is replaced, 0 for never",
    }
    DirtyMaxRequestsJitter {
        name: "dirty_max_requests_jitter", flag: "dirty-max-requests-jitter",
        allowed: || "a whole number".into(),
        default: Default::Value("0"),
        help: "At most so many calls are added to dirty-max-requests, worker by worker, at random",
    }
    DirtyMaxRss {
        name: "dirty_max_rss", flag: "dirty-max-rss", allowed: size, default: Default::Value("0"),
        help: "Resident memory beyond which a dirty worker is replaced, as 512M or 2G, 0 for never",
    }
    DirtySocket {
        name: "dirty_socket", flag: "dirty-socket",
        // The variable of that name tells clients where a running arbiter listens, and is inherited.
        has_variable: false,
        allowed: || "the path of a unix socket".into(),
        default: Default::Unset("gunmetal-dirty-<pid>.sock in the temporary directory"),
        help: "Where the dirty arbiter listens",
    }
    CompanionConfigFile {
        name: "companion_config_file", flag: "companion-config-file", allowed: file,
        default: Default::Unset("the configuration file"),
        help: "TOML file that companions are configured in, and nothing else",
    }
    CompanionControlSocket {
        name: "companion_control_socket", flag: "companion-control-socket",
        allowed: || "the path of a unix socket".into(),
        default: Default::Value("gunmetal-companion.sock"),
        help: "Where the companion manager listens for commands",
    }
    Daemon {
        name: "daemon", flag: "daemon", short: Some('D'), form: Form::Switch, allowed: switch,
        default: Default::Value("false"),
        help: "Leave the terminal and go on in the background",
    }
    Pidfile {
        name: "pidfile", flag: "pid", short: Some('p'), allowed: file, default: Default::Unset("none"),
        help: "File that the master's pid is written to",
    }
    User {
        name: "user", flag: "user", short: Some('u'),
        allowed: || "the name of a user of this machine, or a user id".into(),
        default: Default::Unset("the master's"),
        help: "User that the workers run as",
    }
    Group {
        name: "group", flag: "group", short: Some('g'),
        allowed: || "the name of a group of this machine, or a group id".into(),
        default: Default::Unset("the user's, or the master's"),
        help: "Group that the workers run as",
    }
    Umask {
        name: "umask", flag: "umask", short: Some('m'),
        allowed: || "an octal number from 0 to 0o777, as 022 or 0o22".into(),
        default: Default::Value("0"),
        help: "File mode creation mask, octal; decides who may connect to unix sockets",
    }
    Chdir {
        name: "chdir", flag: "chdir", allowed: directory,
        default: Default::Unset("where the service is started"),
        help: "Working directory; paths in all other settings are relative to it",
    }
    Env {
        name: "env", flag: "env", short: Some('e'), form: Form::List,
        allowed: || "a list of \"KEY=VALUE\", or a table of strings".into(),
        default: Default::Unset("none"),
        help: "Environment variable of the service, KEY=VALUE",
    }
    ProcName {
        name: "proc_name", flag: "name", short: Some('n'),
        allowed: || "a text that is not empty".into(),
        default: Default::Unset("none"),
        help: "What ps shows in brackets behind the role of each process",
    }
    ErrorLog {
        name: "errorlog", flag: "error-logfile", alias: Some("log-file"),
        allowed: || "the path of a file, or - for standard error".into(),
        default: Default::Value("-"),
        help: "File that log lines are appended to, - for standard error",
    }
    LogFormat {
        name: "log_format", flag: "log-format",
        allowed: || "text or json".into(),
        default: Default::Value("text"),
        help: "What a log line looks like: text, or json for an object of JSON on each line",
    }
    LogLevel {
        name: "loglevel", flag: "log-level",
        allowed: || "critical, error, warning, info, debug or trace".into(),
        default: Default::Value("info"),
        help: "How much is logged: critical, error, warning, info, debug or trace",
    }
}

const PLAIN: Entry = Entry {
    key: Key::Bind,
    name: "",
    flag: "",
    alias: None,
    short: None,
    form: Form::One,
    has_variable: true,
    allowed: String::new,
    default: Default::Unset(""),
    help: "",
};

fn switch() -> String {
    "true or false".into()
}

fn file() -> String {
    "the path of a file".into()
}

fn directory() -> String {
    "the path of a directory".into()
}

fn size() -> String {
    format!("{SIZE_FORMS}, 0 for no limit")
}

fn worker_count() -> String {
    format!("a whole number from 0 to {MAX_WORKERS}")
}

fn request_count() -> String {
    "a whole number, 0 for no limit".into()
}

fn patience() -> String {
    "seconds, 0 to wait for nobody".into()
}
