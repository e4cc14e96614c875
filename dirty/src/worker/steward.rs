//! The main thread of a worker.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tracing::{debug, info, warn};

use super::apps::Apps;
use super::bell::{Bell, RingOnDrop};
use super::connection::{Connection, Next};
use super::lane::Lane;
use super::lane_queue::LaneQueue;
use super::lane_thread::LaneThread;
use super::lane_threads::LaneThreads;
use super::lifeline::{Fate, Station, Tether};
use super::pulse::Pulse;
use super::stop::{Stop, StopNews, StopWatch};
use super::watched_lanes::WatchedLanes;
use super::{ReadyWriter, WorkerConfig, WorkerError, WorkerExit, socket};
use crate::async_runtime::AsyncRuntime;
use crate::link::{Hello, ToWorker};

/// The main thread of a worker: it waits for everything and blocks on nothing.
pub(super) struct Steward {
    listener: UnixListener,
    stop: StopWatch,
    tether: Tether,
    /// Rung by the other threads.
    bell: Bell,
    pulse: Pulse,
    ready: Option<ReadyWriter>,
    reopen_logs: fn(),
    threads: usize,
    runtime: AsyncRuntime,
    making: Receiver<Result<Apps, String>>,
    /// Connections that have not said what they are.
    newcomers: Vec<Connection>,
    controls: Vec<Connection>,
    lanes: WatchedLanes,
    queue: Arc<LaneQueue>,
    is_draining: bool,
    /// Until when a listener that cannot be served is left alone.
    accept_after: Option<Instant>,
}

/// What a polled descriptor belongs to.
#[derive(Debug, Clone, Copy)]
enum Source {
    Stop,
    Parent,
    Bell,
    Listener,
    Newcomer(usize),
    Control(usize),
    Lane(usize),
}

impl Steward {
    /// Begins to make the apps.
    pub(super) fn start(config: WorkerConfig) -> Result<Self, WorkerError> {
        // First, so that every thread to come inherits the blocked signals.
        let stop = StopWatch::new(config.stop).map_err(setup("watch for its stop"))?;
        config.listener.set_nonblocking(true).map_err(setup("use its listener"))?;
        let bell = Bell::new().map_err(setup("create an event descriptor"))?;
        let runtime = AsyncRuntime::default();
        let (made, making) = mpsc::channel();
        // On a thread of its own: `init` may take minutes, and the main thread beats meanwhile.
        let make = {
            let (bell, runtime) = (RingOnDrop(bell.clone()), runtime.clone());
            let (apps, slot, generation) = (config.apps, config.slot, config.generation);
            let hook = config.init_hook;
            move || {
                let _bell = bell;
                // The receiver is gone only if the worker ends before.
                let apps = Apps::make(&apps, slot, generation, &runtime);
                let _ = made.send(apps.and_then(|apps| apps.initialized(hook)));
            }
        };
        let init = thread::Builder::new().name("dirty-init".to_owned());
        init.spawn(make).map_err(setup("start a thread"))?;
        Ok(Self {
            listener: config.listener,
            stop,
            tether: Tether::new(config.lifeline),
            bell,
            pulse: Pulse::new(config.heartbeat, Instant::now()),
            ready: config.ready,
            reopen_logs: config.reopen_logs,
            threads: config.threads.max(1),
            runtime,
            making,
            newcomers: Vec::new(),
            controls: Vec::new(),
            lanes: WatchedLanes::default(),
            queue: Arc::default(),
            is_draining: false,
            accept_after: None,
        })
    }

    /// Serves until told to stop.
    pub(super) fn run(mut self) -> Result<WorkerExit, WorkerError> {
        let apps = match self.wait_for_apps()? {
            Ok(apps) => Arc::new(apps),
            Err(exit) => return Ok(exit),
        };
        let make = || {
            LaneThread::new(
                Arc::clone(&self.queue),
                Arc::clone(&apps),
                self.runtime.clone(),
                self.bell.clone(),
            )
        };
        let threads =
            LaneThreads::start(self.threads, &self.bell, make).map_err(setup("start its lane threads"))?;
        if self.tether.reach(Station::Ready) == Fate::End {
            return Ok(WorkerExit::Immediate);
        }
        self.say_ready("R");
        while !(self.is_draining && threads.have_ended()) {
            for (source, flags) in self.wait(Phase::Serving)? {
                if let Some(Stop::Immediate) = self.handle(source, flags)? {
                    return Ok(WorkerExit::Immediate);
                }
            }
        }
        threads.join();
        if let Some(mut apps) = Arc::into_inner(apps) {
            apps.close();
        }
        self.runtime.stop(RUNTIME_STOP);
        info!("worker drained");
        Ok(WorkerExit::Drained)
    }

