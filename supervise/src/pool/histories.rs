//! Long random histories keep the machine's invariants.
//!
//! A simulated system performs the actions, possibly late; its processes obey or ignore signals as chance has it, and
//! only SIGKILL always works. Every step is followed by all checks.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use proptest::prelude::*;

use crate::{
    Action, Event, ExitStatus, Pool, PoolConfig, RestartPolicy, Signal, StopMode, WorkerId, WorkerState,
};

/// One thing that happens. Numbers pick from whatever there is then.
#[derive(Debug, Clone)]
enum Step {
    /// The driver gets round to this many actions.
    Perform(usize),
    Wait(Duration),
    Ready(usize),
    InitFailed(usize),
    Exit(usize),
    Condemn(usize),
    Drained(usize),
    HeartbeatStale(usize),
    Recycle(usize),
    Resize(u32),
    Essential(u32),
    Reload,
    Stop(StopMode),
    /// News that is old, repeated or invented, about any worker that ever was.
    Stale(usize, usize),
    /// From now on forks fail, or not.
    ForksFail(bool),
    /// From now on a fork is reported only when the driver gets round to it again, or at once.
    ForksLag(bool),
    /// From now on new processes ignore polite signals, or not.
    Stubborn(bool),
}

fn step() -> impl Strategy<Value = Step> {
    let which = || 0_usize..32;
    prop_oneof![
        12 => (1_usize..6).prop_map(Step::Perform),
        8 => (0_u64..40_000).prop_map(|ms| Step::Wait(Duration::from_millis(ms))),
        12 => which().prop_map(Step::Ready),
        1 => which().prop_map(Step::InitFailed),
        4 => which().prop_map(Step::Exit),
        3 => which().prop_map(Step::Condemn),
        4 => which().prop_map(Step::Drained),
        2 => which().prop_map(Step::HeartbeatStale),
        4 => which().prop_map(Step::Recycle),
        2 => (0_u32..9).prop_map(Step::Resize),
        1 => (0_u32..9).prop_map(Step::Essential),
        2 => Just(Step::Reload),
        4 => (which(), 0_usize..9).prop_map(|(worker, kind)| Step::Stale(worker, kind)),
        1 => any::<bool>().prop_map(Step::ForksFail),
        1 => any::<bool>().prop_map(Step::ForksLag),
        1 => any::<bool>().prop_map(Step::Stubborn),
    ]
}

/// What replaces workers that are well, and what may go wrong with their successors.
fn renewal() -> impl Strategy<Value = Step> {
    let which = || 0_usize..32;
    prop_oneof![
        6 => (1_usize..6).prop_map(Step::Perform),
        4 => (0_u64..40_000).prop_map(|ms| Step::Wait(Duration::from_millis(ms))),
        6 => which().prop_map(Step::Ready),
        2 => which().prop_map(Step::InitFailed),
        3 => which().prop_map(Step::Drained),
        6 => which().prop_map(Step::Recycle),
        2 => Just(Step::Reload),
        1 => any::<bool>().prop_map(Step::ForksFail),
        1 => any::<bool>().prop_map(Step::ForksLag),
    ]
}

/// Most begin with a boot that succeeds, or there would be little to see; some are stopped, in one way or in both.
fn history() -> impl Strategy<Value = Vec<Step>> {
    let mode = prop_oneof![Just(StopMode::Graceful), Just(StopMode::Now)];
    let step = prop_oneof![1000 => step(), 1 => mode.prop_map(Step::Stop)];
    let boot = [Step::Perform(16)].into_iter().chain((0..16).map(Step::Ready)).collect::<Vec<_>>();
    let start = prop_oneof![4 => Just(boot), 1 => Just(Vec::new())];
    let steps = prop::collection::vec(step, 1..300);
    (start, steps).prop_map(|(start, steps)| [start, steps].concat())
}

fn config() -> impl Strategy<Value = PoolConfig> {
    let size = 0_u32..5;
    let boot_timeout = prop::option::of(Just(Duration::from_secs(20)));
    let intensity = prop::option::weighted(0.2, 0_u32..4);
    (size, 0_u32..3, boot_timeout, intensity).prop_map(|(size, minimum, boot_timeout, intensity)| {
        PoolConfig {
            size,
            minimum,
            maximum: 6,
            boot_timeout,
            restarts: RestartPolicy { intensity, ..RestartPolicy::default() },
            ..PoolConfig::default()
        }
    })
}

