//! A system that does what the pool asks for, in its own time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::Step;
use crate::{Action, Event, ExitStatus, Pool, PoolConfig, Signal, StopMode, WorkerId, WorkerState};

/// A process that the simulated kernel runs.
pub(super) struct Process {
    is_stubborn: bool,
    /// It has said that it is ready, or that it is not.
    has_spoken: bool,
}

/// The machine, the system under it, and what has been seen of both.
pub(super) struct World {
    pub(super) pool: Pool,
    now: Instant,
    pub(super) living: BTreeMap<WorkerId, Process>,
    pub(super) spawned: BTreeSet<WorkerId>,
    pub(super) gone: BTreeSet<WorkerId>,
    pub(super) serving: BTreeSet<WorkerId>,
    /// Forks under way.
    forking: Vec<WorkerId>,
    forks_fail: bool,
    forks_lag: bool,
    stubborn: bool,
    pub(super) stop_seen: bool,
    pub(super) stopped_count: u32,
    pub(super) booted_count: u32,
    pub(super) give_up_count: u32,
    pub(super) reloads_open: u32,
}

impl World {
    /// `adopted` is how many workers serve from the beginning.
    pub(super) fn new(config: PoolConfig, adopted: u32) -> World {
        let adopted =
            || (0..adopted).map(|slot| WorkerId { slot: slot * 2, generation: 1 + u64::from(slot) });
        World {
            pool: if adopted().next().is_some() {
                Pool::adopting(config, [], adopted())
            } else {
                Pool::new(config)
            },
            now: Instant::now(),
            living: adopted()
                .map(|worker| (worker, Process { is_stubborn: false, has_spoken: true }))
                .collect(),
            spawned: adopted().collect(),
            gone: BTreeSet::new(),
            serving: BTreeSet::new(),
            forking: Vec::new(),
            forks_fail: false,
            forks_lag: false,
            stubborn: false,
            stop_seen: false,
            stopped_count: 0,
            booted_count: 0,
            give_up_count: 0,
            reloads_open: 0,
        }
    }

    pub(super) fn take(&mut self, step: Step) {
        match step {
            Step::Perform(count) => self.perform(count),
            Step::Wait(time) => self.wait(time),
            Step::Ready(nth) => self.speak(nth, Event::Ready),
            Step::InitFailed(nth) => self.speak(nth, |worker| Event::InitFailed(worker, "no".to_owned())),
            Step::Exit(nth) => {
                if let Some(worker) = self.nth_living(nth) {
                    self.end(worker, ExitStatus::Code(1));
                }
            }
            Step::Condemn(nth) => self.tell_of(nth, |worker| Event::Condemn(worker, "hangs".to_owned())),
            Step::Drained(nth) => self.tell_of(nth, Event::Drained),
            Step::HeartbeatStale(nth) => self.tell_of(nth, Event::HeartbeatStale),
            Step::Recycle(nth) => {
                self.tell_of(nth, |worker| Event::Recycle(worker, "had its share".to_owned()))
            }
            Step::Resize(wanted) => self.tell(Event::Resize(wanted)),
            Step::Essential(slot) => self.pool.set_essential([slot]),
            Step::Reload => self.tell(Event::Reload),
            Step::Stop(mode) => self.stop(mode),
            Step::Stale(nth, kind) => self.tell_stale(nth, kind),
            Step::ForksFail(fail) => self.forks_fail = fail,
            Step::ForksLag(lag) => self.forks_lag = lag,
            Step::Stubborn(stubborn) => self.stubborn = stubborn,
        }
    }

    pub(super) fn tell(&mut self, event: Event) {
        self.pool.handle(event, self.now);
        self.check();
    }

    pub(super) fn stop(&mut self, mode: StopMode) {
        self.stop_seen = true;
        self.tell(Event::Stop(mode));
    }

    fn tell_of(&mut self, nth: usize, event: impl FnOnce(WorkerId) -> Event) {
        if let Some(worker) = self.nth_living(nth) {
            self.tell(event(worker));
        }
    }

    fn speak(&mut self, nth: usize, event: impl FnOnce(WorkerId) -> Event) {
        let silent: Vec<_> = self.living.iter().filter(|(_, process)| !process.has_spoken).collect();
        if silent.is_empty() {
            return;
        }
        let worker = *silent[nth % silent.len()].0;
        self.living.get_mut(&worker).unwrap().has_spoken = true;
        self.tell(event(worker));
    }

    /// News of a worker that is gone changes nothing; old news of one that lives does no harm.
    fn tell_stale(&mut self, nth: usize, kind: usize) {
        let Some(worker) = self.spawned.iter().copied().nth(nth % self.spawned.len().max(1)) else { return };
        let is_gone = self.gone.contains(&worker);
        let event = match kind {
            0 => Event::Spawned(worker),
            1 => Event::Ready(worker),
            2 => Event::Drained(worker),
            3 if is_gone => Event::Condemn(worker, "old news".to_owned()),
            4 if is_gone => Event::HeartbeatStale(worker),
            5 if is_gone => Event::InitFailed(worker, "old news".to_owned()),
            6 if is_gone => Event::Exited(worker, ExitStatus::Code(0)),
            8 if is_gone => Event::Recycle(worker, "old news".to_owned()),
            7 if is_gone => Event::SpawnFailed(worker, "old news".to_owned()),
            _ => return,
        };
        if is_gone {
            let before = format!("{:?}", self.pool);
            self.tell(event.clone());
            assert_eq!(before, format!("{:?}", self.pool), "{event:?} of a worker that is gone");
        } else if self.living.contains_key(&worker) {
            self.tell(event);
        }
    }