    fn wait_for_apps(&mut self) -> Result<Result<Apps, WorkerExit>, WorkerError> {
        loop {
            match self.making.try_recv() {
                Ok(Ok(apps)) => return Ok(Ok(apps)),
                Ok(Err(reason)) => {
                    self.say_ready(&format!("E{reason}"));
                    return Ok(Err(WorkerExit::InitFailed(reason)));
                }
                Err(TryRecvError::Disconnected) => {
                    let reason = "the thread that makes the apps died".to_owned();
                    self.say_ready(&format!("E{reason}"));
                    return Ok(Err(WorkerExit::InitFailed(reason)));
                }
                Err(TryRecvError::Empty) => {}
            }
            for (source, _) in self.wait(Phase::Starting)? {
                match source {
                    Source::Stop => {
                        if self.read_stop()?.is_some() {
                            // Nothing runs that could be drained, and `init` cannot be interrupted.
                            return Ok(Err(WorkerExit::Immediate));
                        }
                    }
                    _ => self.bell.silence(),
                }
            }
        }
    }

    fn say_ready(&mut self, message: &str) {
        if let Some(ReadyWriter(mut writer)) = self.ready.take()
            && let Err(error) = writer.write_all(message.as_bytes()).and_then(|()| writer.flush())
        {
            warn!(%error, "nobody hears whether the worker is ready");
        }
    }

    /// Waits for the next events, beating meanwhile.
    fn wait(&mut self, phase: Phase) -> Result<Vec<(Source, PollFlags)>, WorkerError> {
        loop {
            let timeout = self.next_deadline();
            let sources = self.sources(phase);
            let mut fds: Vec<PollFd<'_>> =
                sources.iter().map(|(_, fd, flags)| PollFd::new(*fd, *flags)).collect();
            match poll(&mut fds, timeout) {
                Ok(0) | Err(Errno::EINTR) => {}
                Ok(_) => {
                    let news = fds.iter().map(|fd| fd.revents().unwrap_or(PollFlags::POLLERR));
                    let ready = sources.iter().map(|(source, ..)| *source).zip(news);
                    return Ok(ready.filter(|(_, flags)| !flags.is_empty()).collect());
                }
                Err(errno) => return Err(WorkerError::Poll { source: errno.into() }),
            }
        }
    }

    /// What to wait for, in the order of handling: who connected before a control message was sent is known when it
    /// is read. Within a kind the highest index comes first, so that removing one moves none that follow.
    fn sources(&self, phase: Phase) -> Vec<(Source, BorrowedFd<'_>, PollFlags)> {
        let input = PollFlags::POLLIN;
        let mut sources = Vec::new();
        if !self.stop.is_ended() {
            sources.push((Source::Stop, self.stop.as_fd(), input));
        }
        sources.push((Source::Bell, self.bell.as_fd(), input));
        if let Phase::Starting = phase {
            return sources;
        }
        sources.extend(self.tether.parent().map(|parent| (Source::Parent, parent, input)));
        if !self.is_draining && self.accept_after.is_none() {
            sources.push((Source::Listener, self.listener.as_fd(), input));
        }
        let and_output = |wanted, flags| if wanted { flags | PollFlags::POLLOUT } else { flags };
        sources.extend(
            self.newcomers
                .iter()
                .enumerate()
                .rev()
                .map(|(at, peer)| (Source::Newcomer(at), peer.as_fd(), input)),
        );
        sources.extend(
            self.controls
                .iter()
                .enumerate()
                .rev()
                .map(|(at, peer)| (Source::Control(at), peer.as_fd(), and_output(peer.wants_write(), input))),
        );
        sources.extend(self.lanes.to_poll().map(|(at, fd, flags)| (Source::Lane(at), fd, flags)));
        sources
    }

    /// Does what is due, and returns the time until more is.
    fn next_deadline(&mut self) -> PollTimeout {
        let tick = self.lanes.tick().then_some(TICK);
        let now = Instant::now();
        let beat = self.pulse.beat(now);
        self.accept_after = self.accept_after.filter(|after| *after > now);
        let accept = self.accept_after.map(|after| after - now);
        let Some(left) = tick.into_iter().chain(beat).chain(accept).min() else { return PollTimeout::NONE };
        // Rounded up: waking a moment too early would mean a busy moment.
        PollTimeout::try_from(left + Duration::from_micros(999)).unwrap_or(PollTimeout::MAX)
    }

