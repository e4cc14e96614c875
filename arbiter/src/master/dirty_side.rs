//! The dirty arbiter, seen from the master.

use std::time::Duration;

use gunmetal_supervise::{Action, Event, PidFile, PoolConfig, RestartPolicy, RunDir, Signal};

use super::{Master, Phase};
use crate::crew::{Crew, Heartbeats, restarts};
use crate::dirty_arbiter::{self, DirtySocket, Heritage};
use crate::{DirtyConfig, ServiceError, report};

/// What the master has of the dirty arbiter.
pub(super) struct DirtySide {
    config: DirtyConfig,
    pub(super) socket: DirtySocket,
    run_dir: RunDir,
    pub(super) crew: Crew,
}

impl DirtySide {
    /// Opens what outlives every dirty arbiter. An elder master has one of its own.
    pub(super) fn prepare(config: &DirtyConfig, heritage: Heritage) -> Result<Self, ServiceError> {
        let (socket, run_dir) = dirty_arbiter::prepare(config, heritage)?;
        let pool = PoolConfig {
            // Its workers have boot timeouts of their own.
            boot_timeout: None,
            graceful_timeout: Some(config.graceful_timeout + MARGIN),
            kill_grace: MARGIN,
            // Nobody is served without one, so it is worth trying often.
            restarts: RestartPolicy { max_delay: LONGEST_DIRTY_DELAY, ..restarts() },
            ..PoolConfig::default()
        };
        Ok(Self { config: config.clone(), socket, run_dir, crew: Crew::new(pool, Heartbeats::Ignored) })
    }

    pub(super) fn next_action(&mut self) -> Option<Action> {
        // To the dirty arbiter SIGINT is a polite wish; "at once" is SIGQUIT.
        self.crew
            .next_action(|_, signal| Some(if signal == Signal::SIGINT { Signal::SIGQUIT } else { signal }))
    }

    /// The elder master is gone: what bears its names may bear ours.
    pub(super) fn promote(&mut self) {
        self.socket.promote();
        dirty_arbiter::sign_run_dir(&self.run_dir, &self.socket);
    }

    /// Removes what is left, once the dirty arbiter has ended. A socket at which another master listens too stays.
    pub(super) fn clear_up(self, shares_sockets: bool) {
        // None, if the last dirty arbiter ended in order.
        dirty_arbiter::end_orphans(self.run_dir.path());
        let pid_file = self.socket.close(shares_sockets);
        drop(self.run_dir);
        // Last, since what is still there then is taken for the next service's.
        pid_file.iter().for_each(PidFile::remove);
    }
}

impl Master<'_> {
    pub(super) fn perform_dirty(&mut self, action: Action) {
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
            Action::GiveUp(failure) => self.give_up(None, &failure),
            Action::PoolStopped => self.end_if_empty(),
            action => report::action("dirty arbiter", &action),
        }
    }
}

/// The dirty arbiter keeps its own deadlines: this long after them it is killed.
const MARGIN: Duration = Duration::from_secs(5);
const LONGEST_DIRTY_DELAY: Duration = Duration::from_secs(1);
