//! One process of a pool, from fork to gone.

use std::collections::VecDeque;
use std::time::Instant;

use nix::sys::signal::Signal;

use crate::{Action, Departure, ExitStatus, PoolConfig, StopMode, WorkerId, WorkerState};

/// One process of a pool.
#[derive(Debug)]
pub(super) struct Process {
    id: WorkerId,
    state: State,
    /// Why it leaves, once something made it leave.
    departure: Option<Departure>,
}

/// What a process needs to answer an event.
pub(super) struct Context<'a> {
    pub(super) config: &'a PoolConfig,
    pub(super) now: Instant,
    pub(super) actions: &'a mut VecDeque<Action>,
}

impl Context<'_> {
    /// When somebody has to be gone who is asked now.
    fn in_graceful_timeout(&self) -> Option<Instant> {
        Some(self.now + self.config.graceful_timeout?)
    }
}

/// Each state that must not last owns the deadline that ends it.
#[derive(Debug)]
enum State {
    /// Asked for; the driver has not yet said that it exists.
    Spawning,
    /// No longer wanted before the driver said that it exists.
    Unwanted,
    /// Forked, not ready.
    Starting { ready_by: Option<Instant> },
    /// Said that it cannot start; about to exit.
    Failing { kill_by: Instant },
    /// Ready, held back until the whole reload is.
    Standby,
    /// In service.
    Serving,
    /// Gets nothing new; what runs may finish, if need be until that time. Ends with `then`.
    Draining { until: Option<Instant>, then: Then },
    /// Was asked to exit. Without a deadline its heartbeat tells whether it still means to.
    Stopping { kill_by: Option<Instant> },
    /// Was sent SIGABRT.
    Aborting { kill_by: Instant },
    /// Was sent SIGKILL: the kernel ends it.
    Killed,
}

/// What ends a drain.
#[derive(Debug, Clone, Copy)]
enum Then {
    /// SIGTERM: it is well.
    Terminate,
    /// SIGABRT: it hangs, and would not hear anything else.
    Abort,
}

impl Process {
    pub(super) fn new(id: WorkerId) -> Process {
        Process { id, state: State::Spawning, departure: None }
    }

    /// A process that another pool has put into service.
    pub(super) fn in_service(id: WorkerId) -> Process {
        Process { state: State::Serving, ..Process::new(id) }
    }

    pub(super) fn spawned(&mut self, cx: &mut Context<'_>) {
        match self.state {
            State::Spawning => {
                let ready_by = cx.config.boot_timeout.map(|timeout| cx.now + timeout);
                self.state = State::Starting { ready_by };
            }
            State::Unwanted => self.terminate(Signal::SIGTERM, Some(cx.now + cx.config.kill_grace), cx),
            // Said before.
            State::Starting { .. }
            | State::Failing { .. }
            | State::Standby
            | State::Serving
            | State::Draining { .. }
            | State::Stopping { .. }
            | State::Aborting { .. }
            | State::Killed => {}
        }
    }

    /// Whether a failed fork is news: the process is still only asked for.
    pub(super) fn awaits_spawn(&self) -> bool {
        matches!(self.state, State::Spawning | State::Unwanted)
    }

    /// Returns whether this is news.
    pub(super) fn ready(&mut self) -> bool {
        let is_news = matches!(self.state, State::Spawning | State::Starting { .. });
        if is_news {
            self.state = State::Standby;
        }
        is_news
    }

    pub(super) fn init_failed(&mut self, error: String, cx: &mut Context<'_>) {
        if let State::Spawning | State::Starting { .. } = self.state {
            self.departure = Some(Departure::StartupFailed(error));
            self.state = State::Failing { kill_by: cx.now + cx.config.kill_grace };
        }
    }

    pub(super) fn is_on_standby(&self) -> bool {
        matches!(self.state, State::Standby)
    }

    /// Puts a process on standby into service.
    pub(super) fn serve(&mut self, cx: &mut Context<'_>) {
        if self.is_on_standby() {
            self.state = State::Serving;
            cx.actions.push_back(Action::Serve(self.id));
        }
    }

