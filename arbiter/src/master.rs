//! The master: binds, forks, supervises; one thread, one loop.
//!
//! ```text
//! pid file, on_starting, signals, listeners, when_ready
//!   └▶ Booting ─────────────▶ Serving ─▶ StoppingHttp ─▶ StoppingDirty ─▶ end
//!      dirty arbiter starts   HTTP workers too         in reverse order
//! ```
//!
//! Its crews are a pool of one, the dirty arbiter, a pool of HTTP workers, and another pool of one, the companion manager. The dirty
//! arbiter is in service before the first of the others is forked, and gone after the last of them: they can always call.
//!
//! What the HTTP workers are forked from is a [`Generation`]: a configuration with its listeners. A reload ([`reload`]) has a
//! second one, from which workers are forked until it has taken over or failed. An upgrade ([`upgrade`]) has a second master.

mod boot;
mod companion_side;
mod dirty_side;
mod generation;
mod http_crew;
mod reload;
mod signals;
mod start;
mod systemd;
mod upgrade;

use std::io;
use std::time::Instant;

use gunmetal_supervise::{
    Event, OtherProcess, Pid, PidFile, Poller, ReadyWriter, Signals, StartupFailure, StopMode, reap_orphans,
    set_title,
};

use crate::crew::{Crew, Watch};
use crate::http_listeners::HttpListeners;
use crate::listener::SocketFile;
use crate::memory_limit::MemoryLimit;
use crate::{MasterConfig, MasterProcess, ServiceError, hooks};

use companion_side::CompanionSide;
use dirty_side::DirtySide;
use generation::Generation;
use systemd::Systemd;
use upgrade::Upgrade;

pub use boot::run_master;
pub use start::StartContext;

/// Reads the configuration of the service again; the text says why it cannot be used.
type Reread<'a> = &'a dyn Fn() -> Result<MasterConfig, String>;

/// The master's loop and everything it owns.
struct Master<'a> {
    start: &'a StartContext,
    reread: Reread<'a>,
    /// What serves.
    current: Generation,
    /// What is to serve: a reload is under way.
    next: Option<Generation>,
    /// Another reload is to follow: the configuration may have changed again.
    reload_again: bool,
    signals: Signals,
    /// `None` until the dirty arbiter is ready.
    http: Option<Crew>,
    /// Whether all HTTP workers have been in service at a time.
    http_is_booted: bool,
    memory: MemoryLimit,
    dirty: Option<DirtySide>,
    /// Started together with the HTTP workers: companions may make calls, too.
    companions: Option<CompanionSide>,
    /// The master that this one replaces, as long as it lives.
    elder: Option<OtherProcess>,
    /// The master that is to replace this one, as long as it lives.
    upgrade: Option<Upgrade>,
    /// Of sockets that this master has closed and another one had as well: who is the last to close them removes them.
    shared_files: Vec<SocketFile>,
    /// Who waits for the news that the service is up.
    waiting: Vec<ReadyWriter>,
    systemd: &'a mut Systemd,
    phase: Phase,
    /// Why the service ends, if it does not do so because it was told to.
    failure: Option<ServiceError>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The dirty arbiter has not been ready yet.
    Booting,
    /// The HTTP workers have been started.
    Serving {
        is_up: bool,
    },
    /// HTTP workers end first: they may be waiting for dirty calls.
    StoppingHttp,
    StoppingDirty,
    Done,
}

enum Token {
    Signal,
    Http(Watch),
    Dirty(Watch),
    Companions(Watch),
    ElderGone,
    UpgradeReady,
    UpgradeGone,
}

