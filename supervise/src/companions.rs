//! Companions: processes with names, each of which is to run until somebody says otherwise.
//!
//! ```text
//!                start                 lasts startsecs
//!   STOPPED ─────────────▶ STARTING ────────────────────▶ RUNNING
//!      ▲  ▲                 │    ▲ retry                     │
//!      │  │ stop       ends │    │                      ends │
//!      │  └────────────── BACKOFF ◀──────────────────────────┘
//!      │                                                          from STARTING and RUNNING:
//!      │  ends                                                    stop, restart, other configuration
//!      └─────────────── STOPPING ◀─────────────────────────────────────────────────────────────────
//!                           │ out of time: SIGKILL
//!                           │ ends, and was to be restarted ─▶ STARTING
//! ```
//!
//! A companion has one process at most, and the next one is started only once it has ended. What was stopped by a command
//! is started by a command only; a manual stop is not forgotten when another configuration comes.

mod action;
mod command;
mod companion;
#[cfg(test)]
mod histories;
mod reread;
mod spec;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::StopMode;

pub use action::{CompanionAction, CompanionEnd, CompanionEvent, Sequel};
pub use command::{CommandError, CommandOutcome, CompanionCommand, RereadOutcome};
pub use companion::{Companion, CompanionState, LaunchId, Rest};
pub use spec::CompanionSpec;

use companion::{Next, State, Then};

/// All companions of a service: decides which processes there should be, and knows neither clock nor process.
///
/// After each call, perform [`poll_action`](Self::poll_action) until there is none, and wait until
/// [`next_deadline`](Self::next_deadline) for what happens next.
#[derive(Debug, Default)]
pub struct Companions {
    companions: Vec<Companion>,
    actions: VecDeque<CompanionAction>,
    launch_count: u64,
    phase: Phase,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Phase {
    /// Nothing is started yet.
    #[default]
    Holding,
    Going,
    /// Nothing is started any more.
    Stopping,
}

impl Companions {
    /// Companions with these configurations, none of them started yet: see [`begin`](Self::begin). No two may have one name.
    #[must_use]
    pub fn new(specs: impl IntoIterator<Item = CompanionSpec>) -> Self {
        let companions = specs.into_iter().map(|spec| Companion::new(Arc::new(spec))).collect();
        Self { companions, ..Self::default() }
    }

    /// Takes over a process that was started for `name` by somebody who is gone, and that has been told to end: the companion is
    /// started once it has. `None` if that has such a process already. `stray` is what a companion that is not configured any
    /// more goes by.
    pub fn adopt(
        &mut self,
        name: &str,
        stray: impl FnOnce() -> CompanionSpec,
        now: Instant,
    ) -> Option<LaunchId> {
        let launch = self.next_launch();
        match self.companions.iter_mut().find(|companion| companion.name() == name) {
            Some(companion) if companion.run().is_some() => return None,
            Some(companion) => {
                let then = match companion.rest() {
                    Some(Rest::NotStarted) if companion.spec.autostart => Then::START,
                    rest => Then::Rest(rest.unwrap_or(Rest::NotStarted)),
                };
                companion.adopt_as(launch, then, now);
            }
            None => {
                let mut companion = Companion::new(Arc::new(stray()));
                companion.adopt_as(launch, Then::Remove, now);
                self.companions.push(companion);
            }
        }
        Some(launch)
    }

    /// Has a companion that was stopped by hand, when somebody else had it, stay so. Before [`adopt`](Self::adopt).
    pub fn keep_stopped(&mut self, name: &str) {
        if let Some(companion) = self.companions.iter_mut().find(|companion| companion.name() == name) {
            companion.state = State::Resting(Rest::ByHand);
        }
    }

    /// Starts those that are to be started without a command. Up to here none is, whatever happens.
    pub fn begin(&mut self, now: Instant) {
        self.phase = Phase::Going;
        for companion in &mut self.companions {
            if companion.spec.autostart && companion.rest() == Some(Rest::NotStarted) {
                companion.state = State::Resting(Rest::Waiting);
            }
        }
        self.release(now);
    }

