//! The processes of companions: forked, adopted, reaped, weighed.

use std::io;
use std::time::{Duration, Instant};

use gunmetal_supervise::{
    Child, CompanionEnd, CompanionEvent, CompanionState, ExitStatus, LaunchId, Launched, Leftover, Pid,
    Readiness, ReadyReader, Signal, resident_len,
};

use super::{Manager, specs};
use crate::companions::book::Book;
use crate::companions::launch::launch;
use crate::report;

/// A process of a companion.
pub(super) struct Process {
    pub(super) child: Child,
    /// Where it says why it could not begin; `None` of one that another manager has started.
    words: Option<ReadyReader>,
    /// Its place in the ledger.
    pub(super) slot: usize,
    /// What is sent to its process group, as it was configured when it was started.
    group: Group,
}

/// What is sent to the process group of a companion, and not to its process alone.
#[derive(Clone, Copy, Default)]
struct Group {
    stop: bool,
    kill: bool,
}

impl Process {
    pub(super) fn signal(&self, signal: Signal) -> io::Result<()> {
        let is_for_all = if signal == Signal::SIGKILL { self.group.kill } else { self.group.stop };
        if is_for_all { self.child.signal_group(signal) } else { self.child.signal(signal) }
    }
}

impl Manager<'_> {
    /// Takes over what a manager before this one has left, which has been told to end by its death.
    pub(super) fn take_over(&mut self, book: Book) -> io::Result<()> {
        book.stopped().for_each(|name| self.machine.keep_stopped(name));
        for Leftover { slot, name, patience, mut child } in book.leftovers()? {
            let pid = child.pid();
            let Some(launch) = self.machine.adopt(&name, || specs::stray(&name, patience), Instant::now())
            else {
                tracing::error!("Companion {name} has another process, which is killed (pid: {pid})");
                let _ = child.signal(Signal::SIGKILL).and_then(|()| child.wait());
                continue;
            };
            tracing::warn!(
                "Companion {name}: waiting for the end of what another manager has left (pid: {pid})"
            );
            let process = Process { child, words: None, slot, group: Group::default() };
            self.processes.insert(launch, process);
        }
        self.book = Some(book);
        Ok(())
    }

    pub(super) fn spawn(&mut self, name: &str, id: LaunchId) {
        let config = self.companions.get(name).ok_or_else(|| io::Error::other("it is not configured"));
        let book = self.book.as_ref().ok_or_else(|| io::Error::other("another manager has the companions"));
        let launched = config.and_then(|config| {
            let book = book?;
            let slot = book.free_slot(self.processes.values().map(|process| process.slot));
            let group = Group { stop: config.stop_as_group, kill: config.kill_as_group };
            let Launched { child, words } = launch(config, &self.config.processes, book.ledger(), slot)?;
            Ok(Process { child, words: Some(words), slot, group })
        });
        match launched {
            Ok(process) => {
                tracing::info!("Booting companion {name} with pid: {}", process.child.pid());
                self.processes.insert(id, process);
            }
            Err(error) => {
                let reason = report::chain(&error);
                let end = CompanionEnd::NotForked(reason);
                self.machine.handle(CompanionEvent::Ended(id, end), Instant::now());
            }
        }
    }

    pub(super) fn reap(&mut self, launch: LaunchId) {
        let Some(process) = self.processes.get_mut(&launch) else { return };
        // It has ended, and keeps the number of its group until it is reaped.
        if process.group.kill
            && let Err(error) = process.child.signal_group(Signal::SIGKILL)
        {
            tracing::error!(%error, "what a companion has left in its process group cannot be killed");
        }
        let status = match process.child.try_wait() {
            Ok(None) => return,
            Ok(Some(status)) => status,
            Err(error) => {
                // Somebody else reaped it: it is gone all the same, and nobody knows how.
                tracing::error!(%error, "exit status lost");
                ExitStatus::Unknown
            }
        };
        let Some(Process { words, slot, .. }) = self.processes.remove(&launch) else { return };
        if let Some(Err(error)) = self.book.as_ref().map(|book| book.ledger().clear(slot)) {
            tracing::error!(%error, "the ledger of companions cannot be written");
        }
        let end = match words.map(ReadyReader::last_words) {
            Some(Readiness::Failed(reason)) => CompanionEnd::NeverBegan(status, reason),
            Some(Readiness::Ready | Readiness::Died) | None => CompanionEnd::Exit(status),
        };
        self.machine.handle(CompanionEvent::Ended(launch, end), Instant::now());
    }

    pub(super) fn pid_of(&self, launch: Option<LaunchId>) -> Option<Pid> {
        Some(self.processes.get(&launch?)?.child.pid())
    }

    /// It has lasted long enough: if that was a while, it will not say any more that it could not begin.
    pub(super) fn has_begun(&mut self, name: &str) {
        let companion = self.machine.find(name).filter(|companion| companion.spec().startsecs >= BEGINNING);
        let launch = companion.and_then(|companion| companion.launch());
        if let Some(process) = launch.and_then(|launch| self.processes.get_mut(&launch)) {
            process.words = None;
        }
    }

    /// Has companions that run and have grown beyond their limit restarted, once a second.
    pub(super) fn look_at_memory(&mut self) {
        let now = Instant::now();
        if now < self.next_look {
            return;
        }
        self.next_look = now + LOOK_INTERVAL;
        let mut grown = Vec::new();
        for companion in self.machine.iter() {
            let (Some(launch), Some(pid)) = (companion.launch(), self.pid_of(companion.launch())) else {
                continue;
            };
            let Some(limit) = self.companions.get(companion.name()).and_then(|config| config.max_rss) else {
                continue;
            };
            if let Ok(len) = resident_len(pid)
                && len > limit
                && companion.state() == CompanionState::Running
            {
                grown.push((launch, format!("it takes {} MiB, max_rss is {} MiB", len >> 20, limit >> 20)));
            }
        }
        for (launch, reason) in grown {
            self.machine.handle(CompanionEvent::Outgrown(launch, reason), now);
        }
    }
}

/// More than a process takes from its fork to its work.
const BEGINNING: Duration = Duration::from_secs(1);
/// How often memory is looked at, as long as there is a limit.
pub(super) const LOOK_INTERVAL: Duration = Duration::from_secs(1);
