//! The dirty arbiter as a process: a child of the master, or one by itself.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, RawFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use gunmetal_supervise::{
    BACKLOG, ChildSetup, InheritedListener, Parent, PidFile, ReadyWriter, RunDir, STARTUP_FAILED, Signals,
    readiness_pipe, set_title, spawn_child, take_inherited_listener,
};

use super::predecessor::ROLE;
use super::{DirtyArbiter, Turn, predecessor};
use crate::crew::{Member, PARENT_SIGNALS};
use crate::listener::{BindError, SocketFile};
use crate::{DirtyConfig, ServiceError, environment, hooks, report};

/// Where clients connect: bound once, by the oldest process that lives, and inherited by one router after the other.
#[derive(Debug)]
pub(crate) struct DirtySocket {
    pub(super) listener: UnixListener,
    file: SocketFile,
    pid_file: Option<PidFile>,
    /// Whether clients know the path from the configuration.
    is_configured: bool,
}

/// What a master is started with.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Heritage {
    /// Whether another master of the same service runs, which this one is to replace.
    pub(crate) has_elder: bool,
    /// The descriptor of a dirty socket that it shares with that one, which may have ended since.
    pub(crate) listener: Option<RawFd>,
}

impl DirtySocket {
    pub(crate) fn bind(path: &Path) -> Result<Self, BindError> {
        let (listener, file) = SocketFile::bind(path)?;
        tracing::info!("Dirty arbiter listening at: unix:{} ({})", path.display(), std::process::id());
        Ok(Self { listener, file, pid_file: None, is_configured: false })
    }

    /// Goes on with the listener of a master that is or was to be replaced: `None` if it does not listen at `path`, be it that
    /// another one is configured now, or that its file is gone.
    fn inherit(number: RawFd, path: &Path) -> Result<Option<Self>, ServiceError> {
        match take_inherited_listener(number, BACKLOG)? {
            InheritedListener::Unix(listener) => {
                listener.set_nonblocking(true).map_err(ServiceError::system("use the dirty socket"))?;
                let Some(file) = SocketFile::of(&listener).filter(|file| file.is_at(path)) else {
                    return Ok(None);
                };
                tracing::info!(
                    "Dirty arbiter listening at: unix:{} ({})",
                    path.display(),
                    std::process::id()
                );
                Ok(Some(Self { listener, file, pid_file: None, is_configured: true }))
            }
            InheritedListener::Tcp(_) => Err(ServiceError::System {
                action: "use the dirty socket",
                source: io::Error::other("it is a TCP port"),
            }),
        }
    }

