//! A dirty worker process, at the moment of its birth.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::Duration;

use gunmetal_dirty::AppFactory;
use gunmetal_dirty::worker::{Heartbeat, InitHook, ReadyWriter, StopSource, WorkerConfig, WorkerExit, run};
use gunmetal_supervise::{
    APP_LOAD_FAILED, STARTUP_FAILED, Signal, WorkerId, bind_unix, keep_large_buffers, readiness_pipe,
    spawn_child,
};

use super::worker_files::{WorkerFiles, WorkerRecord};
use super::worker_lifeline::Service;
use crate::crew::{Member, Pulse};
use crate::{DirtyConfig, DirtyWorker, hooks, report};

/// Forks a worker with the apps of its slot. Its socket listens before it exists; its files are to be removed after it is
/// gone. With a `service` it may outlive its arbiter.
pub(super) fn spawn(
    worker: WorkerId,
    age: u64,
    config: &DirtyConfig,
    files: &WorkerFiles,
    service: Option<Service>,
) -> io::Result<Member> {
    let listener = bind_unix(&files.socket()).map_err(io::Error::other)?;
    // The router connects to it.
    let given = config.processes.give_socket(&files.socket());
    let spawned = given.and_then(|()| spawn_on(worker, age, config, listener, files, service));
    if spawned.is_err() {
        files.remove();
    }
    spawned
}

fn spawn_on(
    worker: WorkerId,
    age: u64,
    config: &DirtyConfig,
    listener: UnixListener,
    files: &WorkerFiles,
    service: Option<Service>,
) -> io::Result<Member> {
    let (reader, writer) = readiness_pipe()?;
    // Both processes have a copy of these values; the fork decides who uses which.
    let (mut writer, mut pulse, mut listener) =
        (Some(writer), Some(Pulse::new(&config.processes)?), Some(listener));
    let arbiter_pid = std::process::id();
    let child = spawn_child(|newborn| {
        let (Some(readiness), Some(pulse), Some(listener)) = (writer.take(), pulse.take(), listener.take())
        else {
            return STARTUP_FAILED;
        };
        let heartbeat = pulse.heartbeat;
        // Its arbiter's death is its own, until it has something that is worth being taken over.
        let setup = config
            .processes
            .worker_setup(&format!("dirty worker {worker}"))
            .keep(&readiness)
            .keep(&heartbeat)
            .keep(&listener)
            .hold_back(HEARD)
            // Ctrl-C is for its arbiter, which stops it once the calls have finished.
            .own_group()
            .death_signal(Signal::SIGKILL);
        let outcome = newborn
            .become_child(setup)
            .map_err(io::Error::other)
            .and_then(|parent| Ok((parent, File::from(readiness.as_fd().try_clone_to_owned()?))));
        let (parent, pipe) = match outcome {
            Ok(both) => both,
            Err(error) => {
                // If there is no arbiter any more, nobody needs to know.
                let _ = readiness.failed(&report::chain(&error));
                return STARTUP_FAILED;
            }
        };
        if let Err(reason) = config.processes.check_reach(&files.socket()) {
            let _ = readiness.failed(&reason);
            return STARTUP_FAILED;
        }
        let this = DirtyWorker::new(worker, std::process::id(), arbiter_pid, age, config);
        if let Err(reason) = hooks::in_child("dirty_post_fork", || config.hooks.dirty_post_fork(&this)) {
            let _ = readiness.failed(&reason);
            return STARTUP_FAILED;
        }
        if let Some(Err(reason)) = config.load.as_ref().map(|load| load()) {
            let _ = readiness.failed(&format!("the application could not be loaded: {reason}"));
            return APP_LOAD_FAILED;
        }
        drop(readiness);
        keep_large_buffers();
        let program = Arc::clone(&config.hooks);
        let apps: Vec<(String, AppFactory)> = config
            .allocation
            .apps_of(worker.slot)
            .filter_map(|path| Some((path.to_owned(), config.registry.get(path)?)))
            .collect();
        let lifeline = service.and_then(|service| {
            let beat = config.timeout.map(|_| heartbeat.as_fd().as_raw_fd());
            let paths = apps.iter().map(|(path, _)| path.clone()).collect();
            let record = WorkerRecord::of_this_process(age, beat, paths);
            // The record first: who can outlive its arbiter can be found by the next.
            let lifeline =
                record.and_then(|record| files.write(&record)).and_then(|()| service.lifeline(parent));
            lifeline
                .inspect_err(|error| tracing::warn!(%worker, %error, "dirty worker dies with its arbiter"))
                .ok()
        });
        let interval = config.timeout.map_or(LONGEST_INTERVAL, |timeout| (timeout / 2).min(LONGEST_INTERVAL));
        let beat = move || {
            // A worker that cannot touch its heartbeat is replaced for it.
            let _ = heartbeat.touch();
        };
        let exit = run(WorkerConfig {
            listener,
            slot: worker.slot,
            generation: worker.generation,
            threads: usize::try_from(config.threads).unwrap_or(usize::MAX),
            apps,
            init_hook: Some(InitHook(Box::new(move || program.dirty_worker_init(&this)))),
            heartbeat: config.timeout.map(|_| Heartbeat { interval, beat: Box::new(beat) }),
            ready: Some(ReadyWriter(Box::new(pipe))),
            stop: StopSource::Signals,
            lifeline,
            reopen_logs: config.reopen_logs,
        });
        match exit {
            Ok(WorkerExit::Immediate) => 0,
            Ok(exit) => exit.code(),
            Err(error) => {
                tracing::error!(%worker, error = report::chain(&error), "dirty worker failed");
                STARTUP_FAILED
            }
        }
    })
    .map_err(io::Error::other)?;
    drop((writer, listener));
    Ok(Member::new(child, age, Some(reader), pulse))
}

/// What the worker's main thread reads once it runs. Before that none of them may end the process, nor ever a thread that
/// the first hook starts.
const HEARD: [Signal; 6] =
    [Signal::SIGTERM, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGHUP, Signal::SIGUSR1, Signal::SIGUSR2];

/// Often enough for any timeout that is worth having.
const LONGEST_INTERVAL: Duration = Duration::from_secs(150);
