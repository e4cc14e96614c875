//! The dirty arbiter: forks, reaps and times out the dirty workers and the router; touches no call.
//!
//! ```text
//!               Running ──TERM──▶ DrainingRouter ──router gone──▶ StoppingWorkers ──▶ end
//!                  │ QUIT               │ deadline, QUIT
//!                  └────────────────────┴─▶ StoppingWorkers, at once
//! ```
//!
//! Its two crews are a pool of one, the router, and a pool of dirty workers. The router is told about a worker when
//! that is ready, when it shall get nothing new, and when it is gone; a router that replaces a dead one is told about
//! all that live. The workers know nothing of it: they wait for whoever connects next.

mod actions;
mod adoption;
mod availability;
mod predecessor;
mod process;
mod recycling;
mod router_link;
mod router_news;
mod router_process;
mod run_file;
mod scaling;
mod status;
mod worker_files;
mod worker_lifeline;
mod worker_process;

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use gunmetal_supervise::{
    Event, Parent, Poller, PoolConfig, ReadyWriter, RestartPolicy, Signal, Signals, StopMode, WorkerId,
};

use crate::crew::{Crew, Heartbeats, Watch, restarts};
use crate::link::ToRouter;
use crate::{DirtyConfig, ServiceError};

use adoption::Legacy;
use availability::Availability;
use recycling::Recycling;
use router_link::RouterLink;
use scaling::{Adding, MOST_BY_SCALING};

pub(crate) use adoption::end_orphans;
pub use process::run_dirty_only;
pub(crate) use process::{DirtySocket, Heritage, prepare, sign_run_dir, spawn};

/// The dirty arbiter's loop and everything it owns.
struct DirtyArbiter<'a> {
    config: &'a DirtyConfig,
    /// Its listener is inherited by routers and touched by nobody here.
    socket: &'a DirtySocket,
    run_dir: PathBuf,
    signals: Signals,
    /// `None` where there is no master.
    parent: Option<Parent>,
    /// Where the master waits for the news that everything is in service.
    ready: Option<ReadyWriter>,
    workers: Crew,
    router: Crew,
    link: Link,
    availability: Availability,
    recycling: Recycling,
    /// Questions of clients for more workers.
    adding: Vec<Adding>,
    booted: Booted,
    phase: Phase,
    is_orphan: bool,
    failure: Option<ServiceError>,
}

/// Whether a service has had a dirty arbiter before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// No: a worker that fails to start ends everything.
    First,
    /// Yes, and it has left what it had.
    Next,
}

/// What there is of a router.
enum Link {
    /// None: it is being replaced, or has ended.
    Down,
    /// It has not yet said that it accepts clients.
    Starting(WorkerId, RouterLink),
    Up(RouterLink),
}

/// Which crews have been in service as a whole.
#[derive(Default)]
struct Booted {
    workers: bool,
    router: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    /// The calls that the router has are finished, then it ends.
    DrainingRouter {
        until: Instant,
    },
    StoppingWorkers {
        until: Instant,
    },
    Done,
}

#[derive(Clone, Copy)]
enum Token {
    Signal,
    Parent,
    LinkIn,
    LinkOut,
    Router(Watch),
    Worker(Watch),
}

/// How it ended.
struct Ending {
    result: Result<(), ServiceError>,
    /// Still there if nothing was ever in service.
    ready: Option<ReadyWriter>,
    /// Whether the master died first, so that nobody else removes what the two have in the file system.
    is_orphan: bool,
}

