//! The builder of a service.

mod defaults;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;

use gunmetal_arbiter::{
    Allocation, AppLimit, DirtyConfig, Hooks, MasterConfig, NoHooks, ServiceError, run_dirty_only, run_master,
};
use gunmetal_dirty::{AppRegistry, DirtyApp};

use crate::http::{self, HttpClosure, HttpOutcome, HttpWorker};
use crate::settings::{Flags, FlagsError, Layer, SettingsError, Sources, Task, Variables, unknown_variables};
use crate::{Settings, logging};

/// A service: its dirty apps, its HTTP workers, and the defaults of its settings.
///
/// Everything set here is a default: the command line, the environment and the configuration file go before it.
pub struct Server {
    registry: AppRegistry,
    http: Option<HttpClosure>,
    defaults: Layer,
    hooks: Arc<dyn Hooks>,
    /// A default that is not allowed is reported by [`run`](Self::run), which has somebody to report it to.
    mistakes: Vec<SettingsError>,
}

impl Server {
    /// A service without apps and without HTTP workers.
    pub fn new() -> Self {
        Self {
            registry: AppRegistry::default(),
            http: None,
            defaults: Layer::default(),
            hooks: Arc::new(NoHooks),
            mistakes: Vec::new(),
        }
    }

    /// Registers a dirty app under the path by which clients call it, `module:Name`.
    #[must_use]
    pub fn app<T: DirtyApp>(mut self, path: &str) -> Self {
        if let Err(mistake) = self.registry.register::<T>(path) {
            self.mistakes.push(mistake.into());
        }
        self
    }

    /// What each HTTP worker does, as a function that blocks: it runs on the main thread of a process of its own.
    ///
    /// Listen to [`HttpWorker::accept`] or [`HttpWorker::shutdown_requested`] and return when the worker is to shut
    /// down.
    #[must_use]
    pub fn http<R: HttpOutcome>(mut self, closure: impl Fn(HttpWorker) -> R + 'static) -> Self {
        self.http = Some(http::blocking(closure));
        self
    }

    /// What each HTTP worker does, as an async function: it runs on a multi-threaded tokio runtime in a process of its
    /// own, which also beats the worker's heart.
    ///
    /// Wait for [`HttpWorker::shutdown`] beside the serving and return.
    #[must_use]
    pub fn http_async<R: HttpOutcome>(mut self, closure: impl AsyncFn(HttpWorker) -> R + 'static) -> Self {
        self.http = Some(http::on_runtime(closure));
        self
    }

    /// What the program does at the stations of the service's life.
    #[must_use]
    pub fn hooks(mut self, hooks: impl Hooks + 'static) -> Self {
        self.hooks = Arc::new(hooks);
        self
    }

    /// Runs the service with the arguments of this process until it is told to stop.
    ///
    /// Call it first thing in `main`, before anything starts a thread: this process forks.
    ///
    /// The exit code is 0 after a stop by signal, 1 if the settings or the system do not let the service start, 2 if
    /// the command line is not understood, 3 if a worker failed to start at the first boot, 4 if its process ended with
    /// that code itself, which means in gunicorn that the application could not be loaded. The reason is the last line on standard error.
    #[must_use = "the exit code tells how the service ended: return it from main"]
    pub fn run(self) -> ExitCode {
        self.run_from(std::env::args_os())
    }

    /// [`run`](Self::run) with other arguments, of which the first is the program's name.
    #[must_use = "the exit code tells how the service ended: return it from main"]
    pub fn run_from<A: Into<OsString>>(self, args: impl IntoIterator<Item = A>) -> ExitCode {
        match self.try_run(args.into_iter().map(Into::into)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(Failure::Usage(error)) => {
                // Help and version go to standard output and are no failure; clap knows.
                let _ = error.print();
                ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
            }
            Err(Failure::Settings(error)) => last_words(&error, 1),
            Err(Failure::Service(error)) => last_words(&error, error.exit_code()),
        }
    }

