//! The start of a master, step by step, and its end.

use std::path::{Path, PathBuf};

use gunmetal_supervise::{
    OtherProcess, Pid, PidFile, PidFileError, ReadyWriter, Signal, Signals, adopt_orphans, remove_env,
    set_title, take_inherited,
};
use nix::unistd::{getegid, geteuid, getppid};

use super::dirty_side::DirtySide;
use super::generation::Generation;
use super::systemd::{self, Systemd};
use super::{Master, Phase, Reread, StartContext};
use crate::crew::PARENT_SIGNALS;
use crate::dirty_arbiter::Heritage;
use crate::handed_over::{HandedOver, VARIABLES};
use crate::http_listeners::{HttpListeners, Source};
use crate::memory_limit::MemoryLimit;
use crate::{MasterConfig, MasterProcess, ServiceError, hooks, report};

/// Runs a service until it is told to stop. `reread` reads its configuration again when SIGHUP asks for that; the text says
/// why it cannot be used.
///
/// Must be called while the process has one thread.
///
/// # Errors
///
/// Why the service could not start, or had to end. Nothing of it is left then.
pub fn run_master(
    start: &StartContext,
    config: MasterConfig,
    reread: &dyn Fn() -> Result<MasterConfig, String>,
) -> Result<(), ServiceError> {
    let mut waiting: Vec<ReadyWriter> = start.launcher.borrow_mut().take().into_iter().collect();
    let mut systemd = Systemd::new(&start.env, start.is_upgrade());
    let result = run(start, config, reread, &mut waiting, &mut systemd);
    if let Err(error) = &result {
        systemd.status(&report::chain(error));
        let words = format!("{} {}", error.exit_code(), report::chain(error));
        for waiting in waiting {
            // Who does not wait any more need not know.
            let _ = waiting.failed(&words);
        }
    }
    result
}

fn run(
    start: &StartContext,
    config: MasterConfig,
    reread: Reread<'_>,
    waiting: &mut Vec<ReadyWriter>,
    systemd: &mut Systemd,
) -> Result<(), ServiceError> {
    check(&config)?;
    let handed = read_handed_over()?;
    if let Some(number) = handed.ready {
        waiting.push(take_inherited(number)?.into());
    }
    let elder = elder(&handed)?;
    if elder.is_none() {
        systemd.take_over();
    }
    let name = if elder.is_some() { YOUNGER } else { ONLY };
    set_title(&title(&config, name));
    // Whoever reads the pid file may use it at once: these wait until there is somebody to answer.
    Signals::block(HARMLESS).map_err(ServiceError::system("hold back signals"))?;
    tracing::info!("Starting gunmetal {}", env!("CARGO_PKG_VERSION"));

    let pid_file = config.pidfile.as_deref().map(|path| keep_pid_file(path, name)).transpose()?;
    let opened = open(&config, &handed, name, elder.is_some());
    let (signals, listeners, dirty) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            pid_file.iter().for_each(PidFile::remove);
            return Err(error);
        }
    };
    let memory = MemoryLimit::new("max_rss", config.max_rss);
    let mut master = Master {
        start,
        reread,
        current: Generation { config, listeners, pid_file },
        next: None,
        reload_again: false,
        signals,
        http: None,
        http_is_booted: false,
        memory,
        dirty,
        companions: None,
        elder,
        upgrade: None,
        shared_files: Vec::new(),
        waiting: std::mem::take(waiting),
        systemd,
        phase: Phase::Booting,
        failure: None,
    };
    let (process, program) = (master.process(), std::sync::Arc::clone(&master.current.config.hooks));
    let result = hooks::may_refuse("when_ready", || program.when_ready(&process)).and_then(|()| {
        master.systemd.status(&format!("Starting {} workers", master.current.workers()));
        master.run()
    });
    *waiting = std::mem::take(&mut master.waiting);
    let name = master.name();
    let failure = master.clear_up();
    match (result, failure) {
        (Err(error), _) | (Ok(()), Some(error)) => Err(error),
        (Ok(()), None) => {
            tracing::info!("Shutting down: {name}");
            Ok(())
        }
    }
}

