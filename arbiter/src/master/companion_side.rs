//! The companion manager, seen from the master. Of companions the master knows nothing.

use std::io;
use std::time::Duration;

use gunmetal_supervise::{Action, Event, PoolConfig, RestartPolicy, Signal};

use super::{Master, Phase};
use crate::companions::{self, Legacy};
use crate::crew::{Crew, Heartbeats, restarts};
use crate::{CompanionsConfig, ServiceError, report};

/// What the master has of the companion manager.
pub(super) struct CompanionSide {
    /// What the next manager is started with.
    pub(super) config: CompanionsConfig,
    /// What a manager that was killed leaves to the next one.
    legacy: Legacy,
    pub(super) crew: Crew,
    /// Whether a manager has been in service.
    pub(super) is_booted: bool,
}

impl CompanionSide {
    fn new(config: &CompanionsConfig) -> io::Result<Self> {
        let pool = PoolConfig {
            boot_timeout: Some(SILENCE),
            // It keeps the time of each companion itself, and beats its heart meanwhile.
            graceful_timeout: FOR_EVER,
            kill_grace: KILL_GRACE,
            restarts: RestartPolicy { max_delay: LONGEST_DELAY, ..restarts() },
            ..PoolConfig::default()
        };
        let crew = Crew::new(pool, Heartbeats::Expected(SILENCE));
        Ok(Self { config: config.clone(), legacy: Legacy::new()?, crew, is_booted: false })
    }

    pub(super) fn next_action(&mut self) -> Option<Action> {
        self.crew.next_action(|_, signal| Some(signal))
    }
}

impl Master<'_> {
    /// Starts the companion manager, if the configuration in force has one and none is there.
    pub(super) fn start_companions(&mut self) -> Result<(), ServiceError> {
        if let (None, Some(config)) = (&self.companions, &self.current.config.companions) {
            let side = CompanionSide::new(config);
            self.companions = Some(side.map_err(ServiceError::system("make the ledger of companions"))?);
        }
        Ok(())
    }

    /// The configuration in force is another one: the manager reads its part of it.
    pub(super) fn reload_companions(&mut self) {
        if let Err(error) = self.start_companions() {
            return tracing::error!("No companions: {}", report::chain(&error));
        }
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
                let outcome = companions::spawn(age, &side.config, &side.legacy);
                if let Some(pid) = side.crew.spawned(worker, outcome) {
                    tracing::info!("Booting companion manager with pid: {pid}");
                }
            }
            Action::Drain(worker) => side.crew.handle(Event::Drained(worker)),
            Action::Gone { worker, departure, status } => {
                let member = side.crew.forget(worker);
                report::gone("Companion manager", worker, member.as_ref(), &departure, status);
            }
            Action::Booted => {
                side.is_booted = true;
                self.say_if_up();
            }
            Action::GiveUp(failure) => self.give_up(Some("Companion manager"), &failure),
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
const LONGEST_DELAY: Duration = Duration::from_secs(1);
/// A year, the longest of all settings.
const FOR_EVER: Duration = Duration::from_secs(31_536_000);
