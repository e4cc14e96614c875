//! Reload: another configuration, all or nothing.
//!
//! ```text
//! HUP ─▶ read, check ─▶ open what is new ─▶ on_reload ─▶ new workers ─all ready─▶ the old ones drain,
//!            │                │                              │                    what is unused is closed
//!            └────────────────┴── refused: nothing changes ◀─┘ one fails
//! ```

use gunmetal_supervise::{Action, Event, PidFile, Signal, StartupFailure};

use super::generation::Generation;
use super::{Master, Phase, boot};
use crate::{MasterConfig, ServiceError, hooks, report};

impl Master<'_> {
    /// Reads the configuration again and replaces the workers, now or once what is under way is done.
    pub(super) fn reload(&mut self) {
        if self.next.is_some() || !matches!(self.phase, Phase::Serving { is_up: true }) {
            self.reload_again = true;
            return;
        }
        self.systemd.reloading();
        let prepared =
            (self.reread)().and_then(|config| self.prepare(config).map_err(|error| report::chain(&error)));
        match prepared {
            Ok(next) => self.begin_reload(next),
            Err(reason) => {
                tracing::error!("Reload refused, nothing has changed: {reason}");
                self.systemd.reloaded(&format!("Reload refused: {reason}"));
            }
        }
    }

    /// Opens what the configuration has and the current one has not.
    fn prepare(&mut self, config: MasterConfig) -> Result<Generation, ServiceError> {
        boot::check(&config)?;
        let listeners = self.current.listeners.reopen(&self.current.config, &config)?;
        let pid_path = config.pidfile.as_deref().filter(|_| config.pidfile != self.current.config.pidfile);
        match pid_path.map(|path| boot::keep_pid_file(path, self.name())).transpose() {
            Ok(pid_file) => Ok(Generation { config, listeners, pid_file }),
            Err(error) => {
                listeners.remove_files_unless_in(&self.current.listeners);
                Err(error)
            }
        }
    }

    fn begin_reload(&mut self, next: Generation) {
        for listener in next.listeners.without(&self.current.listeners) {
            tracing::info!("Listening at: {listener} ({})", std::process::id());
        }
        if next.config.backlog != self.current.config.backlog {
            next.listeners.set_backlog(&next.config);
        }
        (next.config.enter)();
        let process = next.process(self.name(), next.workers());
        let program = std::sync::Arc::clone(&next.config.hooks);
        hooks::in_parent("on_reload", || program.on_reload(&process));
        let serves_http = next.config.http.is_some();
        if let Some(http) = &mut self.http {
            http.set_config(next.pool_config(), next.heartbeats());
            if serves_http {
                http.handle(Event::Reload);
            }
        }
        self.next = Some(next);
        if !serves_http {
            // There are no new workers to wait for; the old ones go.
            self.reload_done();
        }
        // It reloads its workers itself and lives on, with its router and what that holds.
        self.dirty.iter().for_each(|dirty| dirty.crew.signal_all(Signal::SIGHUP));
    }

    /// The new workers serve.
    pub(super) fn reload_done(&mut self) {
        let Some(next) = self.next.take() else { return };
        let old = std::mem::replace(&mut self.current, next);
        for listener in old.listeners.without(&self.current.listeners) {
            tracing::info!("No longer listening at: {listener}");
        }
        self.let_go(old.listeners.files_unless_in(&self.current.listeners));
        if old.config.pidfile == self.current.config.pidfile {
            self.current.pid_file = old.pid_file;
        } else {
            old.pid_file.iter().for_each(PidFile::remove);
        }
        self.show_title();
        self.reload_companions();
        self.set_memory_limit();
        let wanted = self.current.workers();
        if let Some(http) = self.http.as_mut().filter(|http| http.slot_count() != wanted) {
            http.handle(Event::Resize(wanted));
        }
        tracing::info!("HTTP worker: reload done");
        self.reload_ended(&self.status());
    }

    /// One of the new workers did not start: everything stays as it was.
    pub(super) fn reload_failed(&mut self, failure: StartupFailure) {
        let Some(next) = self.next.take() else { return };
        self.let_go(next.listeners.files_unless_in(&self.current.listeners));
        next.pid_file.iter().for_each(PidFile::remove);
        (self.current.config.enter)();
        if next.config.backlog != self.current.config.backlog {
            self.current.listeners.set_backlog(&self.current.config);
        }
        if let Some(http) = &mut self.http {
            http.set_config(self.current.pool_config(), self.current.heartbeats());
        }
        let status = format!("Reload failed: {failure}");
        // To the log that is in force again.
        report::action("HTTP worker", &Action::ReloadFailed(failure));
        self.reload_ended(&status);
    }

    fn reload_ended(&mut self, status: &str) {
        self.systemd.reloaded(status);
        if std::mem::take(&mut self.reload_again) {
            self.reload();
        }
    }
}