/// What stands between the pid file and the first process.
fn open(
    config: &MasterConfig,
    handed: &HandedOver,
    name: &'static str,
    has_elder: bool,
) -> Result<(Signals, HttpListeners, Option<DirtySide>), ServiceError> {
    let process =
        MasterProcess { pid: std::process::id(), name, addresses: Vec::new(), workers: config.workers };
    hooks::may_refuse("on_starting", || config.hooks.on_starting(&process))?;
    let signals = Signals::block(PARENT_SIGNALS).map_err(ServiceError::system("collect signals"))?;
    adopt_orphans().map_err(ServiceError::system("adopt orphans"))?;
    let listeners = match &config.http {
        Some(_) => HttpListeners::open(config, handed)?,
        None => HttpListeners::none(),
    };
    for listener in listeners.iter() {
        tracing::info!("Listening at: {listener} ({})", std::process::id());
    }
    if listeners.source() == Source::Activated {
        tracing::info!("systemd has opened the listeners: bind is not looked at");
    }
    let heritage = Heritage { has_elder, listener: handed.dirty_listener };
    let dirty = match &config.dirty {
        Some(dirty) => DirtySide::prepare(dirty, heritage).map(Some),
        // Clients of a socket that nobody serves any more shall hear so: it is closed.
        None => handed
            .dirty_listener
            .map_or(Ok(()), |number| take_inherited(number).map(drop))
            .map(|()| None)
            .map_err(ServiceError::from),
    };
    match dirty {
        Ok(dirty) => Ok((signals, listeners, dirty)),
        Err(error) => {
            listeners.abandon();
            Err(error)
        }
    }
}

/// Whether the system lets this process do what is configured.
pub(super) fn check(config: &MasterConfig) -> Result<(), ServiceError> {
    let Some(account) = config.processes.account.as_ref().filter(|account| !account.is_allowed()) else {
        return Ok(());
    };
    let (own_uid, own_gid) = (geteuid().as_raw(), getegid().as_raw());
    Err(ServiceError::Account { uid: account.uid, gid: account.gid, own_uid, own_gid })
}

/// Keeps the pid file, with `.2` behind its name beside an elder master.
pub(super) fn keep_pid_file(path: &Path, name: &'static str) -> Result<PidFile, ServiceError> {
    let path = if name == YOUNGER { younger(path) } else { path.to_owned() };
    let path = std::path::absolute(path).map_err(ServiceError::system("name the pid file"))?;
    match PidFile::keep_readable(path) {
        Ok(file) => match file.name_this_process() {
            Ok(()) => Ok(file),
            Err(source) => {
                file.remove();
                Err(ServiceError::System { action: "write the pid file", source })
            }
        },
        Err(PidFileError::Kept { path, pid }) => Err(ServiceError::AlreadyRunning { pid, path }),
        Err(error) => Err(ServiceError::PidFile(error)),
    }
}

/// Removes the pid file of a younger master that has ended, if that could not do so itself.
pub(super) fn remove_younger_pid_file(path: &Path) {
    let path = younger(path);
    if !path.exists() {
        return;
    }
    match PidFile::keep(path) {
        Ok(file) => file.remove(),
        Err(error) => tracing::warn!("the pid file of the new master stays: {}", report::chain(&error)),
    }
}

/// What a file of the younger of two masters is called.
fn younger(path: &Path) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(".2");
    path.into()
}

/// Reads what this process was started with, and takes it out of the environment: it is nobody else's.
fn read_handed_over() -> Result<HandedOver, ServiceError> {
    let handed = HandedOver::read(&|name| std::env::var(name).ok(), std::process::id());
    for variable in VARIABLES.into_iter().chain(systemd::VARIABLES) {
        remove_env(variable).map_err(|error| ServiceError::System {
            action: "remove variables",
            source: std::io::Error::other(error),
        })?;
    }
    handed
}

/// The master that this one is to replace, if it is there: this process is its child.
fn elder(handed: &HandedOver) -> Result<Option<OtherProcess>, ServiceError> {
    let Some(pid) = handed.master.map(Pid::from_raw) else { return Ok(None) };
    let elder = OtherProcess::open(pid).map_err(ServiceError::system("watch the master that is replaced"))?;
    // The handle first: a parent that is still ours after that was so before.
    Ok(elder.filter(|_| getppid() == pid))
}

/// How a master is shown.
pub(super) fn title(config: &MasterConfig, name: &str) -> String {
    match (&config.processes.name, name == YOUNGER) {
        (Some(service), true) => format!("gunmetal: master [{service}.2]"),
        (None, true) => "gunmetal: master.2".to_owned(),
        (_, false) => config.processes.title("master"),
    }
}

/// What a master is called in the log.
pub(super) const ONLY: &str = "Master";
/// What it is called while the one that it replaces lives.
pub(super) const YOUNGER: &str = "Master.2";

/// What must not end a service that has only begun to start. What is meant to end it still does, until
/// [`on_starting`](crate::Hooks::on_starting) has returned.
const HARMLESS: [Signal; 5] =
    [Signal::SIGHUP, Signal::SIGTTIN, Signal::SIGTTOU, Signal::SIGUSR1, Signal::SIGUSR2];
