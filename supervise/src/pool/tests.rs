//! The rules, one at a time.

mod adopting;
mod leaving;
mod recycling;
mod reloading;
mod resizing;
mod starting;

use std::time::{Duration, Instant};

use crate::{
    Action, Departure, Event, ExitStatus, Pool, PoolConfig, RestartPolicy, Signal, StartupFailure, StopMode,
    WorkerId, WorkerState,
};

/// A pool with a clock, and a driver whose forks succeed.
struct Rig {
    pool: Pool,
    now: Instant,
}

impl Rig {
    fn new(size: u32) -> Rig {
        Rig::with(PoolConfig { size, ..config() })
    }

    fn with(config: PoolConfig) -> Rig {
        Rig { pool: Pool::new(config), now: Instant::now() }
    }

    /// A pool that takes over `adopted`, and knows of `past`.
    fn adopting(size: u32, past: &[WorkerId], adopted: &[WorkerId]) -> Rig {
        let config = PoolConfig { size, ..config() };
        let pool = Pool::adopting(config, past.iter().copied(), adopted.iter().copied());
        Rig { pool, now: Instant::now() }
    }

    /// A pool in which every worker serves.
    fn booted(size: u32) -> Rig {
        let mut rig = Rig::new(size);
        rig.perform();
        for slot in 0..size {
            rig.send(Event::Ready(w(slot, 1)));
        }
        rig
    }

    /// Reports `event`, forks what is asked for, and returns the actions.
    fn send(&mut self, event: Event) -> Vec<Action> {
        self.pool.handle(event, self.now);
        self.perform()
    }

    /// Lets time pass, and returns the actions.
    fn after(&mut self, secs: u64) -> Vec<Action> {
        self.now += Duration::from_secs(secs);
        self.send(Event::Tick)
    }

    fn perform(&mut self) -> Vec<Action> {
        let mut actions = Vec::new();
        while let Some(action) = self.pool.poll_action() {
            if let Action::Spawn(worker) = action {
                self.pool.handle(Event::Spawned(worker), self.now);
            }
            actions.push(action);
        }
        actions
    }

    /// Seconds until the next deadline.
    fn deadline_in(&self) -> Option<u64> {
        self.pool.next_deadline().map(|deadline| (deadline - self.now).as_secs())
    }
}

/// Timeouts that differ from each other: boot 60, graceful 30, condemn 10, kill 2 seconds; back-off 1, 2, 4… seconds.
fn config() -> PoolConfig {
    PoolConfig {
        size: 1,
        minimum: 1,
        maximum: 8,
        boot_timeout: Some(Duration::from_secs(60)),
        graceful_timeout: Some(Duration::from_secs(30)),
        condemn_timeout: Duration::from_secs(10),
        recycle_interval: Duration::from_secs(1),
        kill_grace: Duration::from_secs(2),
        restarts: RestartPolicy {
            at_once: 1,
            base_delay: Duration::from_secs(1),
            max_delay: Duration::from_secs(8),
            period: Duration::from_secs(300),
            intensity: None,
        },
        jitter_seed: 1,
    }
}

fn w(slot: u32, generation: u64) -> WorkerId {
    WorkerId { slot, generation }
}

fn crashed() -> ExitStatus {
    ExitStatus::Signal { signal: 11, core: false }
}

fn exited(worker: WorkerId) -> Event {
    Event::Exited(worker, ExitStatus::Code(0))
}

fn gone(worker: WorkerId, departure: Departure) -> Action {
    Action::Gone { worker, departure, status: Some(ExitStatus::Code(0)) }
}

fn failure(worker: WorkerId, error: &str, status: Option<ExitStatus>) -> StartupFailure {
    StartupFailure { worker, error: error.to_owned(), status, restarts: 0 }
}

fn kill(worker: WorkerId) -> Action {
    Action::Signal(worker, Signal::SIGKILL)
}

fn term(worker: WorkerId) -> Action {
    Action::Signal(worker, Signal::SIGTERM)
}

fn abort(worker: WorkerId) -> Action {
    Action::Signal(worker, Signal::SIGABRT)
}
