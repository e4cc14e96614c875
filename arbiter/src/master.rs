//! The master: binds, forks, supervises; one thread, one loop.
//!
//! ```text
//! bind ─▶ Booting ─────────────▶ Serving ─▶ StoppingHttp ─▶ StoppingDirty ─▶ end
//!         dirty arbiter starts   HTTP workers too         in reverse order
//! ```
//!
//! Its two crews are a pool of one, the dirty arbiter, and a pool of HTTP workers. The dirty arbiter is in service
//! before the first HTTP worker is forked, and gone after the last one: a worker can always call.

use std::io;
use std::time::{Duration, Instant};

use gunmetal_supervise::{
    Action, Event, Pid, Poller, PoolConfig, RestartPolicy, RunDir, Signal, Signals, StartupFailure, StopMode,
    adopt_orphans, reap_orphans, set_title,
};

use crate::crew::{Crew, Heartbeats, Watch, restarts};
use crate::dirty_arbiter::{self, DirtySocket};
use crate::http_process::{self, HttpProcess};
use crate::listener::HttpListener;
use crate::{DirtyConfig, MasterConfig, ServiceError, report};

/// Runs a service until it is told to stop. `http` is the body of an HTTP worker: it runs in a process of its own, which
/// exits with the code that it returns.
///
/// Must be called while the process has one thread.
///
/// # Errors
///
/// Why the service could not start, or had to end. Nothing of it is left then.
pub fn run_master(config: MasterConfig, http: &dyn Fn(HttpProcess) -> i32) -> Result<(), ServiceError> {
    set_title("gunmetal: master");
    let signals = Signals::block(SIGNALS).map_err(ServiceError::system("collect signals"))?;
    adopt_orphans().map_err(ServiceError::system("adopt orphans"))?;
    tracing::info!("Starting gunmetal {}", env!("CARGO_PKG_VERSION"));
    let listeners = bind_all(&config)?;
    let dirty = match config.dirty {
        Some(ref dirty) => match DirtySide::prepare(dirty) {
            Ok(side) => Some(side),
            Err(error) => {
                listeners.iter().for_each(HttpListener::remove_file);
                return Err(error);
            }
        },
        None => None,
    };
    let mut master = Master {
        config: &config,
        http_body: http,
        listeners,
        signals,
        http: None,
        dirty,
        phase: Phase::Booting,
        failure: None,
    };
    let result = master.run();
    master.close_listeners();
    if let Some(dirty) = master.dirty.take() {
        // None, if the last dirty arbiter ended in order.
        dirty_arbiter::end_orphans(dirty.run_dir.path());
        dirty.socket.remove_file();
        drop(dirty.run_dir);
        dirty.socket.remove_pid_file();
    }
    match (result, master.failure.take()) {
        (Err(error), _) | (Ok(()), Some(error)) => Err(error),
        (Ok(()), None) => {
            tracing::info!("Shutting down: Master");
            Ok(())
        }
    }
}

struct Master<'a> {
    config: &'a MasterConfig,
    http_body: &'a dyn Fn(HttpProcess) -> i32,
    listeners: Vec<HttpListener>,
    signals: Signals,
    /// `None` until the dirty arbiter is ready.
    http: Option<Crew>,
    dirty: Option<DirtySide>,
    phase: Phase,
    /// Why the service ends, if it does not do so because it was told to.
    failure: Option<ServiceError>,
}

/// What the master has of the dirty arbiter.
struct DirtySide {
    config: DirtyConfig,
    socket: DirtySocket,
    run_dir: RunDir,
    crew: Crew,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The dirty arbiter has not been ready yet.
    Booting,
    Serving,
    /// HTTP workers end first: they may be waiting for dirty calls.
    StoppingHttp,
    StoppingDirty,
    Done,
}

enum Token {
    Signal,
    Http(Watch),
    Dirty(Watch),
}

