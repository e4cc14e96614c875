//! The defaults that a program gives its settings.

use std::time::Duration;

use super::Server;
use crate::settings::{Key, Origin, Raw};
use crate::{AcceptMode, LogFormat, LogLevel};

/// Defaults of settings, for what the command line, the environment and the configuration file leave out. `pidfile`,
/// `user` and the like are the operator's and have none.
impl Server {
    /// The default of `bind`: `host:port`, `[ipv6]:port` or `unix:/path`, several between commas.
    #[must_use]
    pub fn bind(self, addresses: impl Into<String>) -> Self {
        self.set(Key::Bind, Raw::Text(addresses.into()))
    }

    /// The default of `backlog`: connections that may wait in the queue of each listener.
    #[must_use]
    pub fn backlog(self, connections: u32) -> Self {
        self.set(Key::Backlog, Raw::Integer(connections.into()))
    }

    /// The default of `reuse_port`: whether each HTTP worker has listening sockets of its own.
    #[must_use]
    pub fn reuse_port(self, own_sockets: bool) -> Self {
        self.set(Key::ReusePort, Raw::Bool(own_sockets))
    }

    /// The default of `accept_mode`.
    #[must_use]
    pub fn accept_mode(self, mode: AcceptMode) -> Self {
        self.set(Key::AcceptMode, Raw::Text(mode.name().into()))
    }

    /// The default of `worker_connections`: connections that an HTTP worker has open at a time, 1 at least.
    #[must_use]
    pub fn worker_connections(self, count: u32) -> Self {
        self.set(Key::WorkerConnections, Raw::Integer(count.into()))
    }

    /// The default of `keyfile`: the private key of the HTTP listeners, PEM.
    #[must_use]
    pub fn keyfile(self, path: impl Into<String>) -> Self {
        self.set(Key::Keyfile, Raw::Text(path.into()))
    }

    /// The default of `certfile`: the certificate chain of the HTTP listeners, PEM.
    #[must_use]
    pub fn certfile(self, path: impl Into<String>) -> Self {
        self.set(Key::Certfile, Raw::Text(path.into()))
    }

    /// The default of `workers`.
    #[must_use]
    pub fn workers(self, count: u16) -> Self {
        self.set(Key::Workers, Raw::Integer(count.into()))
    }