    fn try_run(mut self, args: impl Iterator<Item = OsString>) -> Result<(), Failure> {
        let flags = Flags::parse(args).map_err(|error| match error {
            FlagsError::Usage(error) => Failure::Usage(error),
            FlagsError::Setting(error) => Failure::Settings(error),
        })?;
        if let Some(mistake) = self.mistakes.drain(..).next() {
            return Err(Failure::Settings(mistake));
        }
        let sources = Sources {
            flags: flags.layer,
            config: flags.config,
            program: self.defaults,
            variables: Variables::of_this_process(),
            registered: self.registry.paths().map(str::to_owned).collect(),
            // Without a working directory, absolute paths still work.
            directory: std::env::current_dir().unwrap_or_default(),
        };
        let settings = sources.resolve().map_err(Failure::Settings)?;
        match flags.task {
            Task::CheckConfig => return print("configuration ok\n"),
            Task::PrintConfig => return print(&sources.print().map_err(Failure::Settings)?),
            Task::Serve | Task::ServeDirtyOnly => {}
        }
        if let Some(path) = &settings.chdir {
            std::env::set_current_dir(path)
                .map_err(|source| Failure::Settings(SettingsError::Chdir { path: path.clone(), source }))?;
        }
        if let Some(path) = &settings.errorlog {
            logging::redirect(path).map_err(|source| {
                Failure::Settings(SettingsError::ErrorLog { path: path.clone(), source })
            })?;
        }
        logging::init(settings.loglevel, settings.log_format);
        let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        unknown_variables(names).iter().for_each(|remark| tracing::warn!("{remark}"));

        let dirty = dirty_config(&settings, self.registry, self.hooks);
        if flags.task == Task::ServeDirtyOnly {
            return run_dirty_only(&dirty).map_err(Failure::Service);
        }
        let settings = Arc::new(settings);
        let config = MasterConfig {
            bind: if self.http.is_some() { settings.bind.clone() } else { Vec::new() },
            workers: if self.http.is_some() { settings.workers } else { 0 },
            timeout: settings.timeout,
            graceful_timeout: settings.graceful_timeout,
            reopen_logs: logging::reopen,
            dirty: (dirty.workers > 0).then_some(dirty),
        };
        let http = self.http;
        run_master(config, &|process| match &http {
            Some(closure) => http::run(closure, process, Arc::clone(&settings), None),
            None => 0,
        })
        .map_err(Failure::Service)
    }
}

impl Default for Server {
    fn default() -> Self {
        Self::new()
    }
}

enum Failure {
    Usage(clap::Error),
    Settings(SettingsError),
    Service(ServiceError),
}

/// Writes the answer to a question that was asked instead of a start.
fn print(text: &str) -> Result<(), Failure> {
    let mut output = io::stdout();
    let written = output.write_all(text.as_bytes()).and_then(|()| output.flush());
    written.map_err(|error| Failure::Settings(SettingsError::Output(error)))
}

fn dirty_config(settings: &Settings, registry: AppRegistry, hooks: Arc<dyn Hooks>) -> DirtyConfig {
    let apps = match &settings.dirty_apps {
        Some(specs) => specs
            .iter()
            .map(|spec| AppLimit {
                path: spec.path.clone(),
                limit: spec.limit.or_else(|| registry.get(&spec.path).and_then(|app| app.workers())),
            })
            .collect(),
        None => registry
            .paths()
            .map(|path| AppLimit {
                path: path.to_owned(),
                limit: registry.get(path).and_then(|app| app.workers()),
            })
            .collect::<Vec<_>>(),
    };
    let default_workers =
        |allocation: &Allocation| if allocation.apps().is_empty() { 0 } else { allocation.minimum() };
    let allocation = Allocation::new(apps);
    DirtyConfig {
        workers: settings.dirty_workers.unwrap_or_else(|| default_workers(&allocation)),
        allocation,
        registry,
        threads: settings.dirty_threads,
        timeout: settings.dirty_timeout,
        graceful_timeout: settings.dirty_graceful_timeout,
        socket: settings.dirty_socket.clone(),
        stash_limit: settings.dirty_stash_limit,
        max_requests: settings.dirty_max_requests,
        max_requests_jitter: settings.dirty_max_requests_jitter,
        max_rss: settings.dirty_max_rss,
        hooks,
        reopen_logs: logging::reopen,
    }
}

/// The reason of the end, as the last line on standard error: not a log line, since no log level may hide it.
fn last_words(error: &(dyn std::error::Error + 'static), code: u8) -> ExitCode {
    let words = http::chain(error);
    let line: Vec<&str> = words.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let line = format!("gunmetal: {}\n", line.join(" | "));
    // Nobody is left to complain to if this fails.
    let _ = io::stderr().write_all(line.as_bytes());
    if let Some(mut terminal) = logging::started_with() {
        let _ = terminal.write_all(line.as_bytes());
    }
    ExitCode::from(code)
}