    /// Where the next master finds it, if it is to: at a configured path both listen at one socket, otherwise each has its own.
    pub(crate) fn to_hand_over(&self) -> Option<BorrowedFd<'_>> {
        self.is_configured.then(|| self.listener.as_fd())
    }

    /// The elder master is gone, and with it what kept its pid file.
    pub(crate) fn promote(&mut self) {
        let Some(file) = &mut self.pid_file else { return };
        let Some(path) = elders_path(file.path()) else { return };
        if let Err(error) = file.rename(path) {
            tracing::warn!("the dirty arbiter's pid file stays where it is: {}", report::chain(&error));
        }
    }

    /// Whether another master has gone on with the socket: the elder or the younger one of the one that has died.
    fn is_taken_over(&self) -> bool {
        let Some(file) = self.pid_file.as_ref().filter(|_| self.is_configured) else { return false };
        let elders = elders_path(file.path()).unwrap_or_else(|| file.path().to_owned());
        // A master that is promoted moves its file from the one path to the other: it is looked for in this order.
        [younger_path(&elders), elders].iter().any(|path| file.is_other_and_kept(path))
    }

    /// Where it is in the file system.
    fn path(&self) -> &Path {
        self.file.path()
    }

    pub(super) fn file(&self) -> &SocketFile {
        &self.file
    }

    fn remove_file(&self) {
        self.file.remove();
    }

    /// Closes the socket, at which another master listens too if it `is_shared`, and removes its file with the last listener.
    /// The pid file is to be removed last of all.
    pub(crate) fn close(self, is_shared: bool) -> Option<PidFile> {
        let Self { listener, file, pid_file, is_configured } = self;
        drop(listener);
        if is_shared && is_configured {
            file.remove_if_deserted()
        } else {
            file.remove()
        }
        pid_file
    }

    /// Where the pid file is, if there is one.
    pub(super) fn pid_file(&self) -> Option<&Path> {
        self.pid_file.as_ref().map(PidFile::path)
    }

    /// Removes the pid file: last, since what is still there then is taken for the next service's.
    fn remove_pid_file(&self) {
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
pub(crate) fn prepare(
    config: &DirtyConfig,
    heritage: Heritage,
) -> Result<(DirtySocket, RunDir), ServiceError> {
    let pid_path = config.pid_file_path().map_err(ServiceError::system("name the pid file"))?;
    let pid_path = if heritage.has_elder { younger_path(&pid_path) } else { pid_path };
    let pid_file = predecessor::take_over(config, &pid_path)?;
    let prepared = prepare_at(config, heritage, pid_file.as_ref());
    match prepared {
        Ok((mut socket, run_dir)) => {
            socket.pid_file = pid_file;
            socket.is_configured = config.socket.is_some();
            Ok((socket, run_dir))
        }
        Err(error) => {
            pid_file.iter().for_each(PidFile::remove);
            Err(error)
        }
    }
}

fn prepare_at(
    config: &DirtyConfig,
    heritage: Heritage,
    pid_file: Option<&PidFile>,
) -> Result<(DirtySocket, RunDir), ServiceError> {
    let path = config.socket_path().map_err(ServiceError::system("name the dirty socket"))?;
    // First, since it fails if another service with our pid, from another container, shares the directory: what it has
    // in its run directory must not be taken for the remains of a crash.
    let inherited = heritage.listener.map(|number| DirtySocket::inherit(number, &path)).transpose()?;
    let socket = match inherited.flatten() {
        Some(socket) => socket,
        None => predecessor::bind(&path, pid_file)?,
    };
    let rest = || {
        config
            .processes
            .give_socket(socket.path())
            .map_err(ServiceError::system("give the dirty socket away"))?;
        environment::export_socket(socket.path()).map_err(|error| ServiceError::System {
            action: "set variables",
            source: io::Error::other(error),
        })?;
        predecessor::run_dir(config, pid_file).map_err(|error| ServiceError::System {
            action: "make a run directory",
            source: io::Error::other(error),
        })
    };
    match rest() {
        Ok(run_dir) => Ok((socket, run_dir)),
        Err(error) => {
            if !heritage.has_elder {
                socket.remove_file();
            }
            Err(error)
        }
    }
}

/// Notes in the run directory whose it is, by the path of the pid file.
pub(crate) fn sign_run_dir(run_dir: &RunDir, socket: &DirtySocket) {
    if let Some(file) = &socket.pid_file {
        predecessor::sign(run_dir, file);
    }
}

/// What the pid file is called while there is another master.
fn younger_path(path: &Path) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(YOUNGER);
    path.into()
}

/// What it is called when there is no other any more; `None` if it is called so.
fn elders_path(path: &Path) -> Option<PathBuf> {
    path.to_str()?.strip_suffix(YOUNGER).map(PathBuf::from)
}

const YOUNGER: &str = ".2";

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
        let mut setup = ChildSetup::new(config.processes.title(ROLE))
            .keep(&ready)
            .keep(&socket.listener)
            .hold_back(PARENT_SIGNALS)
            // What is sent to the whole group is the master's to pass on, in its order: HTTP workers may have calls to make.
            .own_group();
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
    let signals = match Signals::block(PARENT_SIGNALS) {
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
        if !socket.is_taken_over() {
            socket.remove_file();
        }
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
    set_title(&config.processes.title(ROLE));
    let signals = Signals::block(PARENT_SIGNALS).map_err(ServiceError::system("collect signals"))?;
    tracing::info!("Starting gunmetal {}", env!("CARGO_PKG_VERSION"));
    let (socket, run_dir) = prepare(config, Heritage::default())?;
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