impl Master<'_> {
    fn run(&mut self) -> Result<(), ServiceError> {
        if self.dirty.is_none() {
            self.start_http();
        }
        loop {
            self.perform();
            if self.phase == Phase::Done {
                return Ok(());
            }
            for token in self.wait().map_err(ServiceError::system("wait for events"))? {
                match token {
                    Token::Signal => self.read_signals()?,
                    Token::Http(watch) => self.http.iter_mut().for_each(|crew| crew.news(watch)),
                    Token::Dirty(watch) => self.dirty.iter_mut().for_each(|dirty| dirty.crew.news(watch)),
                    Token::Companions(watch) => {
                        self.companions.iter_mut().for_each(|side| side.crew.news(watch));
                    }
                    Token::ElderGone => self.promote(),
                    Token::UpgradeReady => self.upgrade_said(),
                    Token::UpgradeGone => self.upgrade_gone(),
                }
            }
            self.crews().for_each(Crew::tick);
            self.look_at_memory();
            self.systemd.tick();
            self.reap_strangers();
        }
    }

    fn wait(&self) -> io::Result<Vec<Token>> {
        let mut poller = Poller::new();
        poller.readable(&self.signals, Token::Signal);
        let mut deadlines: Vec<Option<Instant>> = vec![self.memory.next_look(), self.systemd.next_deadline()];
        if let Some(http) = &self.http {
            http.watch(&mut poller, Token::Http);
            deadlines.push(http.next_deadline());
        }
        if let Some(dirty) = &self.dirty {
            dirty.crew.watch(&mut poller, Token::Dirty);
            deadlines.push(dirty.crew.next_deadline());
        }
        if let Some(side) = &self.companions {
            side.crew.watch(&mut poller, Token::Companions);
            deadlines.push(side.crew.next_deadline());
        }
        if let Some(elder) = &self.elder {
            poller.readable(elder, Token::ElderGone);
        }
        if let Some(upgrade) = &self.upgrade {
            upgrade.watch(&mut poller, || Token::UpgradeReady, || Token::UpgradeGone);
        }
        poller.wait(deadlines.into_iter().flatten().min())
    }

    fn crews(&mut self) -> impl Iterator<Item = &mut Crew> {
        let dirty = self.dirty.iter_mut().map(|dirty| &mut dirty.crew);
        let companions = self.companions.iter_mut().map(|side| &mut side.crew);
        self.http.iter_mut().chain(companions).chain(dirty)
    }

    fn stop(&mut self, mode: StopMode) {
        if matches!(self.phase, Phase::Booting | Phase::Serving { .. }) {
            self.tell_of_the_stop();
        }
        self.close_listeners();
        self.companions.iter_mut().for_each(|side| side.stop_mode = mode);
        match mode {
            // The dirty arbiter's turn comes when HTTP workers and companions are gone.
            StopMode::Graceful => {
                self.phase = Phase::StoppingHttp;
                let callers =
                    self.http.iter_mut().chain(self.companions.iter_mut().map(|side| &mut side.crew));
                callers.for_each(|crew| crew.handle(Event::Stop(mode)));
                self.stop_dirty_if_alone();
            }
            StopMode::Now => {
                if self.phase != Phase::Done {
                    self.phase = if self.http.is_some() { Phase::StoppingHttp } else { Phase::StoppingDirty };
                }
                self.crews().for_each(|crew| crew.handle(Event::Stop(mode)));
                self.end_if_empty();
            }
        }
    }

    /// Who connects once the workers have closed theirs as well is refused at once, and not left waiting.
    fn close_listeners(&mut self) {
        let mut files = Vec::new();
        for generation in self.generations() {
            let listeners = std::mem::replace(&mut generation.listeners, HttpListeners::none());
            files.extend(listeners.files().cloned());
        }
        self.let_go(files);
    }

    /// Removes what sockets that are not listened to any more have in the file system, unless another master listens to them.
    fn let_go(&mut self, files: Vec<SocketFile>) {
        if self.shares_sockets() {
            self.shared_files.extend(files);
        } else {
            files.iter().for_each(SocketFile::remove);
        }
    }

    /// What serves, and what is to.
    fn generations(&mut self) -> impl Iterator<Item = &mut Generation> {
        [Some(&mut self.current), self.next.as_mut()].into_iter().flatten()
    }

    /// Whether another master listens at the same sockets, which then go on without this one.
    fn shares_sockets(&self) -> bool {
        self.elder.is_some() || self.upgrade.is_some()
    }

    fn stop_dirty(&mut self) {
        self.phase = Phase::StoppingDirty;
        if let Some(dirty) = &mut self.dirty {
            dirty.crew.handle(Event::Stop(StopMode::Graceful));
        }
        self.end_if_empty();
    }

    /// Stops the dirty arbiter once nobody is left who might call it.
    fn stop_dirty_if_alone(&mut self) {
        let companions = self.companions.iter().map(|side| &side.crew);
        if self.http.iter().chain(companions).all(|crew| crew.pool().is_stopped()) {
            self.stop_dirty();
        }
    }

    fn end_if_empty(&mut self) {
        if self.crews().all(|crew| crew.pool().is_stopped()) {
            self.phase = Phase::Done;
        }
    }

    /// Tells that the service is up, once everything is in service for the first time.
    fn say_if_up(&mut self) {
        let companions_are_booted = self.companions.as_ref().is_none_or(|side| side.is_booted);
        if self.phase == (Phase::Serving { is_up: false }) && self.http_is_booted && companions_are_booted {
            self.service_is_up();
        }
    }

    /// Everything is in service for the first time.
    fn service_is_up(&mut self) {
        self.phase = Phase::Serving { is_up: true };
        for waiting in self.waiting.drain(..) {
            if let Err(error) = waiting.ready() {
                tracing::debug!(%error, "nobody waits for the start any more");
            }
        }
        match self.elder {
            // It names this one as the main process.
            Some(_) => self.systemd.take_over(),
            None => self.systemd.in_service(&self.status()),
        }
        if std::mem::take(&mut self.reload_again) {
            self.reload();
        }
    }

    /// The end of one of two masters is not the end of the service.
    fn tell_of_the_stop(&mut self) {
        match self.elder {
            Some(_) => self.systemd.status("The new master stops: the old one serves on"),
            None => self.systemd.stopping(),
        }
    }

    /// The other one of two masters is gone: the service is this one's.
    fn speak_for_the_service(&mut self) {
        match self.phase {
            // What follows is told as at any start.
            Phase::Booting | Phase::Serving { is_up: false } => self.systemd.take_over(),
            Phase::Serving { is_up: true } => self.systemd.in_service(&self.status()),
            Phase::StoppingHttp | Phase::StoppingDirty | Phase::Done => {
                self.systemd.take_over();
                self.systemd.stopping();
            }
        }
    }

    /// The children of a killed dirty arbiter, and as pid 1 of a container everybody's orphans. Called once our own that
    /// ended have been reaped: a stranger may stand behind one of them.
    fn reap_strangers(&mut self) {
        let upgrade = self.upgrade.as_ref().map(Upgrade::pid);
        let own: Vec<Pid> = self.crews().flat_map(|crew| crew.pids()).chain(upgrade).collect();
        for (pid, status) in reap_orphans(|pid| own.contains(&pid)) {
            tracing::debug!(pid = pid.as_raw(), %status, "adopted process ended");
        }
    }

    /// Does what the pools ask for, until they ask for nothing more.
    fn perform(&mut self) {
        loop {
            if let Some(action) = self.dirty.as_mut().and_then(DirtySide::next_action) {
                self.perform_dirty(action);
            } else if let Some(action) = self.companions.as_mut().and_then(CompanionSide::next_action) {
                self.perform_companions(action);
            } else if let Some(action) =
                self.http.as_mut().and_then(|http| http.next_action(|_, signal| Some(signal)))
            {
                self.perform_http(action);
            } else {
                return;
            }
        }
    }

    /// A process of the first generation failed to start, or one fails again and again: nothing else is worth waiting for.
    fn give_up(&mut self, role: Option<&str>, failure: &StartupFailure) {
        self.failure.get_or_insert(ServiceError::startup(role, failure));
        self.stop(StopMode::Now);
    }

    /// What hooks are told of this process.
    fn process(&self) -> MasterProcess {
        let generation = self.next.as_ref().unwrap_or(&self.current);
        let workers = self.http.as_ref().map_or(generation.config.workers, Crew::slot_count);
        generation.process(self.name(), workers)
    }

    /// What it is called in the log.
    fn name(&self) -> &'static str {
        if self.elder.is_some() { boot::YOUNGER } else { boot::ONLY }
    }

    /// One line for people.
    fn status(&self) -> String {
        let (count, addresses) = (self.http.as_ref().map_or(0, Crew::slot_count), self.process().addresses);
        match count {
            0 if self.current.config.http.is_none() => "Serving dirty calls".to_owned(),
            0 => "No HTTP workers".to_owned(),
            1 => format!("1 worker serves at {}", addresses.join(", ")),
            _ => format!("{count} workers serve at {}", addresses.join(", ")),
        }
    }

    /// Shows what this process is.
    fn show_title(&self) {
        set_title(&boot::title(&self.current.config, self.name()));
    }

    /// The end, whatever came before it.
    fn clear_up(mut self) -> Option<ServiceError> {
        self.close_listeners();
        let process = self.process();
        let shares_sockets = self.shares_sockets();
        self.shared_files.iter().for_each(SocketFile::remove_if_deserted);
        if let Some(dirty) = self.dirty.take() {
            dirty.clear_up(shares_sockets);
        }
        for generation in self.generations() {
            generation.pid_file.iter().for_each(PidFile::remove);
        }
        let hooks = &self.current.config.hooks;
        hooks::in_parent("on_exit", || hooks.on_exit(&process));
        if let Some(elder) = &self.elder {
            // Only the main process is believed: it has to say itself that it is so no more.
            self.systemd.hand_over(elder.pid(), "The new master has ended: the old one serves on");
        }
        self.failure
    }
}
