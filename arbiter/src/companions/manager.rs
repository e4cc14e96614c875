//! The companion manager: forks, reaps, and does what operators ask for; touches no request.
//!
//! ```text
//!            the ledger is free                  TERM, or the master is gone
//!   Waiting ─────────────────────▶ Managing ──────────────────────────────────▶ Stopping ─▶ end
//! ```
//!
//! Who keeps the ledger beside the control socket is *the* manager of these companions. A second one, such as that of a new master
//! beside the old one, waits until the first has ended its own: so no companion ever runs twice.

mod answers;
mod processes;
mod specs;

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

use gunmetal_supervise::{
    BindError as UnixBindError, Companion, CompanionAction, CompanionEvent, Companions, Heartbeat, LaunchId,
    LedgerError, Parent, Poller, ReadyWriter, Signal, Signals, StopMode,
};

use super::book::Book;
use super::control::{Control, ControlWatch};
use super::{CompanionConfig, CompanionsConfig, log};
use crate::listener::BindError;
use crate::{ServiceError, report};

use processes::{LOOK_INTERVAL, Process};
use specs::spec;

/// The manager's loop and everything it owns.
pub(super) struct Manager<'a> {
    config: &'a CompanionsConfig,
    /// The latest of each companion.
    companions: BTreeMap<String, CompanionConfig>,
    machine: Companions,
    processes: BTreeMap<LaunchId, Process>,
    task: Task,
    /// For whoever comes after this manager. `None` as long as another one has the companions.
    book: Option<Book>,
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

/// What a manager is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// To have the companions run.
    Manage,
    /// To end what one has left that was killed while it stopped.
    EndLeftovers,
}

