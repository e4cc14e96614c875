//! Reload: a new generation beside the old one, all or nothing.

use std::collections::BTreeSet;
use std::time::Instant;

use super::process::Context;
use super::slot::Seat;
use super::{Phase, Pool};
use crate::{Action, Departure, ExitStatus, StartupFailure, WorkerId};

/// A reload under way.
#[derive(Debug, Default)]
pub(super) struct Reload {
    /// Processes of the new generation that are not ready.
    waiting: BTreeSet<WorkerId>,
    /// Another reload was asked for meanwhile: the configuration may have changed again.
    again: bool,
}

impl Pool {
    /// Begins a reload, or notes that one is to follow what is under way.
    pub(super) fn reload(&mut self, now: Instant) {
        match &mut self.phase {
            Phase::Booting { then_reload: again } | Phase::Reloading(Reload { again, .. }) => *again = true,
            Phase::Running => self.start_reload(now),
            Phase::Stopping(_) | Phase::Stopped => {}
        }
    }

    pub(super) fn start_reload(&mut self, now: Instant) {
        self.actions.push_back(Action::ReloadStarted);
        // They may have been started before what the reload is for.
        self.dismiss_successors(now);
        let mut waiting = BTreeSet::new();
        for number in self.slots.keys().copied().collect::<Vec<_>>() {
            let worker = self.spawn(number);
            waiting.insert(worker);
            if let Some(slot) = self.slots.get_mut(&number) {
                match slot.seat {
                    Seat::Held(_) => slot.successor = Some(worker),
                    Seat::BackingOff { .. } => slot.seat = Seat::Held(worker),
                }
            }
        }
        self.phase = Phase::Reloading(Reload { waiting, again: false });
        self.finish_reload_if_ready(now);
    }

    /// The reload need not wait for `worker` any more.
    pub(super) fn reload_has(&mut self, worker: WorkerId, now: Instant) {
        if let Phase::Reloading(reload) = &mut self.phase {
            reload.waiting.remove(&worker);
            self.finish_reload_if_ready(now);
        }
    }

    /// A successor that was ready is so no more: the reload cannot succeed, and fails when the process is gone.
    pub(super) fn reload_lost_standby(&mut self, worker: WorkerId) {
        let is_successor = self.slots.get(&worker.slot).is_some_and(|slot| slot.successor == Some(worker));
        if let (true, Phase::Reloading(reload)) = (is_successor, &mut self.phase) {
            reload.waiting.insert(worker);
        }
    }

    /// `worker` is gone; fails the reload if that was part of it.
    pub(super) fn reload_lost(
        &mut self,
        worker: WorkerId,
        departure: &Departure,
        status: Option<ExitStatus>,
        now: Instant,
    ) {
        let Phase::Reloading(reload) = &mut self.phase else { return };
        let is_successor = self.slots.get(&worker.slot).is_some_and(|slot| slot.successor == Some(worker));
        if !reload.waiting.contains(&worker) && !is_successor {
            return;
        }
        let again = reload.again;
        let error = match departure {
            Departure::StartupFailed(error) | Departure::NotSpawned(Some(error)) => error.clone(),
            other => other.to_string(),
        };
        self.phase = Phase::Running;
        let failure = StartupFailure { worker, error, status, restarts: 0 };
        self.actions.push_back(Action::ReloadFailed(failure));
        self.dismiss_successors(now);
        if again {
            self.start_reload(now);
        }
    }

    fn finish_reload_if_ready(&mut self, now: Instant) {
        let Phase::Reloading(Reload { waiting, again }) = &self.phase else { return };
        if !waiting.is_empty() {
            return;
        }
        let again = *again;
        self.phase = Phase::Running;
        let mut old = Vec::new();
        for slot in self.slots.values_mut() {
            let Some(successor) = slot.successor.take() else { continue };
            if let Seat::Held(worker) = std::mem::replace(&mut slot.seat, Seat::Held(successor)) {
                old.push(worker);
            }
            // The new configuration starts with a clean record.
            slot.history = crate::RestartHistory::default();
            (slot.was_ready, slot.serves_since) = (true, Some(now));
            let mut cx = Context { config: &self.config, now, actions: &mut self.actions };
            if let Some(process) = self.processes.get_mut(&successor) {
                process.serve(&mut cx);
            }
        }
        // Only now: the new generation serves before the old one drains.
        for worker in old {
            self.retire(worker, now);
        }
        self.actions.push_back(Action::ReloadDone);
        if again {
            self.start_reload(now);
        }
    }
}
