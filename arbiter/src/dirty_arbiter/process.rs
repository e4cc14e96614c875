//! The dirty arbiter as a process: a child of the master, or one by itself.

use std::io;
use std::os::unix::net::UnixListener;
use std::path::Path;

use gunmetal_supervise::{
    ChildSetup, Parent, PidFile, ReadyWriter, RunDir, STARTUP_FAILED, Signal, Signals, readiness_pipe,
    set_title, spawn_child,
};

use super::predecessor::TITLE;
use super::{DirtyArbiter, Turn, predecessor};
use crate::crew::Member;
use crate::listener::{BindError, SocketFile};
use crate::{DirtyConfig, ServiceError, environment, hooks, report};

/// Where clients connect: bound once, by the oldest process that lives, and inherited by one router after the other.
#[derive(Debug)]
pub(crate) struct DirtySocket {
    pub(super) listener: UnixListener,
    file: SocketFile,
    pid_file: Option<PidFile>,
}

impl DirtySocket {
    pub(crate) fn bind(path: &Path) -> Result<Self, BindError> {
        let (listener, file) = SocketFile::bind(path)?;
        tracing::info!("Dirty arbiter listening at: unix:{} ({})", path.display(), std::process::id());
        Ok(Self { listener, file, pid_file: None })
    }

    /// Where it is in the file system.
    fn path(&self) -> &Path {
        self.file.path()
    }

    pub(super) fn file(&self) -> &SocketFile {
        &self.file
    }

    pub(crate) fn remove_file(&self) {
        self.file.remove();
    }

    /// Where the pid file is, if there is one.
    pub(super) fn pid_file(&self) -> Option<&Path> {
        self.pid_file.as_ref().map(PidFile::path)
    }

    /// Removes the pid file: last, since what is still there then is taken for the next service's.
    pub(crate) fn remove_pid_file(&self) {
        self.pid_file.iter().for_each(PidFile::remove);
    }

    /// Writes the pid of this process, a dirty arbiter, to the pid file.
    fn name_this_process(&self) {
        if let Some(Err(error)) = self.pid_file.as_ref().map(PidFile::name_this_process) {
            tracing::warn!(%error, "the pid file cannot be written");
        }
    }
}

/// Makes what outlives every dirty arbiter: the socket, known to all processes to come, and the run directory.
pub(crate) fn prepare(config: &DirtyConfig) -> Result<(DirtySocket, RunDir), ServiceError> {
    let path = config.socket_path().map_err(ServiceError::system("name the dirty socket"))?;
    let pid_file = predecessor::take_over(config)?;
    let prepared = prepare_at(&path, pid_file.as_ref());
    match prepared {
        Ok((mut socket, run_dir)) => {
            socket.pid_file = pid_file;
            Ok((socket, run_dir))
        }
        Err(error) => {
            pid_file.iter().for_each(PidFile::remove);
            Err(error)
        }
    }
}

fn prepare_at(path: &Path, pid_file: Option<&PidFile>) -> Result<(DirtySocket, RunDir), ServiceError> {
    // First, since it fails if another service with our pid, from another container, shares the directory: what it has
    // in its run directory must not be taken for the remains of a crash.
    let socket = predecessor::bind(path, pid_file)?;
    let rest = || {
        environment::export_socket(path).map_err(|error| ServiceError::System {
            action: "set variables",
            source: io::Error::other(error),
        })?;
        predecessor::run_dir(pid_file).map_err(|error| ServiceError::System {
            action: "make a run directory",
            source: io::Error::other(error),
        })
    };
    match rest() {
        Ok(run_dir) => Ok((socket, run_dir)),
        Err(error) => {
            socket.remove_file();
            Err(error)
        }
    }
}

/// Forks a dirty arbiter from the master.
pub(crate) fn spawn(
    age: u64,
    config: &DirtyConfig,
    socket: &DirtySocket,
    run_dir: &Path,
) -> io::Result<Member> {
    let (reader, writer) = readiness_pipe()?;
    // Both processes have a copy of the writer; the fork decides who uses it.
    let mut writer = Some(writer);
    let child = spawn_child(|newborn| {
        let Some(ready) = writer.take() else { return STARTUP_FAILED };
        // SIGTERM, not SIGKILL, at the master's death: its calls may finish, and it clears up after both.
        let mut setup = ChildSetup::new(TITLE).keep(&ready).keep(&socket.listener).hold_back(SIGNALS);
        if let Some(file) = &socket.pid_file {
            setup = setup.keep(file);
        }
        let parent = match newborn.become_child(setup) {
            Ok(parent) => parent,
            Err(error) => {
                // If there is no master any more, nobody needs to know.
                let _ = ready.failed(&report::chain(&error));
                return STARTUP_FAILED;
            }
        };
        let turn = if age > 1 { Turn::Next } else { Turn::First };
        run_child(config, socket, run_dir, parent, ready, turn)
    })
    .map_err(io::Error::other)?;
    drop(writer);
    Ok(Member::new(child, age, Some(reader), None))
}

fn run_child(
    config: &DirtyConfig,
    socket: &DirtySocket,
    run_dir: &Path,
    parent: Parent,
    ready: ReadyWriter,
    turn: Turn,
) -> i32 {
    let signals = match Signals::block(SIGNALS) {
        Ok(signals) => signals,
        Err(error) => {
            let _ = ready.failed(&format!("dirty arbiter cannot collect signals: {error}"));
            return STARTUP_FAILED;
        }
    };
    socket.name_this_process();
    hooks::starting(config, Some(parent.pid()), socket.path());
    let ending = DirtyArbiter::new(config, socket, run_dir, signals, Some(parent), Some(ready), turn).run();
    if ending.is_orphan {
        // The master cannot any more.
        socket.remove_file();
        let _ = std::fs::remove_dir_all(run_dir);
        socket.remove_pid_file();
    }
    match (ending.result, ending.ready) {
        (Ok(()), _) => 0,
        (Err(error), Some(ready)) => {
            let _ = ready.failed(&report::chain(&error));
            error.exit_code().into()
        }
        (Err(error), None) => {
            tracing::error!("Dirty arbiter ends: {}", report::chain(&error));
            error.exit_code().into()
        }
    }
}

/// Runs a dirty arbiter alone, in the foreground, until it is told to stop.
///
/// Must be called while the process has one thread.
///
/// # Errors
///
/// Why it could not start, or had to end. Nothing of it is left then.
pub fn run_dirty_only(config: &DirtyConfig) -> Result<(), ServiceError> {
    set_title(TITLE);
    let signals = Signals::block(SIGNALS).map_err(ServiceError::system("collect signals"))?;
    tracing::info!("Starting gunmetal {}", env!("CARGO_PKG_VERSION"));
    let (socket, run_dir) = prepare(config)?;
    socket.name_this_process();
    hooks::starting(config, None, socket.path());
    let ending = DirtyArbiter::new(config, &socket, run_dir.path(), signals, None, None, Turn::First).run();
    socket.remove_file();
    drop(run_dir);
    socket.remove_pid_file();
    if ending.result.is_ok() {
        tracing::info!("Shutting down: Dirty arbiter");
    }
    ending.result
}

/// What the dirty arbiter answers to; everything else keeps its default.
const SIGNALS: [Signal; 10] = [
    Signal::SIGTERM,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGHUP,
    Signal::SIGTTIN,
    Signal::SIGTTOU,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGWINCH,
    Signal::SIGCHLD,
];