/// What a manager has from the master.
pub(super) struct Birth {
    pub(super) task: Task,
    pub(super) signals: Signals,
    pub(super) master: Parent,
    pub(super) ready: ReadyWriter,
    pub(super) heartbeat: Heartbeat,
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

#[derive(Clone, Copy)]
enum Token {
    Signal,
    Master,
    Control(ControlWatch),
    Exit(LaunchId),
}

impl<'a> Manager<'a> {
    pub(super) fn new(config: &'a CompanionsConfig, companions: Vec<CompanionConfig>, birth: Birth) -> Self {
        let Birth { task, signals, master, ready, heartbeat } = birth;
        let now = Instant::now();
        Self {
            config,
            machine: Companions::new(companions.iter().map(spec)),
            companions: by_name(companions),
            processes: BTreeMap::new(),
            task,
            book: None,
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
        if let Err(reason) = self.take_control() {
            self.control.take().into_iter().for_each(Control::close);
            let told = self.ready.take().map(|ready| ready.failed(&reason));
            // The master logs it.
            return if matches!(told, Some(Ok(()))) { Ok(()) } else { Err(reason) };
        }
        match (self.task, self.phase) {
            // They are that other one's to end.
            (Task::EndLeftovers, Phase::Waiting { .. }) => return Ok(()),
            (Task::EndLeftovers, _) => self.stop(StopMode::Graceful),
            (Task::Manage, Phase::Waiting { .. }) => {
                let path = self.config.control_socket.display();
                tracing::warn!(
                    "Another companion manager listens at {path}: companions are started once it has ended"
                );
            }
            (Task::Manage, _) => {}
        }
        if let Some(Err(error)) = self.ready.take().map(ReadyWriter::ready) {
            tracing::debug!(%error, "the master does not listen");
        }
        let result = self.run_loop();
        self.control.take().into_iter().for_each(Control::close);
        // Last: whoever keeps it next may start the companions.
        if self.machine.is_stopped() {
            self.book.take().into_iter().for_each(Book::close);
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
            self.note_stopped();
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

    /// Becomes the manager of the companions and starts them. Tries again later, if another one has them.
    fn take_control(&mut self) -> Result<(), String> {
        let path = &self.config.control_socket;
        let book = match Book::keep(path) {
            Ok(book) => book,
            Err(LedgerError::Kept { .. }) => {
                self.look_again_in(TRY_INTERVAL);
                return Ok(());
            }
            // What is wrong with the directory is said in terms of the socket, which has been configured.
            Err(error) => {
                return Err(report::chain(&error)).or_else(|reason| self.try_socket().and(Err(reason)));
            }
        };
        let control = match Control::bind(path, self.config.control_socket_mode) {
            Ok(control) => control,
            // Somebody has removed the ledger of a manager that lives, or it is no manager.
            Err(BindError::Unix(UnixBindError::InUse { .. })) => {
                book.close_unless_needed();
                self.look_again_in(TRY_INTERVAL);
                return Ok(());
            }
            Err(error) => {
                book.close_unless_needed();
                return Err(report::chain(&error));
            }
        };
        tracing::info!("Companions are controlled at: unix:{}", path.display());
        self.control = Some(control);
        self.phase = Phase::Managing;
        self.take_over(book).map_err(|error| format!("cannot read the ledger of companions: {error}"))?;
        if self.task == Task::Manage {
            self.machine.begin(Instant::now());
        }
        Ok(())
    }

    /// Whether the socket could be made.
    fn try_socket(&self) -> Result<(), String> {
        Control::bind(&self.config.control_socket, self.config.control_socket_mode)
            .map(Control::close)
            .map_err(|error| report::chain(&error))
    }

    fn look_again_in(&mut self, interval: Duration) {
        self.phase = Phase::Waiting { again: Instant::now() + interval };
    }

    fn try_again(&mut self) {
        let Phase::Waiting { again } = self.phase else { return };
        if Instant::now() >= again
            && let Err(reason) = self.take_control()
        {
            tracing::error!("Companions cannot be started yet: {reason}");
            self.look_again_in(COMPLAINT_INTERVAL);
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
    pub(super) fn perform(&mut self) {
        while let Some(action) = self.machine.poll_action() {
            match action {
                CompanionAction::Spawn { name, launch } => self.spawn(&name, launch),
                CompanionAction::Signal { name, launch, signal, timeout } => {
                    let Some(process) = self.processes.get(&launch) else { continue };
                    log::signal(&name, process.child.pid(), signal, timeout);
                    if let Err(error) = process.signal(signal) {
                        tracing::error!(companion = name, %error, "signal refused");
                    }
                }
                action => {
                    log::action(&action);
                    if let CompanionAction::Running { name } = action {
                        self.has_begun(&name);
                    }
                }
            }
        }
    }

    /// For the next manager, if this one is killed.
    fn note_stopped(&mut self) {
        let Some(book) = &mut self.book else { return };
        let by_hand = self.machine.iter().filter(|companion| companion.is_stopped_by_hand());
        let slots = self.processes.values().map(|process| process.slot);
        if let Err(error) = book.note_stopped(by_hand.map(Companion::name), slots) {
            tracing::error!(%error, "which companions were stopped by hand cannot be noted");
        }
    }

    /// Makes the control socket anew if somebody has removed its file.
    fn look_after_control(&mut self) {
        let Some(control) = &mut self.control else { return };
        let path = self.config.control_socket.display();
        match control.restore(self.config.control_socket_mode) {
            Ok(false) => {}
            Ok(true) => tracing::warn!("The control socket {path} was gone and has been made anew"),
            Err(error) => {
                tracing::error!("The control socket {path} is gone: {}", report::chain(&error));
            }
        }
    }

    fn beat(&mut self) {
        let now = Instant::now();
        if now < self.next_beat {
            return;
        }
        self.next_beat = now + BEAT_INTERVAL;
        self.look_after_control();
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

const TRY_INTERVAL: Duration = Duration::from_millis(200);
/// How often it is said that the control socket cannot be had.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(10);
/// The master waits for three beats.
const BEAT_INTERVAL: Duration = Duration::from_secs(10);
