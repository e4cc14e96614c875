//! The processes of companions: forked, adopted, reaped, weighed.

use std::io;
use std::time::{Duration, Instant};

use gunmetal_supervise::{
    Child, CompanionEnd, CompanionEvent, CompanionState, ExitStatus, LaunchId, Launched, Ledger,
    LeftoversError, Pid, Readiness, ReadyReader, Signal, resident_len,
};

use super::{Manager, ledger_path, specs};
use crate::companions::launch::launch;
use crate::companions::legacy::free;
use crate::report;

/// A process of a companion.
pub(super) struct Process {
    pub(super) child: Child,
    /// Where it says why it could not begin; `None` of one that another manager has started.
    words: Option<ReadyReader>,
    /// Its place in the ledger.
    slot: usize,
}

impl Manager<'_> {
    /// Takes over what a manager before this one has left, which has been told to end by its death.
    pub(super) fn take_over(&mut self) -> Result<Ledger, LeftoversError> {
        let ledger = Ledger::open(&ledger_path(&self.config.control_socket))?;
        for (slot, name, child) in ledger.leftovers()? {
            let pid = child.pid();
            let Some(launch) = self.machine.adopt(&name, || specs::stray(&name), Instant::now()) else {
                tracing::error!("Companion {name} has another process, which is killed (pid: {pid})");
                let _ = child.signal(Signal::SIGKILL);
                continue;
            };
            tracing::warn!(
                "Companion {name}: waiting for the end of what another manager has left (pid: {pid})"
            );
            self.processes.insert(launch, Process { child, words: None, slot });
        }
        Ok(ledger)
    }

    pub(super) fn spawn(&mut self, name: &str, id: LaunchId) {
        let slot = free(self.processes.values().map(|process| &process.slot));
        let config = self.companions.get(name).ok_or_else(|| io::Error::other("it is not configured"));
        let ledger =
            self.ledger.as_ref().ok_or_else(|| io::Error::other("another manager has the companions"));
        let launched = config.and_then(|config| launch(config, &self.config.processes, ledger?, slot));
        match launched {
            Ok(Launched { child, words }) => {
                tracing::info!("Booting companion {name} with pid: {}", child.pid());
                self.processes.insert(id, Process { child, words: Some(words), slot });
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
        if let Some(Err(error)) = self.ledger.as_ref().map(|ledger| ledger.clear(slot)) {
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

/// How often memory is looked at, as long as there is a limit.
pub(super) const LOOK_INTERVAL: Duration = Duration::from_secs(1);