impl Master<'_> {
    fn run(&mut self) -> Result<(), ServiceError> {
        if self.dirty.is_none() {
            self.start_http();
        }
        loop {
            self.perform();
            if self.phase == Phase::Done {
                return Ok(());
            }
            for token in self.wait().map_err(ServiceError::system("wait for events"))? {
                match token {
                    Token::Signal => self.read_signals()?,
                    Token::Http(watch) => self.http.iter_mut().for_each(|crew| crew.news(watch)),
                    Token::Dirty(watch) => self.dirty.iter_mut().for_each(|dirty| dirty.crew.news(watch)),
                }
            }
            self.crews().for_each(Crew::tick);
            self.reap_strangers();
        }
    }

    fn wait(&self) -> io::Result<Vec<Token>> {
        let mut poller = Poller::new();
        poller.readable(&self.signals, Token::Signal);
        let mut deadline: Option<Instant> = None;
        let mut earlier = |other: Option<Instant>| deadline = deadline.into_iter().chain(other).min();
        if let Some(http) = &self.http {
            http.watch(&mut poller, Token::Http);
            earlier(http.next_deadline());
        }
        if let Some(dirty) = &self.dirty {
            dirty.crew.watch(&mut poller, Token::Dirty);
            earlier(dirty.crew.next_deadline());
        }
        poller.wait(deadline)
    }

    fn crews(&mut self) -> impl Iterator<Item = &mut Crew> {
        self.http.iter_mut().chain(self.dirty.iter_mut().map(|dirty| &mut dirty.crew))
    }

    fn read_signals(&mut self) -> Result<(), ServiceError> {
        while let Some(signal) = self.signals.read().map_err(ServiceError::system("read signals"))? {
            if signal != Signal::SIGCHLD {
                tracing::info!("Handling signal: {}", name(signal));
            }
            match signal {
                Signal::SIGTERM if matches!(self.phase, Phase::Booting | Phase::Serving) => {
                    self.stop(StopMode::Graceful);
                }
                Signal::SIGTERM | Signal::SIGINT | Signal::SIGQUIT => self.stop(StopMode::Now),
                Signal::SIGHUP => self.reload(),
                Signal::SIGUSR1 => self.reopen_logs(),
                Signal::SIGTTIN => self.resize(|count| count.saturating_add(1)),
                Signal::SIGTTOU => self.resize(|count| count.saturating_sub(1)),
                // Ours are told of by their pidfds, the others looked for after every wake-up.
                Signal::SIGCHLD => {}
                _ => tracing::info!("{} does nothing in this version", name(signal)),
            }
        }
        Ok(())
    }

    fn stop(&mut self, mode: StopMode) {
        self.close_listeners();
        match mode {
            // The dirty arbiter's turn comes when the HTTP workers are gone.
            StopMode::Graceful => {
                self.phase = Phase::StoppingHttp;
                match &mut self.http {
                    Some(http) => http.handle(Event::Stop(mode)),
                    None => self.stop_dirty(),
                }
            }
            StopMode::Now => {
                if self.phase != Phase::Done {
                    self.phase = if self.http.is_some() { Phase::StoppingHttp } else { Phase::StoppingDirty };
                }
                self.crews().for_each(|crew| crew.handle(Event::Stop(mode)));
                self.end_if_empty();
            }
        }
    }

    /// Who connects once the workers have closed theirs as well is refused at once, and not left waiting.
    fn close_listeners(&mut self) {
        self.listeners.drain(..).for_each(|listener| listener.remove_file());
    }

    fn stop_dirty(&mut self) {
        self.phase = Phase::StoppingDirty;
        if let Some(dirty) = &mut self.dirty {
            dirty.crew.handle(Event::Stop(StopMode::Graceful));
        }
        self.end_if_empty();
    }

    fn end_if_empty(&mut self) {
        if self.crews().all(|crew| crew.pool().is_stopped()) {
            self.phase = Phase::Done;
        }
    }

    /// The dirty arbiter reloads its workers itself and lives on, with its router and what that holds.
    fn reload(&mut self) {
        self.http.iter_mut().for_each(|http| http.handle(Event::Reload));
        self.dirty.iter().for_each(|dirty| dirty.crew.signal_all(Signal::SIGHUP));
    }

    /// Here first: who is forked from now on has the new file.
    fn reopen_logs(&mut self) {
        (self.config.reopen_logs)();
        self.crews().for_each(|crew| crew.signal_all(Signal::SIGUSR1));
    }

    fn resize(&mut self, to: impl FnOnce(u32) -> u32) {
        let Some(http) = self.http.as_mut().filter(|_| !self.config.bind.is_empty()) else { return };
        http.handle(Event::Resize(to(http.slot_count())));
    }

    /// The children of a killed dirty arbiter, and as pid 1 of a container everybody's orphans. Called once our own that
    /// ended have been reaped: a stranger may stand behind one of them.
    fn reap_strangers(&mut self) {
        let own: Vec<Pid> = self.crews().flat_map(|crew| crew.pids()).collect();
        for (pid, status) in reap_orphans(|pid| own.contains(&pid)) {
            tracing::debug!(pid = pid.as_raw(), %status, "adopted process ended");
        }
    }

    fn start_http(&mut self) {
        self.phase = Phase::Serving;
        let config = PoolConfig {
            size: self.config.workers,
            minimum: self.config.workers.min(1),
            boot_timeout: self.config.timeout.map(|timeout| timeout.max(LEAST_BOOT_TIMEOUT)),
            graceful_timeout: self.config.graceful_timeout,
            restarts: restarts(),
            ..PoolConfig::default()
        };
        let heartbeats = match self.config.timeout {
            Some(timeout) => Heartbeats::OnceBegun(timeout.max(LEAST_HEARTBEAT_TIMEOUT)),
            None => Heartbeats::Ignored,
        };
        self.http = Some(Crew::new(config, heartbeats));
    }

    /// Does what the pools ask for, until they ask for nothing more.
    fn perform(&mut self) {
        loop {
            if let Some(action) = self.dirty.as_mut().and_then(DirtySide::next_action) {
                self.perform_dirty(action);
            } else if let Some(action) =
                self.http.as_mut().and_then(|http| http.next_action(|_, signal| Some(signal)))
            {
                self.perform_http(action);
            } else {
                return;
            }
        }
    }

    fn perform_http(&mut self, action: Action) {
        let Some(http) = &mut self.http else { return };
        match action {
            Action::Spawn(worker) => {
                let age = http.next_age();
                let outcome = http_process::spawn(worker, age, &self.listeners, self.http_body);
                if let Some(pid) = http.spawned(worker, outcome) {
                    tracing::info!("Booting worker with pid: {pid}");
                }
            }
            // It accepts on its own: the SIGTERM that follows is the drain.
            Action::Drain(worker) => http.handle(Event::Drained(worker)),
            Action::Gone { worker, departure, status } => {
                report::gone("Worker", worker, http.forget(worker).as_ref(), &departure, status);
            }
            Action::GiveUp(failure) => self.give_up("HTTP worker failed to start: ", &failure),
            Action::PoolStopped => self.stop_dirty(),
            action => report::action("HTTP worker", &action),
        }
    }

    fn perform_dirty(&mut self, action: Action) {
        let Some(dirty) = &mut self.dirty else { return };
        match action {
            Action::Spawn(worker) => {
                let age = dirty.crew.next_age();
                let outcome = dirty_arbiter::spawn(age, &dirty.config, &dirty.socket, dirty.run_dir.path());
                if let Some(pid) = dirty.crew.spawned(worker, outcome) {
                    tracing::info!("Booting dirty arbiter with pid: {pid}");
                }
            }
            Action::Serve(_) if self.phase == Phase::Booting => self.start_http(),
            Action::Drain(worker) => dirty.crew.handle(Event::Drained(worker)),
            Action::Gone { worker, departure, status } => {
                let member = dirty.crew.forget(worker);
                report::gone("Dirty arbiter", worker, member.as_ref(), &departure, status);
            }
            Action::GiveUp(failure) => self.give_up("", &failure),
            Action::PoolStopped => self.end_if_empty(),
            action => report::action("dirty arbiter", &action),
        }
    }

    /// A process of the first generation failed to start: nothing else is worth waiting for.
    fn give_up(&mut self, prefix: &str, failure: &StartupFailure) {
        self.failure.get_or_insert(ServiceError::startup(prefix, failure));
        self.stop(StopMode::Now);
    }
}