    fn wait(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(deadline) = self.pool.next_deadline().filter(|deadline| *deadline <= until) {
            self.now = self.now.max(deadline);
            self.tell(Event::Tick);
            let next = self.pool.next_deadline();
            assert!(next.is_none_or(|next| next > self.now), "a deadline is still due after its tick");
        }
        self.now = until;
    }

    pub(super) fn perform(&mut self, count: usize) {
        for worker in std::mem::take(&mut self.forking) {
            self.fork(worker);
        }
        for _ in 0..count {
            let Some(action) = self.pool.poll_action() else { return };
            self.act(action);
        }
    }

    fn act(&mut self, action: Action) {
        assert_eq!(self.stopped_count, 0, "after the end: {action:?}");
        match action {
            Action::Spawn(worker) => {
                assert!(!self.stop_seen && self.give_up_count == 0, "{worker} spawned after a stop");
                assert!(self.spawned.insert(worker), "{worker} spawned twice");
                match self.forks_lag {
                    true => self.forking.push(worker),
                    false => self.fork(worker),
                }
            }
            Action::Serve(worker) => assert!(self.serving.insert(worker), "{worker} serves twice"),
            Action::Drain(worker) => {
                assert!(self.serving.remove(&worker), "{worker} drains, but never served")
            }
            Action::Signal(worker, signal) => {
                self.serving.remove(&worker);
                assert!(self.spawned.contains(&worker), "{signal} for {worker}, which was never spawned");
                let Some(process) = self.living.get(&worker) else { return };
                if signal == Signal::SIGKILL || !process.is_stubborn {
                    self.end(worker, ExitStatus::Signal { signal: signal as i32, core: false });
                }
            }
            Action::Gone { worker, .. } => {
                self.serving.remove(&worker);
                assert!(self.spawned.contains(&worker), "{worker} gone, but never spawned");
                assert!(self.gone.insert(worker), "{worker} gone twice");
                assert!(!self.living.contains_key(&worker), "{worker} lives");
            }
            Action::Booted => self.booted_count += 1,
            Action::ReloadStarted => self.reloads_open += 1,
            Action::ReloadDone | Action::ReloadFailed(_) => self.reloads_open -= 1,
            Action::GiveUp(_) => self.give_up_count += 1,
            Action::PoolStopped => self.stopped_count += 1,
            Action::RecycleStarted { worker, .. } => {
                assert!(self.spawned.contains(&worker), "{worker} recycled, but never spawned");
            }
            Action::BackingOff { .. } | Action::Resized { .. } | Action::RecycleFailed { .. } => {}
        }
        assert!(self.booted_count <= 1 && self.give_up_count <= 1 && self.reloads_open <= 1);
    }

    fn fork(&mut self, worker: WorkerId) {
        if self.forks_fail {
            self.tell(Event::SpawnFailed(worker, "no memory".to_owned()));
        } else {
            self.living.insert(worker, Process { is_stubborn: self.stubborn, has_spoken: false });
            self.tell(Event::Spawned(worker));
        }
    }

    fn end(&mut self, worker: WorkerId, status: ExitStatus) {
        self.living.remove(&worker);
        self.tell(Event::Exited(worker, status));
    }

    fn nth_living(&self, nth: usize) -> Option<WorkerId> {
        self.living.keys().copied().nth(nth % self.living.len().max(1))
    }

    /// What must hold after every single event.
    fn check(&self) {
        let mut served = BTreeSet::new();
        for (worker, state) in self.pool.workers() {
            if state == WorkerState::Serving {
                assert!(served.insert(worker.slot), "two processes serve slot {}", worker.slot);
            }
            assert!(!self.gone.contains(&worker), "{worker} is gone and still there");
        }
        for worker in self.living.keys() {
            assert!(self.pool.worker_state(*worker).is_some(), "{worker} lives and is forgotten");
        }
    }

    /// Forks work and processes are well, from now on.
    pub(super) fn heal(&mut self) {
        (self.forks_fail, self.forks_lag, self.stubborn) = (false, false, false);
        for _ in 0..200 {
            self.perform(usize::MAX);
            for nth in 0..self.living.len() {
                self.speak(nth, Event::Ready);
            }
            let draining: Vec<_> = self
                .pool
                .workers()
                .filter(|(_, state)| *state == WorkerState::Draining)
                .map(|(worker, _)| worker)
                .collect();
            for worker in draining {
                self.tell(Event::Drained(worker));
            }
            self.wait(Duration::from_secs(30));
        }
    }

    /// Nothing but time passes, from now on.
    pub(super) fn let_time_pass(&mut self) {
        self.forks_lag = false;
        for _ in 0..1000 {
            self.perform(usize::MAX);
            let Some(deadline) = self.pool.next_deadline() else { return };
            self.wait(deadline.saturating_duration_since(self.now));
        }
        panic!("there is always one more deadline: {:?}", self.pool);
    }
}
