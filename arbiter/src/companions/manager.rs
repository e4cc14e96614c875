//! The companion manager: forks, reaps, and does what operators ask for; touches no request.
//!
//! ```text
//!            control socket free                 TERM, or the master is gone
//!   Waiting ─────────────────────▶ Managing ──────────────────────────────────▶ Stopping ─▶ end
//! ```
//!
//! Who listens at the control socket is *the* manager of these companions. A second one, such as that of a new master beside
//! the old one, waits until the first has ended its own: so no companion ever runs twice.

mod answers;

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

use gunmetal_supervise::{
    BindError as UnixBindError, Child, Companion, CompanionAction, CompanionEnd, CompanionEvent,
    CompanionSpec, CompanionState, Companions, ExitStatus, Heartbeat, LaunchId, Launched, Ledger, Parent,
    Pid, Poller, Readiness, ReadyReader, ReadyWriter, RestartPolicy, Signal, Signals, StopMode, resident_len,
};

use super::control::{Control, ControlWatch};
use super::launch::launch;
use super::{CompanionConfig, CompanionsConfig, log};
use crate::listener::BindError;
use crate::{ServiceError, report};

/// The manager's loop and everything it owns.
pub(super) struct Manager<'a> {
    config: &'a CompanionsConfig,
    /// The latest of each companion.
    companions: BTreeMap<String, CompanionConfig>,
    machine: Companions,
    processes: BTreeMap<LaunchId, Process>,
    ledger: &'a Ledger,
    signals: Signals,
    /// `None` once it is gone.
    master: Option<Parent>,
    ready: Option<ReadyWriter>,
    heartbeat: Heartbeat,
    next_beat: Instant,
    /// `None` as long as another manager listens there.
    control: Option<Control>,
    /// When to look at the memory of companions again.
    next_look: Instant,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Another manager has the companions: try again at this moment.
    Waiting {
        again: Instant,
    },
    Managing,
    /// What has not ended by then never will.
    Stopping {
        until: Instant,
    },
}

/// A process of a companion.
struct Process {
    child: Child,
    /// Where it says why it could not begin; `None` of one that another manager has started.
    words: Option<ReadyReader>,
    /// Its place in the ledger.
    slot: usize,
}

#[derive(Clone, Copy)]
enum Token {
    Signal,
    Master,
    Control(ControlWatch),
    Exit(LaunchId),
}

impl<'a> Manager<'a> {
    pub(super) fn new(
        config: &'a CompanionsConfig,
        companions: Vec<CompanionConfig>,
        ledger: &'a Ledger,
        signals: Signals,
        master: Parent,
        ready: ReadyWriter,
        heartbeat: Heartbeat,
    ) -> Self {
        let now = Instant::now();
        Self {
            config,
            machine: Companions::new(companions.iter().map(spec)),
            companions: by_name(companions),
            processes: BTreeMap::new(),
            ledger,
            signals,
            master: Some(master),
            ready: Some(ready),
            heartbeat,
            next_beat: now,
            control: None,
            next_look: now + LOOK_INTERVAL,
            phase: Phase::Waiting { again: now },
        }
    }

    /// Runs until everything has ended. The error is one of a manager that never got going.
    pub(super) fn run(mut self) -> Result<(), String> {
        self.adopt();
        if let Err(reason) = self.take_control() {
            let told = self.ready.take().map(|ready| ready.failed(&reason));
            // The master logs it.
            return if matches!(told, Some(Ok(()))) { Ok(()) } else { Err(reason) };
        }
        if let Some(Err(error)) = self.ready.take().map(ReadyWriter::ready) {
            tracing::debug!(%error, "the master does not listen");
        }
        let result = self.run_loop();
        if let Some(control) = self.control.take() {
            control.close();
        }
        result.map_err(|error| report::chain(&error))
    }

    fn run_loop(&mut self) -> Result<(), ServiceError> {
        loop {
            self.perform();
            if self.has_ended() {
                return Ok(());
            }
            for token in self.wait().map_err(ServiceError::system("wait for events"))? {
                match token {
                    Token::Signal => self.read_signals()?,
                    Token::Master => self.master_gone(),
                    Token::Control(watch) => self.serve(watch),
                    Token::Exit(launch) => self.reap(launch),
                }
            }
            self.control.iter_mut().for_each(Control::tick);
            self.machine.handle(CompanionEvent::Tick, Instant::now());
            self.look_at_memory();
            self.beat();
            self.try_again();
        }
    }

    fn wait(&self) -> io::Result<Vec<Token>> {
        let mut poller = Poller::new();
        poller.readable(&self.signals, Token::Signal);
        if let Some(master) = &self.master {
            poller.readable(master, Token::Master);
        }
        if let Some(control) = &self.control {
            control.watch(&mut poller, Token::Control);
        }
        for (launch, process) in &self.processes {
            poller.readable(&process.child, Token::Exit(*launch));
        }
        let has_limits = self.companions.values().any(|config| config.max_rss.is_some());
        let deadlines = [
            self.machine.next_deadline(),
            self.control.as_ref().and_then(Control::next_deadline),
            has_limits.then_some(self.next_look),
            Some(self.next_beat),
            self.phase.deadline(),
        ];
        poller.wait(deadlines.into_iter().flatten().min())
    }

