//! A pool over real processes: the whole crate at work, in a driver as small as one can be.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use gunmetal_supervise::{
    Action, Child, ChildSetup, Departure, Event, ExitStatus, Newborn, Poller, Pool, PoolConfig, Readiness,
    ReadyReader, ReadyWriter, Signal, Signals, StopMode, WorkerId, readiness_pipe, spawn_child,
};

use crate::Case;
use crate::cases::{sleep_long, soon};

pub(crate) const CASES: &[Case] = &[
    ("driver::a_killed_worker_is_replaced_and_a_stop_leaves_nobody", a_killed_worker_is_replaced),
    ("driver::a_worker_deaf_to_sigterm_is_killed_at_the_graceful_deadline", a_deaf_worker_is_killed),
    (
        "driver::a_worker_that_cannot_start_ends_the_pool_with_its_words",
        a_worker_that_cannot_start_ends_the_pool,
    ),
    ("driver::a_worker_that_never_gets_ready_is_ended", a_worker_that_never_gets_ready_is_ended),
    ("driver::a_reload_replaces_every_process", a_reload_replaces_every_process),
    ("driver::a_condemned_worker_dies_of_sigabrt_and_is_replaced", a_condemned_worker_is_replaced),
];

/// A single-threaded parent.
struct Driver {
    pool: Pool,
    body: fn(Newborn, ReadyWriter) -> i32,
    workers: BTreeMap<WorkerId, Worker>,
    done: Vec<Action>,
}

struct Worker {
    child: Child,
    readiness: Option<ReadyReader>,
}

#[derive(Clone, Copy)]
enum Token {
    Readiness(WorkerId),
    Ended(WorkerId),
}

impl Driver {
    fn new(config: PoolConfig, body: fn(Newborn, ReadyWriter) -> i32) -> Driver {
        Driver { pool: Pool::new(config), body, workers: BTreeMap::new(), done: Vec::new() }
    }

    /// Runs until `enough` actions have been done.
    fn run_until(&mut self, enough: impl Fn(&[Action]) -> bool) {
        let limit = soon();
        loop {
            while let Some(action) = self.pool.poll_action() {
                self.perform(&action);
                self.done.push(action);
            }
            if enough(&self.done) {
                return;
            }
            assert!(Instant::now() < limit, "waited in vain after {:?}", self.done);
            let mut poller = Poller::new();
            for (id, worker) in &self.workers {
                if let Some(readiness) = &worker.readiness {
                    poller.readable(readiness, Token::Readiness(*id));
                }
                poller.readable(&worker.child, Token::Ended(*id));
            }
            let deadline = self.pool.next_deadline().unwrap_or(limit);
            for token in poller.wait(Some(deadline)).unwrap() {
                match token {
                    Token::Readiness(id) => self.hear(id),
                    Token::Ended(id) => self.reap(id),
                }
            }
            self.pool.handle(Event::Tick, Instant::now());
        }
    }

    fn perform(&mut self, action: &Action) {
        match action {
            Action::Spawn(id) => {
                let (reader, writer) = readiness_pipe().unwrap();
                let body = self.body;
                let child = spawn_child(|newborn| body(newborn, writer)).unwrap();
                self.workers.insert(*id, Worker { child, readiness: Some(reader) });
                self.pool.handle(Event::Spawned(*id), Instant::now());
            }
            Action::Signal(id, signal) => self.workers[id].child.signal(*signal).unwrap(),
            Action::Drain(id) => self.pool.handle(Event::Drained(*id), Instant::now()),
            _ => {}
        }
    }

    fn hear(&mut self, id: WorkerId) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        let Some(reader) = &mut worker.readiness else { return };
        if let Some(readiness) = reader.read().unwrap() {
            worker.readiness = None;
            self.report(id, readiness);
        }
    }

    fn reap(&mut self, id: WorkerId) {
        let Some(mut worker) = self.workers.remove(&id) else { return };
        if let Some(reader) = worker.readiness.take() {
            self.report(id, reader.last_words());
        }
        let status = worker.child.wait().unwrap();
        self.pool.handle(Event::Exited(id, status), Instant::now());
    }

    fn report(&mut self, id: WorkerId, readiness: Readiness) {
        match readiness {
            Readiness::Ready => self.pool.handle(Event::Ready(id), Instant::now()),
            Readiness::Failed(error) => self.pool.handle(Event::InitFailed(id, error), Instant::now()),
            // The exit status says more.
            Readiness::Died => {}
        }
    }

    fn stop(&mut self, mode: StopMode) {
        self.pool.handle(Event::Stop(mode), Instant::now());
        self.run_until(|done| done.last() == Some(&Action::PoolStopped));
        assert!(self.workers.is_empty());
    }

    fn departures(&self) -> Vec<(WorkerId, Departure, Option<ExitStatus>)> {
        let departure = |action: &Action| match action {
            Action::Gone { worker, departure, status } => Some((*worker, departure.clone(), *status)),
            _ => None,
        };
        self.done.iter().filter_map(departure).collect()
    }
}

/// A test that fails leaves nobody behind.
impl Drop for Driver {
    fn drop(&mut self) {
        for worker in self.workers.values_mut() {
            let _ = worker.child.signal(Signal::SIGKILL);
            let _ = worker.child.wait();
        }
    }
}