impl<'a> DirtyArbiter<'a> {
    fn new(
        config: &'a DirtyConfig,
        socket: &'a DirtySocket,
        run_dir: &Path,
        signals: Signals,
        parent: Option<Parent>,
        ready: Option<ReadyWriter>,
        turn: Turn,
    ) -> Self {
        for shortage in config.allocation.shortages(config.workers) {
            let (app, wanted, found) = (shortage.path, shortage.wanted, shortage.found);
            tracing::warn!(
                app,
                "{app} asks for {wanted} workers, but there are only {found}: it will live in {found}"
            );
        }
        let size = config.workers.min(config.allocation.most_useful().unwrap_or(u32::MAX));
        if size < config.workers {
            tracing::warn!(
                "dirty_workers is {}, but the apps are limited to {size} workers: no more are started",
                config.workers
            );
        }
        // Without a master whoever was there before had another run directory, and nobody kept its workers alive.
        let legacy = parent
            .as_ref()
            .filter(|_| turn == Turn::Next)
            .map(|master| Legacy::take_over(run_dir, config, master.pid()));
        let timeout = config.timeout;
        let workers = PoolConfig {
            size: legacy.as_ref().and_then(|legacy| legacy.slot_count).unwrap_or(size),
            minimum: config.allocation.minimum().min(size),
            maximum: MOST_BY_SCALING.max(config.workers),
            boot_timeout: timeout.map(|timeout| timeout.max(LEAST_BOOT_TIMEOUT)),
            graceful_timeout: Some(config.graceful_timeout),
            condemn_timeout: timeout.unwrap_or(config.graceful_timeout).min(config.graceful_timeout),
            restarts: restarts(),
            ..PoolConfig::default()
        };
        let heartbeats = timeout.map_or(Heartbeats::Ignored, |timeout| {
            Heartbeats::Expected(timeout.max(LEAST_HEARTBEAT_TIMEOUT))
        });
        let router = PoolConfig {
            // When the time is up it has something to say to those who still wait: it is told to stop, not killed.
            graceful_timeout: Some(config.graceful_timeout.saturating_add(LEAST_CLOSE_TIMEOUT)),
            // Nobody is served without one, so it is worth trying often.
            restarts: RestartPolicy {
                at_once: ROUTERS_AT_ONCE,
                max_delay: LONGEST_ROUTER_DELAY,
                ..restarts()
            },
            ..PoolConfig::default()
        };
        let router_heartbeats =
            router_process::silence(config).map_or(Heartbeats::Ignored, Heartbeats::Expected);
        let mut crew = match legacy {
            Some(Legacy { past, adopted, .. }) => Crew::adopting(workers, heartbeats, past, adopted),
            None => Crew::new(workers, heartbeats),
        };
        // The log file may have been moved away while nobody was there to tell the adopted.
        crew.signal_all(Signal::SIGUSR1);
        crew.keep_slots(0..config.allocation.limited_slots());
        Self {
            config,
            socket,
            run_dir: run_dir.to_owned(),
            signals,
            parent,
            ready,
            workers: crew,
            router: Crew::new(router, router_heartbeats),
            link: Link::Down,
            availability: Availability::default(),
            recycling: Recycling::new(config),
            adding: Vec::new(),
            booted: Booted::default(),
            phase: Phase::Running,
            is_orphan: false,
            failure: None,
        }
    }

    /// Runs until everything has ended.
    fn run(mut self) -> Ending {
        let result = self.run_loop();
        let result = result.and_then(|()| self.failure.map_or(Ok(()), Err));
        Ending { result, ready: self.ready, is_orphan: self.is_orphan }
    }

    fn run_loop(&mut self) -> Result<(), ServiceError> {
        loop {
            self.perform();
            self.answer_adding();
            if self.phase == Phase::Done {
                return Ok(());
            }
            for token in self.wait().map_err(ServiceError::system("wait for events"))? {
                match token {
                    Token::Signal => self.read_signals()?,
                    Token::Parent => self.parent_gone(),
                    Token::LinkIn => self.read_link(),
                    Token::LinkOut => self.link.open().into_iter().for_each(RouterLink::flush),
                    Token::Router(watch) => self.router.news(watch),
                    Token::Worker(watch) => self.workers.news(watch),
                }
            }
            self.router.tick();
            self.workers.tick();
            self.look_at_memory();
            if self.phase.deadline().is_some_and(|until| Instant::now() >= until) {
                tracing::warn!("calls still run after dirty_graceful_timeout and are cut");
                self.stop(StopMode::Now);
            }
        }
    }

    fn wait(&self) -> io::Result<Vec<Token>> {
        let mut poller = Poller::new();
        poller.readable(&self.signals, Token::Signal);
        if let Some(parent) = &self.parent {
            poller.readable(parent, Token::Parent);
        }
        if let Link::Starting(_, link) | Link::Up(link) = &self.link {
            poller.readable(link, Token::LinkIn);
            if link.wants_write() {
                poller.writable(link, Token::LinkOut);
            }
        }
        self.router.watch(&mut poller, Token::Router);
        self.workers.watch(&mut poller, Token::Worker);
        let deadlines = [
            self.router.next_deadline(),
            self.workers.next_deadline(),
            self.phase.deadline(),
            self.recycling.next_look(),
            self.adding_deadline(),
        ];
        poller.wait(deadlines.into_iter().flatten().min())
    }