    /// Handles one event.
    fn handle(&mut self, source: Source, flags: PollFlags) -> Result<Option<Stop>, WorkerError> {
        match source {
            Source::Stop => {
                let stop = self.read_stop()?;
                if stop == Some(Stop::Drain) {
                    self.drain();
                }
                return Ok(stop);
            }
            Source::Parent => {
                info!("the process that started this worker is gone");
                if self.tether.reach(Station::Orphaned) == Fate::End {
                    return Ok(Some(Stop::Immediate));
                }
            }
            Source::Bell => {
                self.bell.silence();
                self.lanes.start_ticking();
            }
            Source::Listener => self.accept(),
            Source::Newcomer(at) => self.greet(at),
            Source::Control(at) => self.obey(at),
            Source::Lane(at) => self.lanes.look_after(at, flags),
        }
        Ok(None)
    }

    fn read_stop(&mut self) -> Result<Option<Stop>, WorkerError> {
        match self.stop.read().map_err(setup("read what stops it"))? {
            Some(StopNews::Stop(stop)) => Ok(Some(stop)),
            Some(StopNews::ReopenLogs) => {
                (self.reopen_logs)();
                Ok(None)
            }
            None => Ok(None),
        }
    }

    fn accept(&mut self) {
        loop {
            match self.listener.accept().and_then(|(stream, _)| Connection::new(stream)) {
                Ok(connection) => {
                    self.newcomers.push(connection);
                    // Routers say what they are in the same breath.
                    self.greet(self.newcomers.len() - 1);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => {
                    // Most likely the app holds every descriptor there is. The connection stays in the queue, and
                    // poll would report it again at once.
                    self.accept_after = Some(Instant::now() + ACCEPT_PAUSE);
                    return warn!(%error, "connection cannot be accepted");
                }
            }
        }
    }

    /// A newcomer says what it is.
    fn greet(&mut self, at: usize) {
        // Gone if the worker began to drain in between.
        let Some(newcomer) = self.newcomers.get_mut(at) else { return };
        match newcomer.next::<Hello>() {
            Next::Nothing => {}
            Next::Ended => drop(self.newcomers.swap_remove(at)),
            Next::Message(Hello::Control) => {
                debug!("router connected");
                let control = self.newcomers.swap_remove(at);
                self.controls.push(control);
                // It may have said more already.
                self.obey(self.controls.len() - 1);
            }
            Next::Message(Hello::Lane { lane }) => match self.newcomers.swap_remove(at).into_blocking() {
                Ok((stream, early)) => {
                    socket::widen(&stream);
                    let lane = Arc::new(Lane::new(lane, stream, early));
                    self.lanes.push(Arc::clone(&lane));
                    self.queue.push(lane);
                }
                Err(error) => warn!(lane, %error, "lane cannot be used"),
            },
        }
    }

    fn obey(&mut self, at: usize) {
        self.controls[at].flush();
        loop {
            match self.controls[at].next() {
                Next::Message(ToWorker::Revoke { lane, upto }) => {
                    // A lane that was closed has no news: its requests ended with it.
                    if let Some(revoked) = self.lanes.revoke(lane, upto) {
                        self.controls[at].send(&revoked);
                    }
                }
                Next::Message(ToWorker::Drain) => self.drain(),
                Next::Nothing => return,
                Next::Ended => {
                    debug!("router disconnected");
                    drop(self.controls.swap_remove(at));
                    return;
                }
            }
        }
    }

    /// No request starts from now on; the router learns which ones did not.
    fn drain(&mut self) {
        if std::mem::replace(&mut self.is_draining, true) {
            return;
        }
        info!("worker drains");
        // If nobody is left, the parent's descriptor says so too.
        self.tether.reach(Station::Draining);
        self.newcomers.clear();
        for revoked in self.lanes.drain() {
            for control in &mut self.controls {
                control.send(&revoked);
            }
        }
        self.queue.close();
    }
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    /// The apps are being made: connections wait.
    Starting,
    Serving,
}

fn setup(what: &'static str) -> impl FnOnce(io::Error) -> WorkerError {
    move |source| WorkerError::Setup { what, source }
}

/// What spawned tasks get to end after the apps are closed.
const RUNTIME_STOP: Duration = Duration::from_secs(1);

/// How long a chunk is held back at most.
const TICK: Duration = Duration::from_millis(1);

/// How long a failing accept is left alone.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
