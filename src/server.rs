//! The builder of a service.

mod defaults;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;

use gunmetal_arbiter::{Hooks, NoHooks, ServiceError, StartContext, run_dirty_only, run_master};
use gunmetal_dirty::{AppRegistry, DirtyApp};
use gunmetal_supervise::{DaemonError, Daemonized, Readiness, SingleThread, ThreadsError, daemonize};

use crate::companion::{self, Companion, CompanionClosure, Functions};
use crate::http::{self, HttpClosure, HttpWorker, Outcome};
use crate::logging;
use crate::preload::{LoadError, Loaders};
use crate::program::Program;
use crate::settings::{Flags, FlagsError, Layer, SettingsError, Sources, Task, Variables, unknown_variables};

/// A service: its dirty apps, its HTTP workers, its companions, and the defaults of its settings.
///
/// Everything set here is a default: the command line, the environment and the configuration file go before it.
pub struct Server {
    registry: AppRegistry,
    http: Option<HttpClosure>,
    companions: Functions,
    loaders: Loaders,
    defaults: Layer,
    hooks: Arc<dyn Hooks>,
    /// A default that is not allowed is reported by [`run`](Self::run), which has somebody to report it to.
    mistakes: Vec<SettingsError>,
}

impl Server {
    /// A service without apps, HTTP workers and companions.
    pub fn new() -> Self {
        Self {
            registry: AppRegistry::default(),
            http: None,
            companions: Functions::default(),
            loaders: Loaders::default(),
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
    /// [`HttpWorker::serve_threads`] is a ready-made server; with another one, listen to [`HttpWorker::accept`] or
    /// [`HttpWorker::shutdown_requested`], and return when the worker is to shut down.
    #[must_use]
    pub fn http<R: Outcome>(mut self, closure: impl Fn(HttpWorker) -> R + 'static) -> Self {
        self.http = Some(http::blocking(closure));
        self
    }

    /// What each HTTP worker does, as an async function: it runs on a multi-threaded tokio runtime in a process of its
    /// own, which also beats the worker's heart.
    ///
    /// [`HttpWorker::serve`] is a ready-made server; with another one, wait for [`HttpWorker::shutdown`] beside the serving,
    /// and return.
    #[must_use]
    pub fn http_async<R: Outcome>(mut self, closure: impl AsyncFn(HttpWorker) -> R + 'static) -> Self {
        self.http = Some(http::on_runtime(closure));
        self
    }

    /// Registers what a companion does, as a function that blocks: it runs on the main thread of a process of its own, which
    /// the companion manager starts, watches and, whenever it ends without having been told to, starts again.
    ///
    /// The name, `scheduler` or `jobs:scheduler`, is what the configuration has as `target`. Without a configuration of
    /// companions every function runs as one that is called by the last part of its name.
    ///
    /// The process exits with 0 for `Ok`, and with 1 for an error, which is logged.
    ///
    /// ```no_run
    /// use std::time::Duration;
    /// use gunmetal::{Companion, Server};
    ///
    /// fn scheduler(companion: Companion) {
    ///     while !companion.wait_for_shutdown(Duration::from_secs(60)) {
    ///         println!("a minute has gone by");
    ///     }
    /// }
    ///
    /// fn main() -> std::process::ExitCode {
    ///     Server::new().companion("jobs:scheduler", scheduler).run()
    /// }
    /// ```
    #[must_use]
    pub fn companion<R: Outcome>(self, name: &str, function: impl Fn(Companion) -> R + 'static) -> Self {
        self.register(name, companion::blocking(function))
    }

    /// The same as [`companion`](Self::companion) for an async function, which gets a multi-threaded tokio runtime.
    #[must_use]
    pub fn companion_async<R: Outcome>(
        self,
        name: &str,
        function: impl AsyncFn(Companion) -> R + 'static,
    ) -> Self {
        self.register(name, companion::on_runtime(function))
    }

    fn register(mut self, name: &str, closure: CompanionClosure) -> Self {
        if let Err(mistake) = self.companions.register(name, closure) {
            self.mistakes.push(mistake.into());
        }
        self
    }

    /// What the program does at the stations of the service's life.
    #[must_use]
    pub fn hooks(mut self, hooks: impl Hooks + 'static) -> Self {
        self.hooks = Arc::new(hooks);
        self
    }

    /// Loads something that every process needs, which finds it by [`preloaded`](crate::preloaded): in each HTTP worker and dirty
    /// worker before that is ready and in each companion before its function is called, or, with the setting `preload_app`,
    /// once in the master, whose memory they then share.
    ///
    /// What fails here is exit code 4 at the first start. In the master it must not leave a thread behind: a process with
    /// threads is never forked.
    #[must_use]
    pub fn preload<T, E>(mut self, load: impl Fn() -> Result<T, E> + Send + Sync + 'static) -> Self
    where
        T: Send + Sync + 'static,
        Result<(), E>: Outcome,
    {
        self.loaders.add(load);
        self
    }

    /// Runs the service with the arguments of this process until it is told to stop.
    ///
    /// Call it first thing in `main`, before anything starts a thread: this process forks.
    ///
    /// The exit code is 0 after a stop by signal, 1 if the settings or the system do not let the service start, 2 if
    /// the command line is not understood, 3 if a worker or the companion manager failed to start at the first boot, 4 if a
    /// worker's process ended with that code itself, which means in gunicorn that the application could not be loaded. The
    /// reason is the last line on standard error.
    #[must_use = "the exit code tells how the service ended: return it from main"]
    pub fn run(self) -> ExitCode {
        self.run_from(std::env::args_os())
    }

    /// [`run`](Self::run) with other arguments, of which the first is the program's name.
    #[must_use = "the exit code tells how the service ended: return it from main"]
    pub fn run_from<A: Into<OsString>>(self, args: impl IntoIterator<Item = A>) -> ExitCode {
        let args: Vec<OsString> = args.into_iter().map(Into::into).collect();
        // Before anything changes what a new master of an upgrade is to be started with.
        let start = match StartContext::capture(args.clone()) {
            Ok(start) => start,
            Err(source) => return last_words(&SettingsError::NoDirectory { source }, 1),
        };
        let failure = match self.try_run(&start, args) {
            Ok(()) => return ExitCode::SUCCESS,
            Err(Failure::Usage(error)) => {
                // Help and version go to standard output and are no failure; clap knows.
                let _ = error.print();
                return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
            }
            Err(failure) => failure,
        };
        let (error, code): (&(dyn std::error::Error + 'static), u8) = match &failure {
            Failure::Usage(error) => (error, 2),
            Failure::Settings(error) => (error, 1),
            Failure::Load(error) => (error, 4),
            Failure::Service(error) => (error, error.exit_code()),
            Failure::Threads(error) => (error, 1),
            Failure::Background(error) => (error, 1),
            Failure::Daemon(error) => (error, error.code),
        };
        start.refuse(&format!("{code} {}", http::chain(error)));
        last_words(error, code)
    }

    fn try_run(mut self, start: &StartContext, args: Vec<OsString>) -> Result<(), Failure> {
        let flags = Flags::parse(args).map_err(|error| match error {
            FlagsError::Usage(error) => Failure::Usage(error),
            FlagsError::Setting(error) => Failure::Settings(error),
        })?;
        if let Some(mistake) = self.mistakes.drain(..).next() {
            return Err(Failure::Settings(mistake));
        }
        let loaders = Arc::new(self.loaders);
        let sources = Sources {
            flags: flags.layer,
            config: flags.config,
            program: self.defaults,
            variables: Variables::of_this_process(),
            registered: self.registry.paths().map(str::to_owned).collect(),
            functions: self.companions.with_loaders(&loaders),
            // Without a working directory, absolute paths still work.
            directory: std::env::current_dir().unwrap_or_default(),
        };
        let program = Rc::new(Program {
            registry: self.registry,
            http: self.http.map(Rc::new),
            hooks: self.hooks,
            loaders,
            sources,
            environment: BTreeMap::new().into(),
        });
        let (settings, companions) = program.settings().map_err(Failure::Settings)?;
        if let Some(path) = &settings.chdir {
            std::env::set_current_dir(path)
                .map_err(|source| Failure::Settings(SettingsError::Chdir { path: path.clone(), source }))?;
        }
        let config = program.master_config(settings.clone(), companions).map_err(Failure::Settings)?;
        match flags.task {
            Task::CheckConfig => {
                program.sources.check_control_socket().map_err(Failure::Settings)?;
                unknown_variables(variable_names()).iter().for_each(|remark| eprintln!("gunmetal: {remark}"));
                return print("configuration ok\n");
            }
            Task::PrintConfig => return print(&program.sources.print().map_err(Failure::Settings)?),
            Task::Serve | Task::ServeDirtyOnly => {}
        }
        // Whatever else is wrong would be said of what a second thread has prevented.
        SingleThread::check().map_err(Failure::Threads)?;
        let is_daemon = settings.daemon && flags.task == Task::Serve && !start.is_upgrade();
        if is_daemon && go_into_background(start)? {
            return Ok(());
        }
        logging::set_owner(config.processes.account.clone());
        if let Some(path) = &settings.errorlog {
            logging::redirect(path).map_err(|source| {
                Failure::Settings(SettingsError::ErrorLog { path: path.clone(), source })
            })?;
        }
        logging::init(settings.loglevel, settings.log_format);
        unknown_variables(variable_names()).iter().for_each(|remark| tracing::warn!("{remark}"));
        program.set_environment(&settings.env);

        if settings.preload_app {
            program.loaders.run().map_err(|words| Failure::Load(LoadError(words)))?;
            SingleThread::check().map_err(|error| {
                Failure::Load(LoadError(format!("it left a thread behind: {}", http::chain(&error))))
            })?;
        }
        if flags.task == Task::ServeDirtyOnly {
            for (name, is_set) in [
                ("daemon", settings.daemon),
                ("pidfile", settings.pidfile.is_some()),
                ("companion_workers", config.companions.is_some()),
            ] {
                if is_set {
                    tracing::warn!("{name} does nothing with --dirty-only");
                }
            }
            return run_dirty_only(&program.dirty_config(&settings)).map_err(Failure::Service);
        }
        run_master(start, config, &|| program.reread(&settings)).map_err(Failure::Service)
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
    Load(LoadError),
    Service(ServiceError),
    Threads(ThreadsError),
    Background(DaemonError),
    Daemon(DaemonFailure),
}

/// What a daemon said of its start.
#[derive(Debug, thiserror::Error)]
#[error("{words}")]
struct DaemonFailure {
    code: u8,
    words: String,
}

fn variable_names() -> impl Iterator<Item = String> {
    std::env::vars_os().filter_map(|(name, _)| name.into_string().ok())
}

/// Writes the answer to a question that was asked instead of a start.
fn print(text: &str) -> Result<(), Failure> {
    let mut output = io::stdout();
    let written = output.write_all(text.as_bytes()).and_then(|()| output.flush());
    written.map_err(|error| Failure::Settings(SettingsError::Output(error)))
}

/// Goes on as a daemon. Returns whether this is the process that was started, which has nothing left to do.
fn go_into_background(start: &StartContext) -> Result<bool, Failure> {
    match daemonize().map_err(Failure::Background)? {
        Daemonized::Daemon(launcher) => {
            start.set_launcher(launcher);
            Ok(false)
        }
        Daemonized::Launcher(Readiness::Ready) => Ok(true),
        Daemonized::Launcher(Readiness::Failed(words)) => {
            let (code, words) = words.split_once(' ').unwrap_or(("1", &words));
            let code = code.parse().unwrap_or(1);
            Err(Failure::Daemon(DaemonFailure { code, words: words.to_owned() }))
        }
        Daemonized::Launcher(Readiness::Died) => {
            let words = "the service ended before it was up, and did not say why".to_owned();
            Err(Failure::Daemon(DaemonFailure { code: 1, words }))
        }
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