    fn read_signals(&mut self) -> Result<(), ServiceError> {
        while let Some(signal) = self.signals.read().map_err(ServiceError::system("read signals"))? {
            match signal {
                // Nobody else counts here: a master that wants it at once says SIGQUIT.
                Signal::SIGTERM | Signal::SIGINT if self.parent.is_none() && self.phase != Phase::Running => {
                    self.stop(StopMode::Now);
                }
                Signal::SIGTERM | Signal::SIGINT => self.stop(StopMode::Graceful),
                Signal::SIGQUIT => self.stop(StopMode::Now),
                Signal::SIGUSR1 => self.reopen_logs(),
                Signal::SIGHUP | Signal::SIGTTIN | Signal::SIGTTOU if self.phase != Phase::Running => {
                    tracing::info!("{} does nothing: the dirty arbiter is stopping", signal.as_str());
                }
                Signal::SIGHUP => {
                    (self.config.refresh)();
                    self.workers.handle(Event::Reload);
                }
                Signal::SIGTTIN => self.grow(),
                Signal::SIGTTOU => self.shrink(),
                // The pidfds tell more.
                Signal::SIGCHLD => {}
                _ => tracing::info!("{} does nothing in the dirty arbiter", signal.as_str()),
            }
        }
        Ok(())
    }

    /// Here first: who is forked from now on has the new file.
    fn reopen_logs(&mut self) {
        tracing::info!("Handling signal: usr1");
        (self.config.reopen_logs)();
        self.link.open().into_iter().for_each(|link| link.send(&ToRouter::ReopenLogs));
        self.workers.signal_all(Signal::SIGUSR1);
    }

    /// SIGTERM comes with it where the kernel has parent-death signals; this way comes everywhere.
    fn parent_gone(&mut self) {
        tracing::warn!("the master is gone: the dirty arbiter stops");
        self.parent = None;
        self.is_orphan = true;
        self.stop(StopMode::Graceful);
    }

    fn stop(&mut self, mode: StopMode) {
        match (mode, self.phase) {
            (StopMode::Graceful, Phase::Running) => {
                let until = Instant::now() + self.config.graceful_timeout;
                self.phase = Phase::DrainingRouter { until };
                self.router.handle(Event::Stop(mode));
            }
            (StopMode::Graceful, _) | (StopMode::Now, Phase::Done) => {}
            (StopMode::Now, _) => {
                // The pools kill what does not end.
                self.phase = Phase::StoppingWorkers { until: Instant::now() + FOR_EVER };
                self.router.handle(Event::Stop(mode));
                self.stop_workers(mode);
                self.end_if_empty();
            }
        }
    }

    /// The router has finished its calls, or will never do so.
    fn router_stopped(&mut self) {
        if let Phase::DrainingRouter { until } = self.phase {
            // Apps need a moment to close even if calls took all the time there was.
            self.phase = Phase::StoppingWorkers { until: until.max(Instant::now() + LEAST_CLOSE_TIMEOUT) };
            self.stop_workers(StopMode::Graceful);
        }
        self.end_if_empty();
    }

    fn end_if_empty(&mut self) {
        if self.router.pool().is_stopped() && self.workers.pool().is_stopped() {
            self.phase = Phase::Done;
        }
    }
}

impl Phase {
    /// When what is being stopped is stopped at once.
    fn deadline(self) -> Option<Instant> {
        match self {
            Self::DrainingRouter { until } | Self::StoppingWorkers { until } => Some(until),
            Self::Running | Self::Done => None,
        }
    }
}

impl Link {
    fn open(&mut self) -> Option<&mut RouterLink> {
        match self {
            Self::Down => None,
            Self::Starting(_, link) | Self::Up(link) => Some(link),
        }
    }
}

/// A start takes longer than a call, so a short `dirty_timeout` is not for it.
const LEAST_BOOT_TIMEOUT: Duration = Duration::from_secs(60);
/// Shorter silences are the machine's, not the worker's.
const LEAST_HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(2);
const LEAST_CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// Routers in a row that are replaced without a wait. What makes them fail may be over by then.
const ROUTERS_AT_ONCE: u32 = 5;
const LONGEST_ROUTER_DELAY: Duration = Duration::from_secs(1);
/// Longer than any deadline of the pools.
const FOR_EVER: Duration = Duration::from_secs(3600);