    /// Takes over what a manager before this one has left, which has been told to end by its death.
    fn adopt(&mut self) {
        let Some(master) = self.master.as_ref().map(Parent::pid) else { return };
        let leftovers = self.ledger.leftovers(master).unwrap_or_else(|error| {
            tracing::error!(%error, "what another companion manager has left is not known");
            Vec::new()
        });
        for (slot, name, child) in leftovers {
            let pid = child.pid();
            let Some(launch) = self.machine.adopt(&name, || stray(&name), Instant::now()) else {
                tracing::error!("Companion {name} has another process, which is killed (pid: {pid})");
                let _ = child.signal(Signal::SIGKILL);
                continue;
            };
            tracing::warn!(
                "Companion {name}: waiting for the end of what another manager has left (pid: {pid})"
            );
            self.processes.insert(launch, Process { child, words: None, slot });
        }
    }

    /// Listens at the control socket and starts the companions, unless another manager does so.
    fn take_control(&mut self) -> Result<(), String> {
        let path = &self.config.control_socket;
        match Control::bind(path, self.config.control_socket_mode) {
            Ok(control) => {
                self.control = Some(control);
                self.phase = Phase::Managing;
                self.machine.begin(Instant::now());
                tracing::info!("Companions are controlled at: unix:{}", path.display());
                Ok(())
            }
            Err(BindError::Unix(UnixBindError::InUse { .. })) => {
                tracing::warn!(
                    "Another companion manager listens at {}: companions are started once it has ended",
                    path.display()
                );
                self.phase = Phase::Waiting { again: Instant::now() + TRY_INTERVAL };
                Ok(())
            }
            Err(error) => Err(report::chain(&error)),
        }
    }

    fn try_again(&mut self) {
        let Phase::Waiting { again } = self.phase else { return };
        let now = Instant::now();
        if now < again {
            return;
        }
        let path = &self.config.control_socket;
        match Control::bind(path, self.config.control_socket_mode) {
            Ok(control) => {
                self.control = Some(control);
                self.phase = Phase::Managing;
                tracing::info!("The other companion manager has ended: starting the companions");
                self.machine.begin(now);
            }
            Err(_) => self.phase = Phase::Waiting { again: now + TRY_INTERVAL },
        }
    }

    fn has_ended(&mut self) -> bool {
        let Phase::Stopping { until } = self.phase else { return false };
        let is_late = Instant::now() >= until;
        if is_late && !self.machine.is_stopped() {
            let names: Vec<&str> =
                self.machine.iter().filter(|one| one.launch().is_some()).map(Companion::name).collect();
            tracing::error!("Companions that do not end are left behind: {}", names.join(", "));
        }
        is_late || self.machine.is_stopped()
    }

    fn read_signals(&mut self) -> Result<(), ServiceError> {
        while let Some(signal) = self.signals.read().map_err(ServiceError::system("read signals"))? {
            match signal {
                Signal::SIGTERM => self.stop(StopMode::Graceful),
                Signal::SIGINT | Signal::SIGQUIT => self.stop(StopMode::Now),
                Signal::SIGHUP => {
                    (self.config.refresh)();
                    if let Err(reason) = self.reread() {
                        tracing::error!("Companions stay as they are: {reason}");
                    }
                }
                Signal::SIGUSR1 => (self.config.reopen_logs)(),
                // The pidfds tell more.
                Signal::SIGCHLD => {}
                _ => tracing::info!("{} does nothing in the companion manager", signal.as_str()),
            }
        }
        Ok(())
    }

    fn master_gone(&mut self) {
        tracing::warn!("the master is gone: the companion manager stops");
        self.master = None;
        self.stop(StopMode::Graceful);
    }

    fn stop(&mut self, mode: StopMode) {
        let limit = self.config.manager_stop_timeout;
        let now = Instant::now();
        self.machine.handle(CompanionEvent::Stop { mode, limit }, now);
        // Each has its own deadline, and SIGKILL after it.
        let last = self.machine.iter().filter_map(Companion::kill_at).max().unwrap_or(now);
        self.phase = Phase::Stopping { until: last + self.config.shutdown_buffer };
    }

    /// Does what the machine asks for, until it asks for nothing more.
    fn perform(&mut self) {
        while let Some(action) = self.machine.poll_action() {
            match action {
                CompanionAction::Spawn { name, launch } => self.spawn(&name, launch),
                CompanionAction::Signal { name, launch, signal, timeout } => {
                    let Some(process) = self.processes.get(&launch) else { continue };
                    log::signal(&name, process.child.pid(), signal, timeout);
                    if let Err(error) = process.child.signal(signal) {
                        tracing::error!(companion = name, %error, "signal refused");
                    }
                }
                action => log::action(&action),
            }
        }
    }

