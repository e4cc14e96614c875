//! A pool with its processes: what happens to the processes is told to the pool, what the pool decides is done to them.

mod member;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::time::{Duration, Instant};

use gunmetal_supervise::{
    Action, Event, ExitStatus, Pid, Poller, Pool, PoolConfig, Readiness, RestartPolicy, Signal, WorkerId,
};

use crate::report;

pub(crate) use member::{Member, Origin, Pulse};

/// The processes of one kind.
///
/// Performs signals and reports exits, readiness and heartbeats by itself. Everything else is its owner's: it takes
/// [`next_action`](Self::next_action) until there is none, then waits for the descriptors of [`watch`](Self::watch).
#[derive(Debug)]
pub(crate) struct Crew {
    pool: Pool,
    members: BTreeMap<WorkerId, Member>,
    heartbeats: Heartbeats,
    /// What [`next_deadline`](Self::next_deadline) said last.
    asleep_until: Cell<Option<Instant>>,
    /// Silence counts from here on: this process had not run for a while, and so may not have those.
    excused: Option<Instant>,
    spawn_count: u64,
}

/// What a parent answers to, master and dirty arbiter alike; everything else keeps its default.
pub(crate) const PARENT_SIGNALS: [Signal; 10] = [
    Signal::SIGTERM,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGHUP,
    Signal::SIGTTIN,
    Signal::SIGTTOU,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGWINCH,
    Signal::SIGCHLD,
];

/// How processes that end are started again: at once, unless they do so again within seconds.
pub(crate) fn restarts() -> RestartPolicy {
    RestartPolicy {
        at_once: 1,
        base_delay: Duration::from_millis(100),
        max_delay: Duration::from_secs(30),
        period: Duration::from_secs(5),
        intensity: None,
    }
}

/// Which silence is the sign of a hang.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heartbeats {
    /// None.
    Ignored,
    /// One as long as this, of one that has started.
    Expected(Duration),
    /// One as long as this, from the fork to the end.
    Throughout(Duration),
    /// One as long as this, after a first touch by the process itself.
    OnceBegun(Duration),
}

/// Something that can be waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Watch {
    Readiness(WorkerId),
    Wish(WorkerId),
    Exit(WorkerId),
}

impl Crew {
    pub(crate) fn new(config: PoolConfig, heartbeats: Heartbeats) -> Self {
        let pool = Pool::new(PoolConfig { jitter_seed: seed(), ..config });
        Self::of(pool, BTreeMap::new(), heartbeats, 0)
    }

    /// A crew that takes over the processes of one whose parent died; see [`Pool::adopting`].
    pub(crate) fn adopting(
        config: PoolConfig,
        heartbeats: Heartbeats,
        past: Vec<WorkerId>,
        adopted: Vec<(WorkerId, Member)>,
    ) -> Self {
        let config = PoolConfig { jitter_seed: seed(), ..config };
        let pool = Pool::adopting(config, past, adopted.iter().map(|(worker, _)| *worker));
        let spawn_count = adopted.iter().map(|(_, member)| member.age()).max().unwrap_or(0);
        Self::of(pool, adopted.into_iter().collect(), heartbeats, spawn_count)
    }

    fn of(pool: Pool, members: BTreeMap<WorkerId, Member>, heartbeats: Heartbeats, spawn_count: u64) -> Self {
        Self { pool, members, heartbeats, asleep_until: Cell::new(None), excused: None, spawn_count }
    }

    pub(crate) fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Goes by other settings from now on.
    pub(crate) fn set_config(&mut self, config: PoolConfig, heartbeats: Heartbeats) {
        self.pool.set_config(PoolConfig { jitter_seed: seed(), ..config });
        self.heartbeats = heartbeats;
    }

    pub(crate) fn handle(&mut self, event: Event) {
        self.pool.handle(event, Instant::now());
    }

    /// How many processes have been asked for, the next one included: its age.
    pub(crate) fn next_age(&mut self) -> u64 {
        self.spawn_count += 1;
        self.spawn_count
    }