fn config() -> PoolConfig {
    PoolConfig { size: 2, kill_grace: Duration::from_millis(100), ..PoolConfig::default() }
}

fn w(slot: u32, generation: u64) -> WorkerId {
    WorkerId { slot, generation }
}

fn killed_by(signal: Signal) -> Option<ExitStatus> {
    Some(ExitStatus::Signal { signal: signal as i32, core: false })
}

fn polite(newborn: Newborn, ready: ReadyWriter) -> i32 {
    newborn.become_child(ChildSetup::new("test: worker").keep(&ready)).unwrap();
    ready.ready().unwrap();
    sleep_long()
}

fn deaf(newborn: Newborn, ready: ReadyWriter) -> i32 {
    newborn.become_child(ChildSetup::new("test: deaf worker").keep(&ready)).unwrap();
    let _never_read = Signals::block([Signal::SIGTERM, Signal::SIGINT]).unwrap();
    ready.ready().unwrap();
    sleep_long()
}

fn unable(newborn: Newborn, ready: ReadyWriter) -> i32 {
    newborn.become_child(ChildSetup::new("test: unable worker").keep(&ready)).unwrap();
    ready.failed("no model at /models/big").unwrap();
    4
}

fn endless(newborn: Newborn, ready: ReadyWriter) -> i32 {
    newborn.become_child(ChildSetup::new("test: endless worker").keep(&ready)).unwrap();
    sleep_long()
}

fn a_killed_worker_is_replaced() {
    let mut driver = Driver::new(config(), polite);
    driver.run_until(|done| done.contains(&Action::Booted));
    driver.workers[&w(1, 1)].child.signal(Signal::SIGKILL).unwrap();
    driver.run_until(|done| done.contains(&Action::Serve(w(1, 2))));
    driver.stop(StopMode::Graceful);
    let mut departures = driver.departures();
    departures[1..].sort_by_key(|(worker, ..)| *worker);
    assert_eq!(
        departures,
        [
            (w(1, 1), Departure::Crashed, killed_by(Signal::SIGKILL)),
            (w(0, 1), Departure::Stopped, killed_by(Signal::SIGTERM)),
            (w(1, 2), Departure::Stopped, killed_by(Signal::SIGTERM)),
        ]
    );
}

fn a_deaf_worker_is_killed() {
    let config = PoolConfig { size: 1, graceful_timeout: Some(Duration::from_millis(100)), ..config() };
    let mut driver = Driver::new(config, deaf);
    driver.run_until(|done| done.contains(&Action::Booted));
    driver.stop(StopMode::Graceful);
    assert_eq!(driver.departures(), [(w(0, 1), Departure::Stopped, killed_by(Signal::SIGKILL))]);
}

fn a_worker_that_cannot_start_ends_the_pool() {
    let mut driver = Driver::new(PoolConfig { size: 1, ..config() }, unable);
    driver.run_until(|done| done.last() == Some(&Action::PoolStopped));
    let Some(Action::GiveUp(failure)) = driver.done.iter().rev().nth(1) else { panic!("{:?}", driver.done) };
    assert_eq!(failure.error, "no model at /models/big");
    assert_eq!(failure.exit_code(), 4);
}

fn a_worker_that_never_gets_ready_is_ended() {
    let boot_timeout = Some(Duration::from_millis(100));
    let mut driver = Driver::new(PoolConfig { size: 1, boot_timeout, ..config() }, endless);
    driver.run_until(|done| done.last() == Some(&Action::PoolStopped));
    let departures = driver.departures();
    assert_eq!(departures[0].1, Departure::StartupFailed("not ready after 100ms".to_owned()));
    assert_eq!(departures[0].2.unwrap().signal(), Some(Signal::SIGABRT as i32));
}

fn a_reload_replaces_every_process() {
    let mut driver = Driver::new(config(), polite);
    driver.run_until(|done| done.contains(&Action::Booted));
    let old: Vec<_> = driver.workers.values().map(|worker| worker.child.pid()).collect();
    driver.pool.handle(Event::Reload, Instant::now());
    driver.run_until(|done| done.iter().filter(|action| matches!(action, Action::Gone { .. })).count() == 2);
    let new: Vec<_> = driver.workers.values().map(|worker| worker.child.pid()).collect();
    assert_eq!(new.len(), 2);
    assert!(new.iter().all(|pid| !old.contains(pid)), "{old:?} {new:?}");
    assert!(driver.departures().iter().all(|(_, departure, _)| *departure == Departure::Retired));
    driver.stop(StopMode::Now);
}

fn a_condemned_worker_is_replaced() {
    let mut driver = Driver::new(config(), deaf);
    driver.run_until(|done| done.contains(&Action::Booted));
    driver.pool.handle(Event::Condemn(w(0, 1), "hangs".to_owned()), Instant::now());
    driver.run_until(|done| done.contains(&Action::Serve(w(0, 2))));
    let (_, departure, status) = driver.departures().remove(0);
    assert_eq!(departure, Departure::Condemned("hangs".to_owned()));
    assert_eq!(status.unwrap().signal(), Some(Signal::SIGABRT as i32));
    driver.stop(StopMode::Now);
}