/// A process that the simulated kernel runs.
struct Process {
    is_stubborn: bool,
    /// It has said that it is ready, or that it is not.
    has_spoken: bool,
}

/// The machine, the system under it, and what has been seen of both.
struct World {
    pool: Pool,
    now: Instant,
    living: BTreeMap<WorkerId, Process>,
    spawned: BTreeSet<WorkerId>,
    gone: BTreeSet<WorkerId>,
    serving: BTreeSet<WorkerId>,
    /// Forks under way.
    forking: Vec<WorkerId>,
    forks_fail: bool,
    forks_lag: bool,
    stubborn: bool,
    stop_seen: bool,
    stopped_count: u32,
    booted_count: u32,
    give_up_count: u32,
    reloads_open: u32,
}

impl World {
    /// `adopted` is how many workers serve from the beginning.
    fn new(config: PoolConfig, adopted: u32) -> World {
        let adopted =
            || (0..adopted).map(|slot| WorkerId { slot: slot * 2, generation: 1 + u64::from(slot) });
        World {
            pool: Pool::adopting(config, [], adopted()),
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

    fn take(&mut self, step: Step) {
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

    fn tell(&mut self, event: Event) {
        self.pool.handle(event, self.now);
        self.check();
    }

    fn stop(&mut self, mode: StopMode) {
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

    fn perform(&mut self, count: usize) {
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
    fn heal(&mut self) {
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
    fn let_time_pass(&mut self) {
        self.forks_lag = false;
        for _ in 0..1000 {
            self.perform(usize::MAX);
            let Some(deadline) = self.pool.next_deadline() else { return };
            self.wait(deadline.saturating_duration_since(self.now));
        }
        panic!("there is always one more deadline: {:?}", self.pool);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn every_stop_ends_with_nobody_left(
        (config, history, adopted) in (config(), history(), 0_u32..3),
        graceful: bool,
    ) {
        let mut world = World::new(config, adopted);
        for step in history {
            world.take(step);
        }
        world.stop(if graceful { StopMode::Graceful } else { StopMode::Now });
        world.let_time_pass();
        prop_assert!(world.pool.is_stopped());
        prop_assert!(world.living.is_empty());
        prop_assert_eq!(world.stopped_count, 1);
        prop_assert_eq!(&world.spawned, &world.gone);
    }

    #[test]
    fn the_pool_returns_to_its_size_when_all_is_well(
        (config, history, adopted) in (config(), history(), 0_u32..3),
    ) {
        let mut world = World::new(config, adopted);
        for step in history {
            world.take(step);
        }
        world.heal();
        if world.stop_seen || world.give_up_count > 0 {
            prop_assert!(world.pool.is_stopped());
            return Ok(());
        }
        let expected: Vec<_> = world.pool.slots().map(|slot| (slot, WorkerState::Serving)).collect();
        let workers: Vec<_> = world.pool.workers().map(|(worker, state)| (worker.slot, state)).collect();
        prop_assert_eq!(workers, expected);
        prop_assert_eq!(world.serving.len(), world.pool.slots().len());
        prop_assert_eq!(world.living.len(), world.pool.slots().len());
        prop_assert_eq!(world.booted_count, 1);
        prop_assert_eq!(world.reloads_open, 0);
        prop_assert_eq!(world.pool.next_deadline(), None);
    }

    #[test]
    fn reloads_and_recycles_leave_no_slot_without_service(
        config in config(),
        steps in prop::collection::vec(renewal(), 1..200),
    ) {
        let config = PoolConfig { restarts: RestartPolicy::default(), ..config };
        let mut world = World::new(config, 0);
        world.perform(usize::MAX);
        (0..16).for_each(|nth| world.take(Step::Ready(nth)));
        for step in steps {
            world.take(step);
            let workers = world.pool.workers().filter(|(_, state)| *state == WorkerState::Serving);
            let served: Vec<_> = workers.map(|(worker, _)| worker.slot).collect();
            prop_assert_eq!(served, world.pool.slots().collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_pool_is_as_large_as_it_was_last_told((config, history) in (config(), history()), wanted in 0_u32..9) {
        let mut world = World::new(config.clone(), 0);
        for step in history {
            world.take(step);
        }
        world.pool.set_essential([]);
        world.tell(Event::Resize(wanted));
        world.heal();
        if !world.stop_seen && world.give_up_count == 0 {
            let expected = wanted.min(config.maximum).max(config.minimum);
            prop_assert_eq!(world.serving.len(), expected as usize);
        }
    }
}
