//! The pool machine: which processes there should be, and what to do about it.

mod action;
mod adopt;
mod config;
mod event;
#[cfg(test)]
mod histories;
mod process;
mod recycle;
mod reload;
mod resize;
mod slot;
#[cfg(test)]
mod tests;

pub use action::{APP_LOAD_FAILED, Action, Departure, STARTUP_FAILED, StartupFailure};
pub use config::PoolConfig;
pub use event::{Event, StopMode};

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

use process::{Context, Process};
use reload::Reload;
use slot::{Seat, Slot};

use crate::{ExitStatus, Failure, Jitter, WorkerId};

/// Keeps a number of worker processes in service: a plain value without clock or I/O.
///
/// Feed it what happened with [`handle`](Pool::handle); after that, perform what [`poll_action`](Pool::poll_action)
/// yields until it yields nothing. Performing an action may produce events (a fork succeeds at once): feed them
/// right away. Sleep until [`next_deadline`](Pool::next_deadline) at most, then send [`Event::Tick`].
///
/// ```
/// use std::time::Instant;
/// use gunmetal_supervise::{Action, Event, Pool, PoolConfig, WorkerId};
///
/// let now = Instant::now();
/// let mut pool = Pool::new(PoolConfig::default());
/// let worker = WorkerId { slot: 0, generation: 1 };
/// assert_eq!(pool.poll_action(), Some(Action::Spawn(worker)));
/// pool.handle(Event::Spawned(worker), now);
/// pool.handle(Event::Ready(worker), now);
/// assert_eq!(pool.poll_action(), Some(Action::Serve(worker)));
/// assert_eq!(pool.poll_action(), Some(Action::Booted));
/// assert_eq!(pool.poll_action(), None);
/// ```
#[derive(Debug)]
pub struct Pool {
    config: PoolConfig,
    phase: Phase,
    slots: BTreeMap<u32, Slot>,
    /// Every process that is asked for or exists, those that leave included.
    processes: BTreeMap<WorkerId, Process>,
    /// The last generation of each slot that ever was.
    generations: BTreeMap<u32, u64>,
    /// Slots that a shrinking pool must keep.
    essential: BTreeSet<u32>,
    jitter: Jitter,
    actions: VecDeque<Action>,
}

/// What the pool as a whole is doing.
#[derive(Debug)]
enum Phase {
    /// Some slot has never been ready: a startup failure ends everything.
    Booting {
        then_reload: bool,
    },
    Running,
    Reloading(Reload),
    Stopping(StopMode),
    Stopped,
}

/// What a worker is doing, as far as others need to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WorkerState {
    /// Not ready yet.
    Starting,
    /// Ready, held back until the whole reload is.
    Standby,
    /// In service.
    Serving,
    /// Finishing what runs.
    Draining,
    /// About to end.
    Stopping,
}

impl Pool {
    /// A pool that wants to spawn `config.size` workers.
    #[must_use]
    pub fn new(config: PoolConfig) -> Pool {
        let mut pool = Pool::empty(config);
        pool.fill();
        pool
    }

    fn empty(config: PoolConfig) -> Pool {
        Pool {
            jitter: Jitter::from_seed(config.jitter_seed),
            phase: Phase::Booting { then_reload: false },
            slots: BTreeMap::new(),
            processes: BTreeMap::new(),
            generations: BTreeMap::new(),
            essential: BTreeSet::new(),
            actions: VecDeque::new(),
            config,
        }
    }

    fn fill(&mut self) {
        self.grow_to(self.config.size.min(self.config.maximum).max(self.config.minimum));
        self.boot_if_ready(None);
    }

    /// Goes by other settings from now on. The number of slots stays as it is until it is
    /// [resized](Event::Resize), deadlines that run stay as they are.
    pub fn set_config(&mut self, config: PoolConfig) {
        self.config = config;
    }

    /// Whether a reload is under way, or waits for the pool to have booted.
    #[must_use]
    pub fn is_reloading(&self) -> bool {
        matches!(self.phase, Phase::Reloading(_) | Phase::Booting { then_reload: true })
    }

    /// Takes news. What follows from it is in [`poll_action`](Pool::poll_action).
    ///
    /// News of a worker that is gone, was never there, or has said so before changes nothing.
    pub fn handle(&mut self, event: Event, now: Instant) {
        self.take(event, now);
        self.recycle_next();
    }

