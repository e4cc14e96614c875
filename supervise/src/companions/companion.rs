//! One companion.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::action::{CompanionAction, CompanionEnd, Sequel};
use super::spec::CompanionSpec;
use crate::{Failure, RestartHistory};

/// Names one process of a companion for ever, whatever becomes of its pid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LaunchId(pub(super) u64);

/// What users see of a companion, in the words of `supervisorctl status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CompanionState {
    /// No process, and none to come by itself.
    Stopped,
    /// A process that has not lasted long enough yet.
    Starting,
    /// A process that has.
    Running,
    /// The process has ended though nobody asked it to; another one comes.
    Backoff,
    /// The process has been asked to end.
    Stopping,
}

impl CompanionState {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stopped => "STOPPED",
            Self::Starting => "STARTING",
            Self::Running => "RUNNING",
            Self::Backoff => "BACKOFF",
            Self::Stopping => "STOPPING",
        }
    }
}

impl fmt::Display for CompanionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a companion without a process has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// It is not started without a command, and none has come.
    NotStarted,
    /// Somebody has stopped it: nothing but a command starts it again.
    ByHand,
    /// It is to start once those it depends on are running.
    Waiting,
}

/// One companion: its configuration, its state, and what has become of its processes so far.
#[derive(Debug, Clone)]
pub struct Companion {
    /// The latest, which the next process goes by.
    pub(super) spec: Arc<CompanionSpec>,
    pub(super) state: State,
    history: RestartHistory,
    last_end: Option<(CompanionEnd, Instant)>,
    last_start: Option<Instant>,
    exit_count: u64,
    restart_count: u64,
    kill_count: u64,
}

#[derive(Debug, Clone)]
pub(super) enum State {
    Resting(Rest),
    Starting {
        run: Run,
        until: Instant,
    },
    Running(Run),
    /// For good, if there is no instant: it has been restarted too often.
    BackingOff(Option<Instant>),
    /// Without an instant, SIGKILL has been sent: the kernel ends it.
    Stopping {
        run: Run,
        until: Option<Instant>,
        then: Then,
    },
}

/// A process, and the configuration it was started with, by which it is also stopped.
#[derive(Debug, Clone)]
pub(super) struct Run {
    pub(super) launch: LaunchId,
    since: Instant,
    spec: Arc<CompanionSpec>,
}

/// What follows the end of a process that was asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// It is to be started, if it waits then.
    Rest(Rest),
    Remove,
}

impl Then {
    /// Another process, once those it depends on are running.
    pub(super) const START: Then = Then::Rest(Rest::Waiting);
}

impl Companion {
    pub(super) fn new(spec: Arc<CompanionSpec>) -> Self {
        Self {
            spec,
            state: State::Resting(Rest::NotStarted),
            history: RestartHistory::default(),
            last_end: None,
            last_start: None,
            exit_count: 0,
            restart_count: 0,
            kill_count: 0,
        }
    }

    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// What it is configured to be, from the next start on.
    #[must_use]
    pub fn spec(&self) -> &CompanionSpec {
        &self.spec
    }

    /// Its state.
    #[must_use]
    pub fn state(&self) -> CompanionState {
        match self.state {
            State::Resting(_) => CompanionState::Stopped,
            State::Starting { .. } => CompanionState::Starting,
            State::Running(_) => CompanionState::Running,
            State::BackingOff(_) => CompanionState::Backoff,
            State::Stopping { .. } => CompanionState::Stopping,
        }
    }

    /// Its process, if it has one.
    #[must_use]
    pub fn launch(&self) -> Option<LaunchId> {
        self.run().map(|run| run.launch)
    }

    /// When its process was started.
    #[must_use]
    pub fn started(&self) -> Option<Instant> {
        self.run().map(|run| run.since)
    }

    /// Why it has no process and none to come.
    #[must_use]
    pub fn rest(&self) -> Option<Rest> {
        match self.state {
            State::Resting(rest) => Some(rest),
            _ => None,
        }
    }