    /// Takes the outcome of an [`Action::Spawn`].
    pub(crate) fn spawned(&mut self, worker: WorkerId, outcome: io::Result<Member>) -> Option<Pid> {
        match outcome {
            Ok(member) => {
                let pid = member.child.pid();
                self.members.insert(worker, member);
                self.handle(Event::Spawned(worker));
                Some(pid)
            }
            Err(error) => {
                self.handle(Event::SpawnFailed(worker, report::chain(&error)));
                None
            }
        }
    }

    /// The next action that the owner has to perform. Signals are sent on the way, through `translate`, which may
    /// change them or do something else in their place.
    pub(crate) fn next_action(
        &mut self,
        mut translate: impl FnMut(&Member, Signal) -> Option<Signal>,
    ) -> Option<Action> {
        loop {
            match self.pool.poll_action()? {
                Action::Signal(worker, signal) => {
                    let Some(member) = self.members.get(&worker) else { continue };
                    let pid = member.child.pid().as_raw();
                    match signal {
                        Signal::SIGKILL => tracing::error!(%worker, pid, "Worker was sent SIGKILL"),
                        Signal::SIGABRT => tracing::error!(%worker, pid, "Worker was sent SIGABRT"),
                        _ => tracing::debug!(%worker, pid, signal = signal.as_str(), "signal sent"),
                    }
                    let signal = translate(member, signal);
                    if let Some(Err(error)) = signal.map(|signal| member.child.signal(signal)) {
                        tracing::error!(%worker, pid, %error, "signal refused");
                    }
                }
                action => return Some(action),
            }
        }
    }

    /// Sends a signal to every process, whatever the pool thinks of it.
    pub(crate) fn signal_all(&self, signal: Signal) {
        for (worker, member) in &self.members {
            if let Err(error) = member.child.signal(signal) {
                tracing::error!(%worker, %error, signal = signal.as_str(), "signal refused");
            }
        }
    }

    pub(crate) fn pids(&self) -> impl Iterator<Item = Pid> {
        self.members.values().map(Member::pid)
    }

    pub(crate) fn member(&self, worker: WorkerId) -> Option<&Member> {
        self.members.get(&worker)
    }

    /// Lets go of a process that is gone: its [`Action::Gone`] has been seen.
    pub(crate) fn forget(&mut self, worker: WorkerId) -> Option<Member> {
        self.members.remove(&worker)
    }

    /// Names the slots that stay when there are to be fewer.
    pub(crate) fn keep_slots(&mut self, slots: impl IntoIterator<Item = u32>) {
        self.pool.set_essential(slots);
    }

    /// How many places there are.
    pub(crate) fn slot_count(&self) -> u32 {
        u32::try_from(self.pool.slots().len()).unwrap_or(u32::MAX)
    }