    /// The default of `timeout`; zero is none.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        self.set(Key::Timeout, Raw::Float(timeout.as_secs_f64()))
    }

    /// The default of `graceful_timeout`.
    #[must_use]
    pub fn graceful_timeout(self, timeout: Duration) -> Self {
        self.set(Key::GracefulTimeout, Raw::Float(timeout.as_secs_f64()))
    }

    /// The default of `keepalive`: time that a connection may wait for its client's next request; zero is no limit.
    #[must_use]
    pub fn keepalive(self, limit: Duration) -> Self {
        self.set(Key::Keepalive, Raw::Float(limit.as_secs_f64()))
    }

    /// The default of `max_requests`; 0 is no limit.
    #[must_use]
    pub fn max_requests(self, count: u64) -> Self {
        self.set(Key::MaxRequests, Raw::Text(count.to_string()))
    }

    /// The default of `max_requests_jitter`.
    #[must_use]
    pub fn max_requests_jitter(self, count: u64) -> Self {
        self.set(Key::MaxRequestsJitter, Raw::Text(count.to_string()))
    }

    /// The default of `max_rss`, in bytes; 0 is no limit.
    #[must_use]
    pub fn max_rss(self, bytes: u64) -> Self {
        self.set(Key::MaxRss, Raw::Text(bytes.to_string()))
    }

    /// The default of `restart_limit`: crashes of one HTTP worker in a row after which the service gives up; 0 is never.
    #[must_use]
    pub fn restart_limit(self, crashes: u32) -> Self {
        self.set(Key::RestartLimit, Raw::Integer(crashes.into()))
    }

    /// The default of `preload_app`: whether what the program preloads is loaded once, in the master.
    #[must_use]
    pub fn preload_app(self, once: bool) -> Self {
        self.set(Key::PreloadApp, Raw::Bool(once))
    }

    /// The default of `worker_tmp_dir`: where heartbeat files are made; the directory must be there.
    #[must_use]
    pub fn worker_tmp_dir(self, path: impl Into<String>) -> Self {
        self.set(Key::WorkerTmpDir, Raw::Text(path.into()))
    }

    /// The default of `dirty_workers`.
    #[must_use]
    pub fn dirty_workers(self, count: u16) -> Self {
        self.set(Key::DirtyWorkers, Raw::Integer(count.into()))
    }

    /// The default of `dirty_timeout`; zero is none.
    #[must_use]
    pub fn dirty_timeout(self, timeout: Duration) -> Self {
        self.set(Key::DirtyTimeout, Raw::Float(timeout.as_secs_f64()))
    }

    /// The default of `dirty_threads`.
    #[must_use]
    pub fn dirty_threads(self, count: u16) -> Self {
        self.set(Key::DirtyThreads, Raw::Integer(count.into()))
    }

    /// The default of `dirty_graceful_timeout`.
    #[must_use]
    pub fn dirty_graceful_timeout(self, timeout: Duration) -> Self {
        self.set(Key::DirtyGracefulTimeout, Raw::Float(timeout.as_secs_f64()))
    }

    /// The default of `dirty_stash_limit`, in bytes; 0 is no limit.
    #[must_use]
    pub fn dirty_stash_limit(self, bytes: u64) -> Self {
        self.set(Key::DirtyStashLimit, Raw::Text(bytes.to_string()))
    }

    /// The default of `dirty_max_requests`; 0 is no limit.
    #[must_use]
    pub fn dirty_max_requests(self, count: u64) -> Self {
        self.set(Key::DirtyMaxRequests, Raw::Text(count.to_string()))
    }

    /// The default of `dirty_max_requests_jitter`.
    #[must_use]
    pub fn dirty_max_requests_jitter(self, count: u64) -> Self {
        self.set(Key::DirtyMaxRequestsJitter, Raw::Text(count.to_string()))
    }

    /// The default of `dirty_max_rss`, in bytes; 0 is no limit.
    #[must_use]
    pub fn dirty_max_rss(self, bytes: u64) -> Self {
        self.set(Key::DirtyMaxRss, Raw::Text(bytes.to_string()))
    }

    /// The default of `dirty_socket`: where the dirty arbiter listens.
    #[must_use]
    pub fn dirty_socket(self, path: impl Into<String>) -> Self {
        self.set(Key::DirtySocket, Raw::Text(path.into()))
    }

    /// The default of `companion_config_file`: the file that companions are configured in, and nothing else.
    #[must_use]
    pub fn companion_config_file(self, path: impl Into<String>) -> Self {
        self.set(Key::CompanionConfigFile, Raw::Text(path.into()))
    }

    /// The default of `companion_control_socket`: where the companion manager listens for commands.
    #[must_use]
    pub fn companion_control_socket(self, path: impl Into<String>) -> Self {
        self.set(Key::CompanionControlSocket, Raw::Text(path.into()))
    }

    /// The default of `proc_name`: what `ps` shows in brackets behind the role of each process.
    #[must_use]
    pub fn proc_name(self, name: impl Into<String>) -> Self {
        self.set(Key::ProcName, Raw::Text(name.into()))
    }

    /// The default of `errorlog`: the file that log lines are appended to, `-` for standard error.
    #[must_use]
    pub fn error_log(self, path: impl Into<String>) -> Self {
        self.set(Key::ErrorLog, Raw::Text(path.into()))
    }

    /// The default of `log_format`.
    #[must_use]
    pub fn log_format(self, format: LogFormat) -> Self {
        self.set(Key::LogFormat, Raw::Text(format.name().into()))
    }

    /// The default of `loglevel`.
    #[must_use]
    pub fn log_level(self, level: LogLevel) -> Self {
        self.set(Key::LogLevel, Raw::Text(level.name().into()))
    }

    fn set(mut self, key: Key, raw: Raw) -> Self {
        if let Err(mistake) = self.defaults.set(key, &raw, Origin::Program) {
            self.mistakes.push(mistake);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_sets_what_it_would_write_in_a_file() {
        let server = Server::new()
            .backlog(64)
            .reuse_port(true)
            .accept_mode(AcceptMode::Fair)
            .worker_connections(5)
            .keyfile("k.pem")
            .certfile("c.pem")
            .keepalive(Duration::from_secs(5))
            .max_requests(u64::MAX)
            .max_requests_jitter(10)
            .max_rss(1 << 30)
            .restart_limit(3)
            .preload_app(true)
            .worker_tmp_dir("/tmp")
            .dirty_socket("d.sock")
            .proc_name("shop")
            .log_format(LogFormat::Json);
        assert!(server.mistakes.is_empty(), "{:?}", server.mistakes);
        let set = server.defaults;
        assert_eq!(set.accept_mode.unwrap().value, AcceptMode::Fair);
        assert_eq!(set.max_requests.unwrap().value, u64::MAX);
        assert_eq!(set.restart_limit.unwrap().origin, Origin::Program);
        assert!(set.reuse_port.unwrap().value && set.preload_app.unwrap().value);
        assert_eq!(set.log_format.unwrap().value, LogFormat::Json);
    }

    #[test]
    fn a_default_that_is_not_allowed_is_kept_for_the_run_to_report() {
        let server = Server::new().worker_connections(0).proc_name("");
        let mistakes: Vec<String> = server.mistakes.iter().map(ToString::to_string).collect();
        assert_eq!(mistakes.len(), 2);
        assert!(mistakes[0].starts_with("set by the program: worker_connections = 0"), "{mistakes:?}");
    }
}