    /// Whether only a command starts it again.
    #[must_use]
    pub fn is_stopped_by_hand(&self) -> bool {
        matches!(
            self.state,
            State::Resting(Rest::ByHand) | State::Stopping { then: Then::Rest(Rest::ByHand), .. }
        )
    }

    /// Whether it has been restarted so often that it is left alone now.
    #[must_use]
    pub fn has_given_up(&self) -> bool {
        matches!(self.state, State::BackingOff(None))
    }

    /// When it is started again, in [`Backoff`](CompanionState::Backoff).
    #[must_use]
    pub fn next_retry(&self) -> Option<Instant> {
        match self.state {
            State::BackingOff(until) => until,
            _ => None,
        }
    }

    /// How long it waits in all until it is started again, in [`Backoff`](CompanionState::Backoff).
    #[must_use]
    pub fn retry_delay(&self) -> Option<Duration> {
        let (_, ended) = self.last_end.as_ref()?;
        Some(self.next_retry()?.saturating_duration_since(*ended))
    }

    /// When it is killed, in [`Stopping`](CompanionState::Stopping); `None` once it has been.
    #[must_use]
    pub fn kill_at(&self) -> Option<Instant> {
        match self.state {
            State::Stopping { until, .. } => until,
            _ => None,
        }
    }

    /// How its last process ended, and when.
    #[must_use]
    pub fn last_end(&self) -> Option<(&CompanionEnd, Instant)> {
        self.last_end.as_ref().map(|(end, at)| (end, *at))
    }

    /// When its last process was started.
    #[must_use]
    pub fn last_start(&self) -> Option<Instant> {
        self.last_start
    }

    /// How many of its processes have ended.
    #[must_use]
    pub fn exit_count(&self) -> u64 {
        self.exit_count
    }

    /// How many of its processes have followed another one, by a retry or by a restart.
    #[must_use]
    pub fn restart_count(&self) -> u64 {
        self.restart_count
    }

    /// Restarts in a row that were not asked for, as counted by [`restarts`](CompanionSpec::restarts).
    #[must_use]
    pub fn streak(&self) -> u32 {
        self.history.streak()
    }

    /// How many of its processes had to be killed since they did not end in time.
    #[must_use]
    pub fn kill_count(&self) -> u64 {
        self.kill_count
    }

    pub(super) fn run(&self) -> Option<&Run> {
        match &self.state {
            State::Starting { run, .. } | State::Running(run) | State::Stopping { run, .. } => Some(run),
            State::Resting(_) | State::BackingOff(_) => None,
        }
    }

    /// Whether companions that depend on this one have to wait for it: it does not run, but is on its way.
    pub(super) fn is_awaited(&self) -> bool {
        match &self.state {
            State::Running(_) | State::Resting(Rest::NotStarted | Rest::ByHand) | State::BackingOff(None) => {
                false
            }
            State::Stopping { then, .. } => *then == Then::START,
            State::Resting(Rest::Waiting) | State::Starting { .. } | State::BackingOff(Some(_)) => true,
        }
    }