    pub(crate) fn watch<'fd, T>(&'fd self, poller: &mut Poller<'fd, T>, token: impl Fn(Watch) -> T) {
        for (worker, member) in &self.members {
            // Before the exit: last words are to be read before the end is told.
            if let Some(readiness) = &member.readiness {
                poller.readable(readiness, token(Watch::Readiness(*worker)));
            }
            if let Some(wish) = &member.wish {
                poller.readable(wish, token(Watch::Wish(*worker)));
            }
            poller.readable(&member.child, token(Watch::Exit(*worker)));
        }
    }

    /// When [`tick`](Self::tick) has something to do.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let now = Instant::now();
        let silences = self.members.values().filter_map(|member| Some(now + self.patience(member)?));
        let deadline = self.pool.next_deadline().into_iter().chain(silences).min();
        self.asleep_until.set(deadline);
        deadline
    }

    /// Tells the pool that time has passed, and who is silent.
    pub(crate) fn tick(&mut self) {
        let now = Instant::now();
        if self.asleep_until.take().is_some_and(|until| now.saturating_duration_since(until) > OVERSLEPT) {
            self.excused = Some(now);
        }
        let silent = |(worker, member): (&WorkerId, &Member)| {
            self.patience(member).is_some_and(|patience| patience.is_zero()).then_some(*worker)
        };
        let silent: Vec<WorkerId> = self.members.iter().filter_map(silent).collect();
        for worker in silent {
            if let Some(member) = self.members.get_mut(&worker) {
                let pid = member.child.pid().as_raw();
                tracing::error!(%worker, pid, "Worker timed out: no heartbeat");
                // Said once; the pool sees to its end.
                member.heartbeat = None;
            }
            self.handle(Event::HeartbeatStale(worker));
        }
        self.handle(Event::Tick);
    }

    /// Takes what a descriptor has to tell.
    pub(crate) fn news(&mut self, watch: Watch) {
        match watch {
            Watch::Readiness(worker) => self.read_readiness(worker),
            Watch::Wish(worker) => self.read_wish(worker),
            Watch::Exit(worker) => self.reap(worker),
        }
    }

    fn read_wish(&mut self, worker: WorkerId) {
        let Some(wish) = self.members.get_mut(&worker).and_then(|member| member.wish.take()) else { return };
        match wish.read() {
            Ok(Some(reason)) => self.handle(Event::Recycle(worker, reason)),
            // It ends, or never wishes for anything.
            Ok(None) => {}
            Err(error) => tracing::warn!(%worker, %error, "a worker's wish cannot be read"),
        }
    }

    fn read_readiness(&mut self, worker: WorkerId) {
        let Some(member) = self.members.get_mut(&worker) else { return };
        let Some(reader) = &mut member.readiness else { return };
        let readiness = match reader.read() {
            Ok(None) => return,
            Ok(Some(readiness)) => readiness,
            Err(error) => Readiness::Failed(format!("readiness pipe: {error}")),
        };
        member.readiness = None;
        self.tell(worker, readiness);
    }

    fn reap(&mut self, worker: WorkerId) {
        let Some(member) = self.members.get_mut(&worker) else { return };
        let status = match member.child.try_wait() {
            Ok(None) => return,
            Ok(Some(status)) => status,
            Err(error) => {
                // Somebody else reaped it: it is gone all the same, and nobody knows how.
                tracing::error!(%worker, %error, "exit status lost");
                ExitStatus::Unknown
            }
        };
        if let Some(reader) = member.readiness.take() {
            self.tell(worker, reader.last_words());
        }
        self.handle(Event::Exited(worker, status));
    }

    fn tell(&mut self, worker: WorkerId, readiness: Readiness) {
        match readiness {
            Readiness::Ready => self.handle(Event::Ready(worker)),
            Readiness::Failed(reason) => self.handle(Event::InitFailed(worker, reason)),
            // Its exit follows.
            Readiness::Died => {}
        }
    }

    fn remaining(&self, pulse: &Pulse, timeout: Duration) -> Duration {
        let age = pulse.heartbeat.age().unwrap_or_default();
        timeout.saturating_sub(self.excused.map_or(age, |excused| age.min(excused.elapsed())))
    }

    /// How much longer the process may be silent; `None` for ever.
    fn patience(&self, member: &Member) -> Option<Duration> {
        let pulse = member.heartbeat.as_ref()?;
        let timeout = match self.heartbeats {
            Heartbeats::Ignored => return None,
            Heartbeats::Expected(timeout) => timeout,
            Heartbeats::Throughout(timeout) => return Some(self.remaining(pulse, timeout)),
            Heartbeats::OnceBegun(timeout) => {
                let begun = pulse.heartbeat.last_touch().is_ok_and(|touch| touch > pulse.before);
                // Looked at again by then: the first touch wakes nobody.
                return Some(if begun { self.remaining(pulse, timeout) } else { timeout });
            }
        };
        // A worker that still starts is the boot timeout's.
        if member.readiness.is_some() { Some(timeout) } else { Some(self.remaining(pulse, timeout)) }
    }
}

/// Who wakes up so much later than it wanted to was stopped, or the whole machine was: heartbeats that are old then say
/// nothing about who should have beaten.
const OVERSLEPT: Duration = Duration::from_secs(1);

/// A number from the kernel: anything else would be the same in every process of the service.
pub(crate) fn seed() -> u64 {
    let mut bytes = [0; 8];
    // Without it restarts are not spread, which is no reason to do without them.
    let _ = File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
    u64::from_ne_bytes(bytes)
}
