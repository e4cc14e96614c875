//! Upgrade: a new master, from what is now at the program's path, beside this one.
//!
//! ```text
//! old master   USR2 ─▶ fork ─▶ exec                                   TERM: drains, ends
//!                              │ inherits the listeners                     │
//! new master                   Master.2, <pidfile>.2 ─▶ in service ─▶ Master, <pidfile>
//! ```
//!
//! Both serve until one of the two is told to end. Whoever ends first leaves the sockets to the other.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use gunmetal_supervise::{
    Child, ChildSetup, ExitStatus, OnExec, Pid, Poller, Readiness, ReadyReader, readiness_pipe, set_on_exec,
    spawn_child,
};

use super::systemd::{WATCHDOG_PID, WATCHDOG_USEC};
use super::{Master, StartContext, boot};
use crate::http_listener::HttpListener;
use crate::http_listeners::Source;
use crate::{handed_over as variable, hooks, report};

/// A new master that has not replaced this one yet.
pub(super) struct Upgrade {
    child: Child,
    /// `None` once it has spoken.
    ready: Option<ReadyReader>,
}

impl Upgrade {
    pub(super) fn pid(&self) -> Pid {
        self.child.pid()
    }

    pub(super) fn watch<'fd, T>(
        &'fd self,
        poller: &mut Poller<'fd, T>,
        said: impl Fn() -> T,
        gone: impl Fn() -> T,
    ) {
        // Before the exit: last words are to be read before the end is told.
        if let Some(ready) = &self.ready {
            poller.readable(ready, said());
        }
        poller.readable(&self.child, gone());
    }
}