    pub(super) fn condemn(&mut self, reason: String, cx: &mut Context<'_>) {
        let condemned_until = cx.now + cx.config.condemn_timeout;
        let until = match self.state {
            State::Serving => {
                cx.actions.push_back(Action::Drain(self.id));
                condemned_until
            }
            // Nothing runs in it.
            State::Standby => cx.now,
            // Retired, and now found to hang: SIGTERM would not end it.
            State::Draining { until, then: Then::Terminate } => {
                until.map_or(condemned_until, |until| until.min(condemned_until))
            }
            // Not in service yet, condemned before, or leaving under a deadline anyway.
            State::Spawning
            | State::Unwanted
            | State::Starting { .. }
            | State::Failing { .. }
            | State::Draining { then: Then::Abort, .. }
            | State::Stopping { .. }
            | State::Aborting { .. }
            | State::Killed => return,
        };
        self.departure = Some(Departure::Condemned(reason));
        self.state = State::Draining { until: Some(until), then: Then::Abort };
    }

    pub(super) fn drained(&mut self, cx: &mut Context<'_>) {
        if let State::Draining { until, then } = self.state {
            match then {
                Then::Abort => self.abort(cx),
                // It may take the time that is left to finish what nobody but itself knows of.
                Then::Terminate => {
                    let least = cx.now + cx.config.kill_grace;
                    let kill_by = until.or_else(|| cx.in_graceful_timeout());
                    self.terminate(Signal::SIGTERM, kill_by.map(|kill_by| kill_by.max(least)), cx);
                }
            }
        }
    }

    pub(super) fn heartbeat_stale(&mut self, cx: &mut Context<'_>) {
        match self.state {
            State::Serving => cx.actions.push_back(Action::Drain(self.id)),
            // Nothing else would end that last one.
            State::Standby | State::Draining { .. } | State::Stopping { kill_by: None } => {}
            // Not up yet, where the boot timeout rules, or leaving under a deadline anyway.
            State::Spawning
            | State::Unwanted
            | State::Starting { .. }
            | State::Failing { .. }
            | State::Stopping { kill_by: Some(_) }
            | State::Aborting { .. }
            | State::Killed => return,
        }
        if !matches!(self.departure, Some(Departure::Condemned(_))) {
            self.departure = Some(Departure::Condemned("no heartbeat".to_owned()));
        }
        self.abort(cx);
    }

    /// Its slot has no more use for it, but nothing is wrong with it.
    pub(super) fn retire(&mut self, cx: &mut Context<'_>) {
        self.leave(cx.in_graceful_timeout(), cx);
    }

    /// The same, if nobody minds how long what runs in it goes on.
    pub(super) fn retire_patiently(&mut self, cx: &mut Context<'_>) {
        self.leave(None, cx);
    }

    fn leave(&mut self, until: Option<Instant>, cx: &mut Context<'_>) {
        match self.state {
            State::Spawning => self.state = State::Unwanted,
            State::Starting { .. } => {
                self.terminate(Signal::SIGTERM, Some(cx.now + cx.config.kill_grace), cx)
            }
            State::Standby => self.terminate(Signal::SIGTERM, cx.in_graceful_timeout(), cx),
            State::Serving => {
                cx.actions.push_back(Action::Drain(self.id));
                self.state = State::Draining { until, then: Then::Terminate };
            }
            // It leaves already, for a reason that says more.
            State::Unwanted
            | State::Failing { .. }
            | State::Draining { .. }
            | State::Stopping { .. }
            | State::Aborting { .. }
            | State::Killed => return,
        }
        self.departure = Some(Departure::Retired);
    }