    fn take(&mut self, event: Event, now: Instant) {
        match event {
            Event::Spawned(worker) => self.with_process(worker, now, Process::spawned),
            Event::SpawnFailed(worker, error) => {
                if self.processes.get(&worker).is_some_and(Process::awaits_spawn) {
                    self.processes.remove(&worker);
                    self.gone(worker, Departure::NotSpawned(Some(error)), None, now);
                }
            }
            Event::Ready(worker) => {
                if self.processes.get_mut(&worker).is_some_and(Process::ready) {
                    self.ready(worker, now);
                }
            }
            Event::InitFailed(worker, error) => {
                self.with_process(worker, now, |process, cx| process.init_failed(error, cx));
            }
            Event::Exited(worker, status) => {
                if let Some(process) = self.processes.remove(&worker) {
                    // Its spawn cannot still be wanted, however confused the driver is.
                    self.withdraw_spawn(worker);
                    self.gone(worker, process.into_departure(status), Some(status), now);
                }
            }
            Event::Condemn(worker, reason) => {
                self.with_process(worker, now, |process, cx| process.condemn(reason, cx));
                self.check_standby(worker);
            }
            Event::Drained(worker) => self.with_process(worker, now, Process::drained),
            Event::HeartbeatStale(worker) => {
                self.with_process(worker, now, Process::heartbeat_stale);
                self.check_standby(worker);
            }
            Event::Recycle(worker, reason) => self.recycle(worker, reason, now),
            Event::Resize(wanted) => self.resize(wanted, now),
            Event::Reload => self.reload(now),
            Event::Stop(mode) => self.stop(mode, now),
            Event::Tick => self.tick(now),
        }
    }

