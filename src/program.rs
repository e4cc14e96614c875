//! A program, from whose settings a service is made: once at the start, and again at each reload.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use gunmetal_arbiter::{
    Account, Allocation, AppLimit, CompanionsConfig, DirtyConfig, Hooks, HttpBody, MasterConfig,
    ProcessConfig,
};
use gunmetal_dirty::AppRegistry;
use gunmetal_supervise::{remove_env, set_env};
use nix::unistd::getgid;

use crate::http::{self, HttpClosure};
use crate::preload::Loaders;
use crate::settings::{Companions, SettingsError, Sources};
use crate::{Settings, logging};

/// What a program has said of its service.
pub(crate) struct Program {
    pub(crate) registry: AppRegistry,
    pub(crate) http: Option<Rc<HttpClosure>>,
    pub(crate) hooks: Arc<dyn Hooks>,
    pub(crate) loaders: Arc<Loaders>,
    pub(crate) sources: Sources,
    /// The variables that settings have set, each with what it was before.
    pub(crate) environment: RefCell<BTreeMap<String, Option<OsString>>>,
}

impl Program {
    /// Reads the settings, as they are now, and the companions.
    pub(crate) fn settings(&self) -> Result<(Settings, Companions), SettingsError> {
        self.sources.resolve(None)
    }

    /// What a reload by SIGHUP leads to; `running` are the settings that the service was started with, some of which only
    /// another start changes.
    pub(crate) fn reread(self: &Rc<Self>, running: &Settings) -> Result<MasterConfig, String> {
        let running_in = self.directory_of(running);
        let resolved = self.sources.resolve(Some(running_in));
        let (mut settings, mut companions) = resolved.map_err(|error| http::chain(&error))?;
        for name in running.fixed_but_changed(&settings) {
            tracing::warn!("{name} has changed, which takes effect with the next start or upgrade (USR2)");
        }
        // What this process has done at its start it will not have done otherwise.
        settings.preload_app = running.preload_app;
        settings.daemon = running.daemon;
        // All that shares sockets with the dirty side runs as one user.
        settings.user = running.user.clone();
        settings.group = running.group.clone();
        settings.chdir = running.chdir.clone();
        // The manager keeps the socket at which it listens.
        settings.companion_control_socket = running.companion_control_socket.clone();
        companions.control_socket = running_in.join(&running.companion_control_socket);
        self.master_config(settings, companions).map_err(|error| http::chain(&error))
    }

    /// What the master runs with these settings.
    pub(crate) fn master_config(
        self: &Rc<Self>,
        settings: Settings,
        companions: Companions,
    ) -> Result<MasterConfig, SettingsError> {
        let tls = settings.tls()?;
        let dirty = self.dirty_config(&settings);
        let has_companions = !companions.companions.is_empty() || settings.companion_config_file.is_some();
        let companions = has_companions.then(|| self.companions_config(&settings, companions));
        let settings = Arc::new(settings);
        let is_tls = tls.is_some();
        let (program, entered) = (Rc::clone(self), Arc::clone(&settings));
        Ok(MasterConfig {
            bind: settings.bind.clone(),
            backlog: settings.backlog,
            reuse_port: settings.reuse_port,
            is_tls,
            umask: settings.umask,
            workers: settings.workers,
            timeout: settings.timeout,
            graceful_timeout: settings.graceful_timeout,
            max_rss: settings.max_rss,
            restart_limit: settings.restart_limit,
            pidfile: settings.pidfile.clone(),
            daemon: settings.daemon,
            processes: process_config(&settings),
            http: self.http_body(&settings, tls),
            hooks: Arc::clone(&self.hooks),
            enter: Rc::new(move || program.enter(&entered)),
            leave: logging::leave,
            reopen_logs: logging::reopen,
            dirty: (dirty.workers > 0).then_some(dirty),
            companions,
        })
    }

    fn http_body(
        &self,
        settings: &Arc<Settings>,
        tls: Option<Arc<rustls::ServerConfig>>,
    ) -> Option<HttpBody> {
        let closure = Rc::clone(self.http.as_ref().filter(|_| settings.workers > 0)?);
        let (settings, hooks) = (Arc::clone(settings), Arc::clone(&self.hooks));
        let loaders = Arc::clone(&self.loaders);
        Some(Rc::new(move |process| {
            let context = http::Context {
                settings: Arc::clone(&settings),
                tls: tls.clone(),
                hooks: Arc::clone(&hooks),
                loaders: Arc::clone(&loaders),
            };
            http::run(&closure, process, context)
        }))
    }