    pub(super) fn stop(&mut self, mode: StopMode, cx: &mut Context<'_>) {
        let (signal, kill_by) = match mode {
            StopMode::Graceful => (Signal::SIGTERM, cx.in_graceful_timeout()),
            StopMode::Now => (Signal::SIGINT, Some(cx.now + cx.config.kill_grace)),
        };
        match (&mut self.state, mode) {
            (State::Spawning, _) => self.state = State::Unwanted,
            // Condemned: what runs beside the hang may finish, and no signal but SIGABRT will be heard.
            (State::Draining { until, then: Then::Abort }, StopMode::Graceful) => {
                *until = earlier(*until, kill_by);
                return;
            }
            (State::Draining { then: Then::Abort, .. }, StopMode::Now) => return self.abort(cx),
            (State::Starting { .. } | State::Standby | State::Serving | State::Draining { .. }, _) => {
                self.terminate(signal, kill_by, cx);
            }
            (State::Stopping { kill_by: before }, StopMode::Now) => {
                let kill_by = earlier(*before, kill_by);
                return self.terminate(signal, kill_by, cx);
            }
            (
                State::Stopping { .. }
                | State::Unwanted
                | State::Failing { .. }
                | State::Aborting { .. }
                | State::Killed,
                _,
            ) => return,
        }
        self.departure = Some(Departure::Stopped);
    }

    pub(super) fn tick(&mut self, cx: &mut Context<'_>) {
        if self.deadline().is_none_or(|deadline| cx.now < deadline) {
            return;
        }
        match self.state {
            State::Starting { .. } => {
                let timeout = cx.config.boot_timeout.unwrap_or_default();
                self.departure = Some(Departure::StartupFailed(format!("not ready after {timeout:?}")));
                self.abort(cx);
            }
            State::Draining { then: Then::Abort, .. } => self.abort(cx),
            State::Draining { then: Then::Terminate, .. } => {
                self.terminate(Signal::SIGTERM, Some(cx.now + cx.config.kill_grace), cx);
            }
            State::Failing { .. } | State::Stopping { .. } | State::Aborting { .. } => {
                cx.actions.push_back(Action::Signal(self.id, Signal::SIGKILL));
                self.state = State::Killed;
            }
            State::Spawning | State::Unwanted | State::Standby | State::Serving | State::Killed => {}
        }
    }

    /// When [`tick`](Self::tick) has something to do.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Starting { ready_by } => ready_by,
            State::Draining { until, .. } => until,
            State::Failing { kill_by } | State::Aborting { kill_by } => Some(kill_by),
            State::Stopping { kill_by } => kill_by,
            State::Spawning | State::Unwanted | State::Standby | State::Serving | State::Killed => None,
        }
    }

    /// Why the process is gone, now that it is.
    pub(super) fn into_departure(self, status: ExitStatus) -> Departure {
        let by_state = match self.state {
            State::Standby | State::Serving => Departure::Crashed,
            State::Spawning | State::Starting { .. } => {
                Departure::StartupFailed(format!("{status} before it was ready"))
            }
            // These were entered for a reason that `departure` holds.
            State::Unwanted
            | State::Failing { .. }
            | State::Draining { .. }
            | State::Stopping { .. }
            | State::Aborting { .. }
            | State::Killed => Departure::Retired,
        };
        match self.departure {
            Some(Departure::Retired) if matches!(self.state, State::Killed) => Departure::Overdue,
            departure => departure.unwrap_or(by_state),
        }
    }

    pub(super) fn state(&self) -> WorkerState {
        match self.state {
            State::Spawning | State::Starting { .. } => WorkerState::Starting,
            State::Standby => WorkerState::Standby,
            State::Serving => WorkerState::Serving,
            State::Draining { .. } => WorkerState::Draining,
            State::Unwanted
            | State::Failing { .. }
            | State::Stopping { .. }
            | State::Aborting { .. }
            | State::Killed => WorkerState::Stopping,
        }
    }

    fn terminate(&mut self, signal: Signal, kill_by: Option<Instant>, cx: &mut Context<'_>) {
        cx.actions.push_back(Action::Signal(self.id, signal));
        self.state = State::Stopping { kill_by };
    }

    fn abort(&mut self, cx: &mut Context<'_>) {
        cx.actions.push_back(Action::Signal(self.id, Signal::SIGABRT));
        self.state = State::Aborting { kill_by: cx.now + cx.config.kill_grace };
    }
}

fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    [one, other].into_iter().flatten().min()
}