    /// Takes what has happened. Old and repeated news change nothing.
    pub fn handle(&mut self, event: CompanionEvent, now: Instant) {
        match event {
            CompanionEvent::Ended(launch, end) => self.ended(launch, end, now),
            CompanionEvent::Outgrown(launch, reason) => self.outgrown(launch, reason, now),
            CompanionEvent::Stop { mode, limit } => self.stop(mode, limit, now),
            CompanionEvent::Tick => self.tick(now),
        }
        self.release(now);
    }

    /// Obeys a command.
    ///
    /// # Errors
    ///
    /// [`CommandError`]: nothing has changed.
    pub fn command(
        &mut self,
        command: CompanionCommand,
        name: &str,
        now: Instant,
    ) -> Result<CommandOutcome, CommandError> {
        let index = self.companions.iter().position(|companion| companion.name() == name);
        let index = index.ok_or_else(|| self.unknown(name))?;
        if self.phase == Phase::Stopping && command != CompanionCommand::Stop {
            return Err(CommandError::ManagerStops);
        }
        let outcome = match command {
            CompanionCommand::Start => self.start(index, now),
            CompanionCommand::Stop => Ok(self.stop_by_hand(index, now)),
            CompanionCommand::Restart => self.restart(index, now),
        };
        self.release(now);
        outcome
    }

    /// What is to be done next; `None` if nothing is.
    pub fn poll_action(&mut self) -> Option<CompanionAction> {
        self.actions.pop_front()
    }

    /// When the next [`Tick`](CompanionEvent::Tick) has something to do.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.companions.iter().filter_map(Companion::deadline).min()
    }