    /// What the dirty arbiter runs with these settings.
    pub(crate) fn dirty_config(self: &Rc<Self>, settings: &Settings) -> DirtyConfig {
        let program = Rc::clone(self);
        let limit_of = |path: &str| self.registry.get(path).and_then(|app| app.workers());
        let apps: Vec<AppLimit> = match &settings.dirty_apps {
            Some(specs) => specs
                .iter()
                .map(|spec| AppLimit {
                    path: spec.path.clone(),
                    limit: spec.limit.or_else(|| limit_of(&spec.path)),
                })
                .collect(),
            None => self
                .registry
                .paths()
                .map(|path| AppLimit { path: path.to_owned(), limit: limit_of(path) })
                .collect(),
        };
        let running = settings.clone();
        let default_workers =
            |allocation: &Allocation| if allocation.apps().is_empty() { 0 } else { allocation.minimum() };
        let allocation = Allocation::new(apps);
        let loaders = Arc::clone(&self.loaders);
        DirtyConfig {
            workers: settings.dirty_workers.unwrap_or_else(|| default_workers(&allocation)),
            allocation,
            registry: self.registry.clone(),
            threads: settings.dirty_threads,
            timeout: settings.dirty_timeout,
            graceful_timeout: settings.dirty_graceful_timeout,
            socket: settings.dirty_socket.clone(),
            stash_limit: settings.dirty_stash_limit,
            max_requests: settings.dirty_max_requests,
            max_requests_jitter: settings.dirty_max_requests_jitter,
            max_rss: settings.dirty_max_rss,
            processes: process_config(settings),
            refresh: Rc::new(move || program.refresh(&running)),
            load: Some(Arc::new(move || loaders.run())),
            hooks: Arc::clone(&self.hooks),
            reopen_logs: logging::reopen,
        }
    }

    /// What the companion manager runs with these settings.
    fn companions_config(self: &Rc<Self>, settings: &Settings, companions: Companions) -> CompanionsConfig {
        let Companions { companions, control_socket, manager, .. } = companions;
        let (directory, service) = (self.directory_of(settings).to_owned(), settings.clone());
        let (rereading, refreshing, running) = (Rc::clone(self), Rc::clone(self), manager.clone());
        CompanionsConfig {
            companions,
            control_socket,
            control_socket_mode: manager.control_socket_mode(),
            shutdown_buffer: manager.shutdown_buffer(),
            manager_stop_timeout: manager.stop_timeout(),
            processes: process_config(settings),
            reread: Rc::new(move || {
                let read = rereading.sources.companions(&directory);
                let Companions { companions, manager, .. } = read.map_err(|error| http::chain(&error))?;
                for name in running.changed(&manager) {
                    tracing::warn!(
                        "{name} has changed, which takes effect with the next start or upgrade (USR2)"
                    );
                }
                Ok(companions)
            }),
            refresh: Rc::new(move || refreshing.refresh(&service)),
            reopen_logs: logging::reopen,
        }
    }

    /// The working directory of a service with these settings.
    fn directory_of<'a>(&'a self, running: &'a Settings) -> &'a Path {
        running.chdir.as_deref().unwrap_or(&self.sources.directory)
    }

    /// What a reload is to a dirty arbiter or a companion manager, of a service that was started with the settings `running`. A
    /// master has read the settings before it passed the signal on.
    fn refresh(&self, running: &Settings) {
        match self.sources.settings(self.directory_of(running)) {
            Ok(settings) => {
                let (user, group) = (running.user.clone(), running.group.clone());
                self.enter(&Settings { user, group, ..settings });
            }
            Err(error) => tracing::error!(
                "environment and log stay as they are, the settings cannot be read: {}",
                http::chain(&error)
            ),
        }
    }

    /// Makes true of this process, and of those it will fork, what the settings say of it: environment and log.
    pub(crate) fn enter(&self, settings: &Settings) {
        self.set_environment(&settings.env);
        logging::set_owner(process_config(settings).account);
        let (level, format) = (settings.loglevel, settings.log_format);
        if let Err(error) = logging::reconfigure(level, format, settings.errorlog.as_deref()) {
            tracing::error!("the log stays where it is: {}", http::chain(&error));
        }
    }

    /// Sets these variables in the place of those that were set before.
    pub(crate) fn set_environment(&self, wanted: &[(String, String)]) {
        let mut set = self.environment.borrow_mut();
        let mut outcome = Ok(());
        for (name, before) in std::mem::take(&mut *set) {
            outcome = outcome.and_then(|()| match before {
                Some(value) => set_env(&name, value),
                None => remove_env(&name),
            });
        }
        for (name, value) in wanted {
            set.entry(name.clone()).or_insert_with(|| std::env::var_os(name));
            outcome = outcome.and_then(|()| set_env(name, value));
        }
        if let Err(error) = outcome {
            tracing::error!("the environment cannot be changed: {}", http::chain(&error));
        }
    }
}

/// What all processes have in common with these settings.
fn process_config(settings: &Settings) -> ProcessConfig {
    let gid = settings.group.as_ref().map(|group| group.gid);
    let account = match (&settings.user, gid) {
        (Some(user), gid) => Some(Account {
            name: user.name.clone(),
            uid: user.uid,
            gid: gid.or(user.gid).unwrap_or_else(|| getgid().as_raw()),
        }),
        (None, Some(gid)) => Some(Account { name: None, uid: nix::unistd::geteuid().as_raw(), gid }),
        (None, None) => None,
    };
    ProcessConfig {
        name: settings.proc_name.clone(),
        account,
        heartbeat_dir: settings.worker_tmp_dir.clone(),
    }
}

#[cfg(test)]
mod tests;