impl DirtySide {
    fn prepare(config: &DirtyConfig) -> Result<Self, ServiceError> {
        let (socket, run_dir) = dirty_arbiter::prepare(config)?;
        let pool = PoolConfig {
            // Its workers have boot timeouts of their own.
            boot_timeout: None,
            graceful_timeout: config.graceful_timeout + MARGIN,
            kill_grace: MARGIN,
            // Nobody is served without one, so it is worth trying often.
            restarts: RestartPolicy { max_delay: LONGEST_DIRTY_DELAY, ..restarts() },
            ..PoolConfig::default()
        };
        Ok(Self { config: config.clone(), socket, run_dir, crew: Crew::new(pool, Heartbeats::Ignored) })
    }

    fn next_action(&mut self) -> Option<Action> {
        // To the dirty arbiter SIGINT is a polite wish; "at once" is SIGQUIT.
        self.crew
            .next_action(|_, signal| Some(if signal == Signal::SIGINT { Signal::SIGQUIT } else { signal }))
    }
}

fn bind_all(config: &MasterConfig) -> Result<Vec<HttpListener>, ServiceError> {
    let mut listeners: Vec<HttpListener> = Vec::new();
    for address in &config.bind {
        match HttpListener::bind(address) {
            Ok(listener) => {
                tracing::info!("Listening at: {listener} ({})", std::process::id());
                listeners.push(listener);
            }
            Err(error) => {
                listeners.iter().for_each(HttpListener::remove_file);
                return Err(error.into());
            }
        }
    }
    Ok(listeners)
}

/// A signal as operators say it: `hup`, as in gunicorn's log.
fn name(signal: Signal) -> String {
    signal.as_str().trim_start_matches("SIG").to_lowercase()
}

/// What the master answers to; everything else keeps its default.
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

/// The dirty arbiter keeps its own deadlines: this long after them it is killed.
const MARGIN: Duration = Duration::from_secs(5);
const LONGEST_DIRTY_DELAY: Duration = Duration::from_secs(1);
/// A start takes longer than a heartbeat, so a short `timeout` is not for it.
const LEAST_BOOT_TIMEOUT: Duration = Duration::from_secs(30);
/// Shorter silences are the machine's, not the worker's.
const LEAST_HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(2);