impl Master<'_> {
    pub(super) fn begin_upgrade(&mut self) {
        if self.upgrade.is_some() {
            tracing::warn!("USR2 signal ignored. Child exists.");
            return;
        }
        if self.elder.is_some() {
            tracing::warn!("USR2 signal ignored. Parent exists.");
            return;
        }
        match self.start_successor() {
            Ok(upgrade) => {
                let pid = upgrade.pid();
                tracing::info!("Booting a new master with pid: {pid}");
                self.systemd.status(&format!("Upgrading: a new master starts (pid {pid})"));
                self.upgrade = Some(upgrade);
            }
            Err(error) => {
                let reason = report::chain(&error);
                tracing::error!("no new master, this one serves on: {reason}");
                self.systemd.status(&format!("Upgrade failed: {reason}"));
            }
        }
    }

    fn start_successor(&self) -> io::Result<Upgrade> {
        let (reader, writer) = readiness_pipe()?;
        let shared = self.shared_listeners();
        let listeners: Vec<BorrowedFd<'_>> = shared.iter().filter_map(|one| one.descriptor()).collect();
        let dirty = self.dirty.as_ref().and_then(|dirty| dirty.socket.to_hand_over());
        let environment = self.environment(&shared, dirty, writer.as_fd().as_raw_fd());
        let (process, program) = (self.process(), &self.current.config.hooks);
        let leave = self.current.config.leave;
        let child = spawn_child(|newborn| {
            // While it still has the descriptor for that.
            leave();
            // No signal at the elder's death: it is what this process waits for.
            let mut setup = ChildSetup::new("gunmetal: master.2").death_signal(None).keep(&writer);
            setup = listeners.iter().chain(&dirty).fold(setup, |setup, listener| setup.keep(listener));
            let kept = newborn.become_child(setup).map_err(io::Error::other).and_then(|_| {
                let inherited = listeners.iter().chain(&dirty).copied().chain([writer.as_fd()]);
                inherited.into_iter().try_for_each(|descriptor| set_on_exec(&descriptor, OnExec::Keep))
            });
            let outcome = kept
                .map_err(|error| report::chain(&error))
                .and_then(|()| hooks::in_child("pre_exec", || program.pre_exec(&process)));
            let reason = match outcome {
                Ok(()) => exec(self.start, &environment),
                Err(reason) => reason,
            };
            // The elder logs it.
            let _ = writer.failed(&reason);
            CANNOT_EXECUTE
        })
        .map_err(io::Error::other)?;
        Ok(Upgrade { child, ready: Some(reader) })
    }

    /// All that this master listens to: the configuration of its successor may be the one or the other of a reload.
    fn shared_listeners(&self) -> Vec<&HttpListener> {
        let current = &self.current.listeners;
        let next = self.next.iter().flat_map(|next| next.listeners.without(current));
        current.iter().chain(next).filter(|listener| listener.descriptor().is_some()).collect()
    }

    /// What this program was started with, and what its successor is handed.
    fn environment(
        &self,
        listeners: &[&HttpListener],
        dirty: Option<BorrowedFd<'_>>,
        ready: RawFd,
    ) -> Vec<(OsString, OsString)> {
        let mut environment: Vec<(OsString, OsString)> = self
            .start
            .env
            .iter()
            .filter(|(name, _)| !variable::VARIABLES.iter().any(|ours| name == ours))
            // A watchdog that does not mean this process does not mean its successor.
            .filter(|(name, _)| {
                name != WATCHDOG_PID && (name != WATCHDOG_USEC || self.systemd.has_watchdog())
            })
            .cloned()
            .collect();
        let mut set = |name: &str, value: String| environment.push((name.into(), value.into()));
        set(variable::GUNICORN_PID, std::process::id().to_string());
        set(variable::READY, ready.to_string());
        let descriptors = listeners.iter().filter_map(|listener| listener.descriptor());
        let numbers: Vec<String> = descriptors.map(|descriptor| descriptor.as_raw_fd().to_string()).collect();
        match self.current.listeners.source() {
            // They have kept the numbers that systemd gave them. Others are named by `bind`.
            Source::Activated => {
                let count = listeners.iter().filter(|one| one.address().is_none()).count();
                set(variable::LISTEN_FDS, count.to_string());
            }
            Source::Configured | Source::Handed if !numbers.is_empty() => {
                set(variable::GUNICORN_FD, numbers.join(","));
                let addresses = listeners.iter().filter_map(|listener| Some(listener.address()?.to_string()));
                set(variable::BOUND, addresses.collect::<Vec<_>>().join(variable::BETWEEN_ADDRESSES));
            }
            Source::Configured | Source::Handed => {}
        }
        if let Some(dirty) = dirty {
            set(variable::DIRTY, dirty.as_raw_fd().to_string());
        }
        environment
    }

    /// The new master is in service, or says why it never will be.
    pub(super) fn upgrade_said(&mut self) {
        let Some(upgrade) = &mut self.upgrade else { return };
        let Some(ready) = &mut upgrade.ready else { return };
        let readiness = match ready.read() {
            Ok(None) => return,
            Ok(Some(readiness)) => readiness,
            Err(error) => Readiness::Failed(error.to_string()),
        };
        upgrade.ready = None;
        let pid = upgrade.pid();
        match readiness {
            Readiness::Ready => {
                tracing::info!("New master is in service (pid: {pid})");
                self.systemd.hand_over(pid, "Upgraded: the new master serves beside the old one");
            }
            Readiness::Failed(reason) => {
                tracing::error!("new master failed to start (pid: {pid}): {reason}");
                self.systemd.status(&format!("Upgrade failed: {reason}"));
            }
            // Another program, or one that has ended.
            Readiness::Died => {}
        }
    }

    /// The new master has ended: this one goes on alone.
    pub(super) fn upgrade_gone(&mut self) {
        let Some(mut upgrade) = self.upgrade.take() else { return };
        let status = match upgrade.child.try_wait() {
            Ok(None) => {
                self.upgrade = Some(upgrade);
                return;
            }
            Ok(Some(status)) => status,
            Err(_) => ExitStatus::Unknown,
        };
        match upgrade.ready.take().map(ReadyReader::last_words) {
            Some(Readiness::Failed(reason)) => {
                tracing::error!("new master failed to start (pid: {}): {reason}", upgrade.pid());
                self.systemd.status(&format!("Upgrade failed: {reason}"));
            }
            Some(Readiness::Ready | Readiness::Died) => {
                self.systemd.status(&format!("Upgrade failed: the new master {status}"));
            }
            // It has spoken before.
            None => {}
        }
        if let Some(path) = &self.current.config.pidfile {
            boot::remove_younger_pid_file(path);
        }
        tracing::warn!("New master (pid: {}) {status}: this one serves on", upgrade.pid());
        if self.systemd.is_silent() {
            self.speak_for_the_service();
        }
    }

    /// The elder master is gone: this one is the master now.
    pub(super) fn promote(&mut self) {
        self.elder = None;
        tracing::info!("Master has been promoted.");
        for generation in self.generations() {
            let (Some(file), Some(path)) = (&mut generation.pid_file, &generation.config.pidfile) else {
                continue;
            };
            let renamed = std::path::absolute(path).map_err(|error| error.to_string());
            let renamed = renamed.and_then(|path| file.rename(path).map_err(|error| report::chain(&error)));
            if let Err(reason) = renamed {
                let path = file.path().display();
                tracing::error!("the pid file stays at {path}: {reason}");
            }
        }
        if let Some(dirty) = &mut self.dirty {
            dirty.promote();
        }
        self.show_title();
        self.speak_for_the_service();
    }
}

/// Becomes what is now at the program's path. Returns why not.
fn exec(start: &StartContext, environment: &[(OsString, OsString)]) -> String {
    let Some((program, args)) = start.args.split_first() else { return "no program to execute".to_owned() };
    let own_pid = std::process::id().to_string();
    let mut command = Command::new(program);
    command.args(args).env_clear().envs(environment.iter().cloned()).current_dir(&start.directory);
    // What means the process that reads it means the new one.
    for (told, who) in [(variable::LISTEN_FDS, variable::LISTEN_PID), (WATCHDOG_USEC, WATCHDOG_PID)] {
        if environment.iter().any(|(name, _)| name == told) {
            command.env(who, &own_pid);
        }
    }
    let error = command.exec();
    format!("cannot execute {}: {error}", program.display())
}

/// What a shell says of a command that it cannot execute.
const CANNOT_EXECUTE: i32 = 126;