    /// When a [`tick`](Self::tick) has something to do.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Starting { until, .. } => Some(until),
            State::BackingOff(until) | State::Stopping { until, .. } => until,
            State::Resting(_) | State::Running(_) => None,
        }
    }

    /// Forgets that it has failed before: somebody has looked after it.
    pub(super) fn forgive(&mut self) {
        self.history = RestartHistory::default();
    }

    pub(super) fn launch_as(&mut self, launch: LaunchId, now: Instant) -> CompanionAction {
        let run = Run { launch, since: now, spec: Arc::clone(&self.spec) };
        self.last_start = Some(now);
        self.state = State::Starting { until: now + run.spec.startsecs, run };
        CompanionAction::Spawn { name: self.spec.name.clone(), launch }
    }

    /// Takes over a process that a manager before this one has left, and that knows that it is to end.
    pub(super) fn adopt_as(&mut self, launch: LaunchId, then: Then, now: Instant) {
        let run = Run { launch, since: now, spec: Arc::clone(&self.spec) };
        self.state = State::Stopping { until: Some(now + run.spec.stop_timeout), run, then };
    }

    /// Asks the process to end. Nothing, if there is none or it has been asked already.
    pub(super) fn stop(
        &mut self,
        then: Then,
        timeout: impl Fn(&CompanionSpec) -> Duration,
        now: Instant,
    ) -> Option<CompanionAction> {
        let (State::Starting { run, .. } | State::Running(run)) = &self.state else { return None };
        let run = run.clone();
        let timeout = timeout(&run.spec);
        let (launch, signal) = (run.launch, run.spec.stop_signal);
        self.state = State::Stopping { until: Some(now + timeout), run, then };
        Some(CompanionAction::Signal { name: self.spec.name.clone(), launch, signal, timeout: Some(timeout) })
    }

    /// Changes what follows the end of a process that has been asked for it.
    pub(super) fn redirect(&mut self, next: Then) {
        if let State::Stopping { then, .. } = &mut self.state {
            *then = next;
        }
    }

    /// Kills the process at `at`, if it is not to be killed before.
    pub(super) fn hurry(&mut self, at: Instant) {
        if let State::Stopping { until: Some(until), .. } = &mut self.state {
            *until = at.min(*until);
        }
    }

    /// The process has ended. Returns what the machine has to say of it, and whether it is to launch another one.
    pub(super) fn ended(&mut self, end: CompanionEnd, now: Instant) -> (CompanionAction, Next) {
        self.exit_count += 1;
        let (sequel, next) = match &self.state {
            State::Stopping { then: Then::Remove, .. } => (Sequel::Removed, Next::Remove),
            State::Stopping { then: Then::Rest(rest), .. } => {
                let sequel = if *rest == Rest::Waiting { Sequel::Restart } else { Sequel::Stopped };
                if sequel == Sequel::Restart {
                    self.restart_count += 1;
                }
                self.state = State::Resting(*rest);
                (sequel, Next::Stay)
            }
            // The last two have no process that could end.
            State::Starting { .. } | State::Running(_) | State::BackingOff(_) | State::Resting(_) => {
                let delay = self.history.admit(&self.spec.restarts, Failure::Crash, now, 0.0);
                let age = self.run().map_or(Duration::ZERO, |run| now.saturating_duration_since(run.since));
                let least = match end {
                    CompanionEnd::Exit(_) if age >= LEAST_DELAY => Duration::ZERO,
                    CompanionEnd::Exit(_) | CompanionEnd::NeverBegan(..) | CompanionEnd::NotForked(_) => {
                        LEAST_DELAY
                    }
                };
                let delay = delay.map(|delay| delay.max(least));
                self.state = State::BackingOff(delay.map(|delay| now + delay));
                (delay.map_or(Sequel::GivenUp(self.history.streak()), Sequel::Retry), Next::Stay)
            }
        };
        self.last_end = Some((end.clone(), now));
        (CompanionAction::Ended { name: self.spec.name.clone(), end, sequel }, next)
    }

    /// Time has passed.
    pub(super) fn tick(&mut self, now: Instant) -> Option<CompanionAction> {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return None;
        }
        match &mut self.state {
            State::Starting { run, .. } => {
                self.state = State::Running(run.clone());
                Some(CompanionAction::Running { name: self.spec.name.clone() })
            }
            State::BackingOff(_) => {
                self.restart_count += 1;
                self.state = State::Resting(Rest::Waiting);
                None
            }
            State::Stopping { run, until, .. } => {
                *until = None;
                self.kill_count += 1;
                let (name, launch) = (self.spec.name.clone(), run.launch);
                Some(CompanionAction::Signal { name, launch, signal: Signal::SIGKILL, timeout: None })
            }
            State::Resting(_) | State::Running(_) => None,
        }
    }
}

/// What follows the end of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    Stay,
    Remove,
}

/// Whatever the configuration says: what could not even begin, or ended so soon, will most likely do so again at once.
const LEAST_DELAY: Duration = Duration::from_millis(100);