    /// Whether all were to stop and have done so.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.phase == Phase::Stopping && self.companions.iter().all(|companion| companion.run().is_none())
    }

    /// All companions, in the order of the configuration, and behind them those that are configured no more and have not ended
    /// yet.
    pub fn iter(&self) -> impl Iterator<Item = &Companion> {
        self.companions.iter()
    }

    /// The companion of that name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Companion> {
        self.companions.iter().find(|companion| companion.name() == name)
    }

    /// Those that have to run before this one is started.
    #[must_use]
    pub fn awaited_by<'a>(&'a self, companion: &'a Companion) -> Vec<&'a str> {
        let names = companion.spec.depends_on.iter();
        names.map(String::as_str).filter(|name| self.find(name).is_some_and(Companion::is_awaited)).collect()
    }

    /// What somebody is answered who names a companion that is not there.
    #[must_use]
    pub fn unknown(&self, name: &str) -> CommandError {
        let known: Vec<&str> = self.iter().map(Companion::name).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        CommandError::Unknown { name: name.to_owned(), known }
    }

    fn start(&mut self, index: usize, now: Instant) -> Result<CommandOutcome, CommandError> {
        let companion = &mut self.companions[index];
        match companion.state {
            State::Stopping { .. } => Err(CommandError::IsStopping { name: companion.name().to_owned() }),
            State::Starting { .. } | State::Running(_) => Ok(CommandOutcome::Already(companion.state())),
            State::Resting(_) | State::BackingOff(_) => Ok(self.start_now(index, now)),
        }
    }

    fn restart(&mut self, index: usize, now: Instant) -> Result<CommandOutcome, CommandError> {
        let companion = &mut self.companions[index];
        match companion.state {
            State::Stopping { .. } => Err(CommandError::IsStopping { name: companion.name().to_owned() }),
            State::Resting(_) | State::BackingOff(_) => Ok(self.start_now(index, now)),
            State::Starting { .. } | State::Running(_) => {
                companion.forgive();
                self.actions.extend(companion.stop(Then::START, |spec| spec.reload_timeout, now));
                Ok(CommandOutcome::Restarting)
            }
        }
    }

    /// Starts one that has no process, once those it depends on are running.
    fn start_now(&mut self, index: usize, now: Instant) -> CommandOutcome {
        let companion = &mut self.companions[index];
        companion.forgive();
        companion.state = State::Resting(Rest::Waiting);
        self.release(now);
        let awaited = self.awaited_by(&self.companions[index]);
        if self.companions[index].rest().is_none() {
            return CommandOutcome::Started;
        }
        CommandOutcome::Waiting(awaited.into_iter().map(str::to_owned).collect())
    }

    fn stop_by_hand(&mut self, index: usize, now: Instant) -> CommandOutcome {
        let companion = &mut self.companions[index];
        match companion.state {
            State::Starting { .. } | State::Running(_) => {
                self.actions.extend(companion.stop(Then::Rest(Rest::ByHand), |spec| spec.stop_timeout, now));
                CommandOutcome::Stopping
            }
            State::Stopping { then, .. } => {
                if then != Then::Remove {
                    companion.redirect(Then::Rest(Rest::ByHand));
                }
                CommandOutcome::Already(CompanionState::Stopping)
            }
            State::Resting(rest) => {
                companion.state = State::Resting(Rest::ByHand);
                match rest {
                    Rest::Waiting => CommandOutcome::Stopped,
                    Rest::NotStarted | Rest::ByHand => CommandOutcome::Already(CompanionState::Stopped),
                }
            }
            State::BackingOff(_) => {
                companion.state = State::Resting(Rest::ByHand);
                CommandOutcome::Stopped
            }
        }
    }

    fn ended(&mut self, launch: LaunchId, end: CompanionEnd, now: Instant) {
        let Some(index) = self.index_of(launch) else { return };
        let (action, next) = self.companions[index].ended(end, now);
        self.actions.push_back(action);
        match next {
            Next::Stay => {}
            Next::Remove => {
                self.companions.remove(index);
            }
        }
    }

    fn outgrown(&mut self, launch: LaunchId, reason: String, now: Instant) {
        let Some(index) = self.index_of(launch) else { return };
        let companion = &mut self.companions[index];
        if let Some(signal) = companion.stop(Then::START, |spec| spec.reload_timeout, now) {
            self.actions.push_back(CompanionAction::Outgrown { name: companion.name().to_owned(), reason });
            self.actions.push_back(signal);
        }
    }

    fn stop(&mut self, mode: StopMode, limit: Option<Duration>, now: Instant) {
        self.phase = Phase::Stopping;
        let limit = match mode {
            StopMode::Graceful => limit,
            StopMode::Now => Some(limit.unwrap_or(AT_ONCE).min(AT_ONCE)),
        };
        for companion in &mut self.companions {
            let rest = if companion.is_stopped_by_hand() { Rest::ByHand } else { Rest::NotStarted };
            match companion.state {
                State::Starting { .. } | State::Running(_) => {
                    let timeout = |spec: &CompanionSpec| {
                        limit.map_or(spec.stop_timeout, |limit| limit.min(spec.stop_timeout))
                    };
                    self.actions.extend(companion.stop(Then::Rest(rest), timeout, now));
                }
                State::Stopping { .. } => {
                    companion.redirect(Then::Rest(rest));
                    if let Some(limit) = limit {
                        companion.hurry(now + limit);
                    }
                }
                State::Resting(_) | State::BackingOff(_) => companion.state = State::Resting(rest),
            }
        }
    }

    fn tick(&mut self, now: Instant) {
        let actions = self.companions.iter_mut().filter_map(|companion| companion.tick(now));
        self.actions.extend(actions);
    }

    /// Launches those whose wait is over. They are looked at once: none that is launched here is running yet.
    fn release(&mut self, now: Instant) {
        if self.phase != Phase::Going {
            return;
        }
        for index in 0..self.companions.len() {
            let companion = &self.companions[index];
            if companion.rest() == Some(Rest::Waiting) && self.awaited_by(companion).is_empty() {
                self.launch(index, now);
            }
        }
    }

    fn launch(&mut self, index: usize, now: Instant) {
        let launch = self.next_launch();
        let action = self.companions[index].launch_as(launch, now);
        self.actions.push_back(action);
    }

    fn next_launch(&mut self) -> LaunchId {
        self.launch_count += 1;
        LaunchId(self.launch_count)
    }

    fn index_of(&self, launch: LaunchId) -> Option<usize> {
        self.companions.iter().position(|companion| companion.launch() == Some(launch))
    }
}

/// What the processes have to end when there is no time.
const AT_ONCE: Duration = Duration::from_secs(1);
