//! The companion manager, seen from the master. Of companions the master knows nothing.

use std::time::Duration;

use gunmetal_supervise::{
    Action, Event, ExitStatus, PoolConfig, RestartPolicy, STARTUP_FAILED, Signal, StopMode,
};

use super::{Master, Phase};
use crate::companions::{self, Task};
use crate::crew::{Crew, Heartbeats, restarts};
use crate::{CompanionsConfig, report};

/// What the master has of the companion manager.
pub(super) struct CompanionSide {
    /// What the next manager is started with.
    pub(super) config: CompanionsConfig,
    pub(super) crew: Crew,
    /// Whether a manager has been in service.
    pub(super) is_booted: bool,
    task: Task,
    /// How the service stops, if it does.
    pub(super) stop_mode: StopMode,
    /// How the last manager has ended; `None` if none has.
    last_status: Option<ExitStatus>,
    /// Managers that were forked to end what others have left.
    last_count: u32,
}

impl CompanionSide {
    fn new(config: &CompanionsConfig) -> Self {
        Self {
            config: config.clone(),
            crew: Self::crew(),
            is_booted: false,
            task: Task::Manage,
            stop_mode: StopMode::Graceful,
            last_status: None,
            last_count: 0,
        }
    }

    fn crew() -> Crew {
        let pool = PoolConfig {
            boot_timeout: Some(SILENCE),
            // It keeps the time of each companion itself.
            graceful_timeout: None,
            kill_grace: KILL_GRACE,
            restarts: RestartPolicy { max_delay: LONGEST_DELAY, ..restarts() },
            ..PoolConfig::default()
        };
        Crew::new(pool, Heartbeats::Throughout(SILENCE))
    }

    /// A manager that was killed while it stopped has left companions: another one is forked to end them. Returns whether.
    fn end_leftovers(&mut self) -> bool {
        // One that could not start has said so, and left nothing.
        let well = [None, Some(ExitStatus::Code(0)), Some(ExitStatus::Code(STARTUP_FAILED))];
        let has_ended_well = well.contains(&self.last_status);
        let is_over = has_ended_well || self.last_count == MOST_LAST_MANAGERS;
        if !is_over {
            self.last_count += 1;
            self.task = Task::EndLeftovers;
            self.crew = Self::crew();
        }
        !is_over
    }

    pub(super) fn next_action(&mut self) -> Option<Action> {
        self.crew.next_action(|_, signal| Some(signal))
    }
}

impl Master<'_> {
    /// Starts the companion manager, if the configuration in force has one and none is there.
    pub(super) fn start_companions(&mut self) {
        if let (None, Some(config)) = (&self.companions, &self.current.config.companions) {
            self.companions = Some(CompanionSide::new(config));
        }
    }

    /// The configuration in force is another one: the manager reads its part of it.
    pub(super) fn reload_companions(&mut self) {
        self.start_companions();
        let Some(side) = &mut self.companions else { return };
        if let Some(config) = &self.current.config.companions {
            side.config = config.clone();
        }
        side.crew.signal_all(Signal::SIGHUP);
    }

    pub(super) fn perform_companions(&mut self, action: Action) {
        let Some(side) = &mut self.companions else { return };
        match action {
            Action::Spawn(worker) => {
                let age = side.crew.next_age();
                let outcome = companions::spawn(age, side.task, &side.config);
                if let Some(pid) = side.crew.spawned(worker, outcome) {
                    tracing::info!("Booting companion manager with pid: {pid}");
                }
                if side.task == Task::EndLeftovers {
                    side.crew.handle(Event::Stop(side.stop_mode));
                }
            }
            Action::Drain(worker) => side.crew.handle(Event::Drained(worker)),
            Action::Gone { worker, departure, status } => {
                side.last_status = status;
                let member = side.crew.forget(worker);
                report::gone("Companion manager", worker, member.as_ref(), &departure, status);
            }
            Action::Booted => {
                side.is_booted = true;
                self.say_if_up();
            }
            // It has come with a reload: what serves goes on.
            Action::GiveUp(failure) if self.phase == (Phase::Serving { is_up: true }) => {
                tracing::error!("No companions until the next reload: {}", failure.error);
            }
            Action::GiveUp(failure) => self.give_up(Some("Companion manager"), &failure),
            Action::PoolStopped if matches!(self.phase, Phase::Serving { .. }) => self.companions = None,
            Action::PoolStopped if side.end_leftovers() => {}
            Action::PoolStopped if self.phase == Phase::StoppingHttp => self.stop_dirty_if_alone(),
            Action::PoolStopped => self.end_if_empty(),
            action => report::action("companion manager", &action),
        }
    }
}

/// Who is silent for so long hangs: three times as long as between two heartbeats.
const SILENCE: Duration = Duration::from_secs(30);
/// More than the manager takes to stop at once.
const KILL_GRACE: Duration = Duration::from_secs(5);
/// Managers that are forked to end what others have left, if each of them is killed in turn.
const MOST_LAST_MANAGERS: u32 = 3;
const LONGEST_DELAY: Duration = Duration::from_secs(1);