    fn spawn(&mut self, name: &str, id: LaunchId) {
        let taken: Vec<usize> = self.processes.values().map(|process| process.slot).collect();
        let slot = (0..).find(|slot| !taken.contains(slot)).unwrap_or(taken.len());
        let config = self.companions.get(name).ok_or_else(|| io::Error::other("it is not configured"));
        match config.and_then(|config| launch(config, &self.config.processes, self.ledger, slot)) {
            Ok(Launched { child, words }) => {
                tracing::info!("Booting companion {name} with pid: {}", child.pid());
                self.processes.insert(id, Process { child, words: Some(words), slot });
            }
            Err(error) => {
                let reason = report::chain(&error);
                let end = CompanionEnd::NotForked(reason);
                self.machine.handle(CompanionEvent::Ended(id, end), Instant::now());
            }
        }
    }

    fn reap(&mut self, launch: LaunchId) {
        let Some(process) = self.processes.get_mut(&launch) else { return };
        let status = match process.child.try_wait() {
            Ok(None) => return,
            Ok(Some(status)) => status,
            Err(error) => {
                // Somebody else reaped it: it is gone all the same, and nobody knows how.
                tracing::error!(%error, "exit status lost");
                ExitStatus::Unknown
            }
        };
        let Some(Process { words, slot, .. }) = self.processes.remove(&launch) else { return };
        if let Err(error) = self.ledger.clear(slot) {
            tracing::error!(%error, "the ledger of companions cannot be written");
        }
        let end = match words.map(ReadyReader::last_words) {
            Some(Readiness::Failed(reason)) => CompanionEnd::NeverBegan(status, reason),
            Some(Readiness::Ready | Readiness::Died) | None => CompanionEnd::Exit(status),
        };
        self.machine.handle(CompanionEvent::Ended(launch, end), Instant::now());
    }

    fn pid_of(&self, launch: Option<LaunchId>) -> Option<Pid> {
        Some(self.processes.get(&launch?)?.child.pid())
    }

    /// Has companions that run and have grown beyond their limit restarted, once a second.
    fn look_at_memory(&mut self) {
        let now = Instant::now();
        if now < self.next_look {
            return;
        }
        self.next_look = now + LOOK_INTERVAL;
        let mut grown = Vec::new();
        for companion in self.machine.iter() {
            let (Some(launch), Some(pid)) = (companion.launch(), self.pid_of(companion.launch())) else {
                continue;
            };
            let Some(limit) = self.companions.get(companion.name()).and_then(|config| config.max_rss) else {
                continue;
            };
            if let Ok(len) = resident_len(pid)
                && len > limit
                && companion.state() == CompanionState::Running
            {
                grown.push((launch, format!("it takes {} MiB, max_rss is {} MiB", len >> 20, limit >> 20)));
            }
        }
        for (launch, reason) in grown {
            self.machine.handle(CompanionEvent::Outgrown(launch, reason), now);
        }
    }

    fn beat(&mut self) {
        let now = Instant::now();
        if now < self.next_beat {
            return;
        }
        self.next_beat = now + BEAT_INTERVAL;
        if let Err(error) = self.heartbeat.touch() {
            // Repeated, this ends in the manager's replacement, which may have better luck.
            tracing::warn!(%error, "heartbeat failed");
        }
    }
}

impl Phase {
    fn deadline(self) -> Option<Instant> {
        match self {
            Self::Waiting { again: at } | Self::Stopping { until: at } => Some(at),
            Self::Managing => None,
        }
    }
}

fn by_name(companions: Vec<CompanionConfig>) -> BTreeMap<String, CompanionConfig> {
    companions.into_iter().map(|config| (config.name.clone(), config)).collect()
}

/// What the machine has to know of a companion.
fn spec(config: &CompanionConfig) -> CompanionSpec {
    CompanionSpec {
        name: config.name.clone(),
        fingerprint: config.fingerprint(),
        stop_signal: config.stop_signal,
        stop_timeout: config.stop_timeout,
        reload_timeout: config.reload_timeout,
        startsecs: config.startsecs,
        restarts: RestartPolicy {
            at_once: 0,
            base_delay: config.restart_delay,
            max_delay: config.max_restart_delay.unwrap_or(config.restart_delay),
            period: QUIET_TIME,
            intensity: config.restart_limit,
        },
        depends_on: config.depends_on.clone(),
        autostart: config.autostart,
    }
}

/// What a process goes by that another manager has started, of a companion that is configured no more: it is only to end.
fn stray(name: &str) -> CompanionSpec {
    CompanionSpec {
        name: name.to_owned(),
        fingerprint: 0,
        stop_signal: Signal::SIGTERM,
        stop_timeout: STRAY_TIMEOUT,
        reload_timeout: STRAY_TIMEOUT,
        startsecs: Duration::ZERO,
        restarts: RestartPolicy::default(),
        depends_on: Vec::new(),
        autostart: false,
    }
}

/// A companion that lasts so long has not failed again and again.
const QUIET_TIME: Duration = Duration::from_secs(60);
/// The default of `companion_stop_timeout`.
const STRAY_TIMEOUT: Duration = Duration::from_secs(60);
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
const TRY_INTERVAL: Duration = Duration::from_millis(200);
/// The master waits for three beats.
const BEAT_INTERVAL: Duration = Duration::from_secs(10);