    /// The next thing to do, in order.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When to send [`Event::Tick`]; `None` if time alone changes nothing.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let respawns = self.slots.values().filter_map(|slot| match slot.seat {
            Seat::BackingOff { until } => Some(until),
            Seat::Held(_) => None,
        });
        let recycles = self.slots.values().filter_map(|slot| slot.recycle.as_ref()?.deadline());
        self.processes.values().filter_map(Process::deadline).chain(respawns).chain(recycles).min()
    }

    /// Every worker whose process is asked for or exists, by slot and generation.
    pub fn workers(&self) -> impl Iterator<Item = (WorkerId, WorkerState)> + '_ {
        self.processes.iter().map(|(worker, process)| (*worker, process.state()))
    }

    /// What `worker` is doing; `None` if it is gone.
    #[must_use]
    pub fn worker_state(&self, worker: WorkerId) -> Option<WorkerState> {
        self.processes.get(&worker).map(Process::state)
    }

    /// The slots there are, in order. Not necessarily `0..n`: see [`set_essential`](Pool::set_essential).
    pub fn slots(&self) -> impl ExactSizeIterator<Item = u32> + '_ {
        self.slots.keys().copied()
    }

    /// Whether every process is gone after a stop.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        matches!(self.phase, Phase::Stopped)
    }

    fn ready(&mut self, worker: WorkerId, now: Instant) {
        if self.slots.get(&worker.slot).is_some_and(|slot| slot.is_held_by(worker)) {
            self.put_into_service(worker, now);
        }
        self.succeed(worker, now);
        self.reload_has(worker, now);
        self.boot_if_ready(Some(now));
    }

    /// `worker` has no process any more: tells so, and fills its seat if it had one.
    fn gone(&mut self, worker: WorkerId, departure: Departure, status: Option<ExitStatus>, now: Instant) {
        self.actions.push_back(Action::Gone { worker, departure: departure.clone(), status });
        let failure = match &departure {
            Departure::StartupFailed(error) | Departure::NotSpawned(Some(error)) => {
                Some(StartupFailure { worker, error: error.clone(), status, restarts: 0 })
            }
            _ => None,
        };
        match (&self.phase, &failure) {
            (Phase::Stopping(_), _) => return self.stopped_if_empty(),
            (Phase::Booting { .. }, Some(failure)) => return self.give_up(failure.clone(), now),
            (Phase::Booting { .. } | Phase::Running | Phase::Reloading(_) | Phase::Stopped, _) => {}
        }
        self.reload_lost(worker, &departure, status, now);

        let Some(slot) = self.slots.get_mut(&worker.slot) else { return };
        if !slot.is_held_by(worker) {
            return self.recycle_lost(worker, &departure, now);
        }
        if let Some(successor) = slot.successor.take() {
            // No sense in waiting for the others: nobody serves this slot.
            slot.seat = Seat::Held(successor);
            if self.processes.get(&successor).is_some_and(Process::is_on_standby) {
                self.put_into_service(successor, now);
            }
            return;
        }
        let kind = if failure.is_some() { Failure::Startup } else { Failure::Crash };
        match slot.history.admit(&self.config.restarts, kind, now, self.jitter.next_fraction()) {
            Some(delay) if delay.is_zero() => {
                let replacement = self.spawn(worker.slot);
                self.seat(worker.slot, Seat::Held(replacement));
            }
            Some(delay) => {
                slot.seat = Seat::BackingOff { until: now + delay };
                let (slot, failure_count) = (worker.slot, slot.history.streak());
                self.actions.push_back(Action::BackingOff { slot, delay, failure_count });
            }
            None => {
                let error = match (failure, &departure, status) {
                    (Some(failure), _, _) => failure.error,
                    (None, Departure::Crashed, Some(status)) => status.to_string(),
                    (None, departure, _) => departure.to_string(),
                };
                let restarts = slot.history.streak();
                self.give_up(StartupFailure { worker, error, status, restarts }, now);
            }
        }
    }

    fn tick(&mut self, now: Instant) {
        let mut cx = Context { config: &self.config, now, actions: &mut self.actions };
        for process in self.processes.values_mut() {
            process.tick(&mut cx);
        }
        self.slots
            .values_mut()
            .filter_map(|slot| slot.recycle.as_mut())
            .for_each(|recycle| recycle.tick(now));
        let due: Vec<u32> = self
            .slots
            .iter()
            .filter(|(_, slot)| matches!(slot.seat, Seat::BackingOff { until } if now >= until))
            .map(|(number, _)| *number)
            .collect();
        for number in due {
            let worker = self.spawn(number);
            self.seat(number, Seat::Held(worker));
        }
    }

    fn stop(&mut self, mode: StopMode, now: Instant) {
        match (&self.phase, mode) {
            (Phase::Stopped | Phase::Stopping(StopMode::Now), _)
            | (Phase::Stopping(StopMode::Graceful), StopMode::Graceful) => return,
            (Phase::Booting { .. } | Phase::Running | Phase::Reloading(_) | Phase::Stopping(_), _) => {}
        }
        self.phase = Phase::Stopping(mode);
        self.slots.clear();
        for worker in self.processes.keys().copied().collect::<Vec<_>>() {
            if self.withdraw_spawn(worker) {
                self.processes.remove(&worker);
            }
        }
        // In reverse order of starting, as far as slots tell.
        let mut cx = Context { config: &self.config, now, actions: &mut self.actions };
        for process in self.processes.values_mut().rev() {
            process.stop(mode, &mut cx);
        }
        self.stopped_if_empty();
    }

    fn give_up(&mut self, failure: StartupFailure, now: Instant) {
        self.actions.push_back(Action::GiveUp(failure));
        self.stop(StopMode::Graceful, now);
    }

    fn stopped_if_empty(&mut self) {
        if self.processes.is_empty() {
            self.phase = Phase::Stopped;
            self.actions.push_back(Action::PoolStopped);
        }
    }

    /// Ends the boot once every slot has been ready. `now` is absent where nothing can be waiting for that.
    fn boot_if_ready(&mut self, now: Option<Instant>) {
        let Phase::Booting { then_reload } = self.phase else { return };
        if self.slots.values().any(|slot| !slot.was_ready) {
            return;
        }
        self.phase = Phase::Running;
        self.actions.push_back(Action::Booted);
        if let (true, Some(now)) = (then_reload, now) {
            self.start_reload(now);
        }
    }

    /// Has the holder of a slot serve, now that it is ready.
    fn put_into_service(&mut self, worker: WorkerId, now: Instant) {
        if let Some(slot) = self.slots.get_mut(&worker.slot) {
            slot.was_ready = true;
            slot.serves_since = Some(now);
        }
        self.with_process(worker, now, Process::serve);
    }

    /// Asks for the next process of a slot.
    fn spawn(&mut self, slot: u32) -> WorkerId {
        let generation = self.generations.entry(slot).or_insert(0);
        *generation += 1;
        let worker = WorkerId { slot, generation: *generation };
        self.processes.insert(worker, Process::new(worker));
        self.actions.push_back(Action::Spawn(worker));
        worker
    }

    /// Takes back a spawn that the driver has not seen. Returns whether there was one.
    fn withdraw_spawn(&mut self, worker: WorkerId) -> bool {
        let before = self.actions.len();
        self.actions.retain(|action| *action != Action::Spawn(worker));
        self.actions.len() < before
    }

    /// Lets a process go that has no seat any more.
    fn retire(&mut self, worker: WorkerId, now: Instant) {
        if self.withdraw_spawn(worker) {
            self.processes.remove(&worker);
        } else {
            self.with_process(worker, now, Process::retire);
        }
    }

    fn check_standby(&mut self, worker: WorkerId) {
        if self.processes.get(&worker).is_some_and(|process| !process.is_on_standby()) {
            self.reload_lost_standby(worker);
        }
    }

    fn seat(&mut self, number: u32, seat: Seat) {
        if let Some(slot) = self.slots.get_mut(&number) {
            slot.seat = seat;
        }
    }

    fn with_process(
        &mut self,
        worker: WorkerId,
        now: Instant,
        act: impl FnOnce(&mut Process, &mut Context<'_>),
    ) {
        let mut cx = Context { config: &self.config, now, actions: &mut self.actions };
        if let Some(process) = self.processes.get_mut(&worker) {
            act(process, &mut cx);
        }
    }
}
