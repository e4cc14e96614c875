//! Recycle: one worker replaced by a fresh one, without a gap.
//!
//! ```text
//! Recycle ──▶ due ──▶ successor starts ──ready──▶ it serves, the old worker drains
//!              ▲            │ fails
//!              └─ back-off ─┘            the old worker serves on
//! ```
//!
//! One slot at a time: a pool whose workers have all had their share at once shall not take twice the memory. And none whose
//! last worker still finishes what it had: workers that hold endless streams shall not pile up.

use std::time::Instant;

use super::process::Process;
use super::slot::Seat;
use super::{Phase, Pool};
use crate::{Action, Departure, Failure, RestartHistory, RestartPolicy, WorkerId, WorkerState};

/// A worker that is to be replaced while it serves.
#[derive(Debug)]
pub(super) struct Recycle {
    worker: WorkerId,
    reason: String,
    /// When it was asked for: first come, first served.
    since: Instant,
    /// Not before this.
    not_before: Option<Instant>,
    /// Successors that failed to start.
    failures: RestartHistory,
}

impl Pool {
    /// Notes that `worker` is to be replaced. Ignored unless it serves and is not due already.
    pub(super) fn recycle(&mut self, worker: WorkerId, reason: String, now: Instant) {
        if self.worker_state(worker) != Some(WorkerState::Serving) {
            return;
        }
        let interval = self.config.recycle_interval;
        let Some(slot) = self.slots.get_mut(&worker.slot) else { return };
        if !slot.is_held_by(worker) || slot.recycle.as_ref().is_some_and(|due| due.worker == worker) {
            return;
        }
        let not_before = slot.serves_since.map(|since| since + interval).filter(|earliest| *earliest > now);
        let failures = RestartHistory::default();
        slot.recycle = Some(Recycle { worker, reason, since: now, not_before, failures });
    }

    /// Starts the successor of the worker that has been due for longest, if nothing is in the way of it.
    pub(super) fn recycle_next(&mut self) {
        let processes = &self.processes;
        for slot in self.slots.values_mut() {
            let Some(due) = &slot.recycle else { continue };
            // Otherwise it has been replaced, or will be, for a better reason.
            let serves =
                processes.get(&due.worker).is_some_and(|process| process.state() == WorkerState::Serving);
            if slot.successor.is_none() && !(serves && slot.seat == Seat::Held(due.worker)) {
                slot.recycle = None;
            }
        }
        // While it boots or reloads, a failed start would mean more than that this one failed.
        if !matches!(self.phase, Phase::Running) || self.slots.values().any(|slot| slot.successor.is_some()) {
            return;
        }
        let is_alone = |worker: WorkerId| {
            self.processes.keys().all(|other| other.slot != worker.slot || *other == worker)
        };
        let due = self.slots.values().filter_map(|slot| slot.recycle.as_ref());
        let next = due
            .filter(|due| due.not_before.is_none() && is_alone(due.worker))
            .min_by_key(|due| (due.since, due.worker));
        let Some((worker, reason)) = next.map(|due| (due.worker, due.reason.clone())) else { return };
        self.actions.push_back(Action::RecycleStarted { worker, reason });
        let successor = self.spawn(worker.slot);
        if let Some(slot) = self.slots.get_mut(&worker.slot) {
            slot.successor = Some(successor);
        }
    }

    /// `successor` is ready; if it is one of a worker that is recycled, it takes over.
    pub(super) fn succeed(&mut self, successor: WorkerId, now: Instant) {
        if !matches!(self.phase, Phase::Running) {
            return;
        }
        let Some(slot) = self.slots.get_mut(&successor.slot) else { return };
        if slot.successor != Some(successor) {
            return;
        }
        slot.successor = None;
        slot.recycle = None;
        let seat = std::mem::replace(&mut slot.seat, Seat::Held(successor));
        self.put_into_service(successor, now);
        if let Seat::Held(old) = seat {
            // What runs in it takes the time it needs: nobody waits for its end.
            self.with_process(old, now, Process::retire_patiently);
        }
    }

    /// `successor` is gone before it was ready; if it was one of a worker that is recycled, there will be another.
    pub(super) fn recycle_lost(&mut self, successor: WorkerId, departure: &Departure, now: Instant) {
        let Some(slot) = self.slots.get_mut(&successor.slot) else { return };
        if slot.successor != Some(successor) {
            return;
        }
        slot.successor = None;
        let Some(due) = &mut slot.recycle else { return };
        // However often: the old worker serves, so there is nothing to give up.
        let policy = RestartPolicy { intensity: None, ..self.config.restarts };
        let delay = due.failures.admit(&policy, Failure::Startup, now, self.jitter.next_fraction());
        let delay = delay.unwrap_or(policy.max_delay);
        due.not_before = Some(now + delay);
        let error = match departure {
            Departure::StartupFailed(error) | Departure::NotSpawned(Some(error)) => error.clone(),
            other => other.to_string(),
        };
        self.actions.push_back(Action::RecycleFailed { worker: due.worker, error, delay });
    }

    /// Gives up the successors of recycled workers: a reload makes its own.
    pub(super) fn dismiss_successors(&mut self, now: Instant) {
        let successors: Vec<_> = self.slots.values_mut().filter_map(|slot| slot.successor.take()).collect();
        for successor in successors {
            self.retire(successor, now);
        }
    }
}

impl Recycle {
    /// When [`tick`](Self::tick) has something to do.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.not_before
    }

    pub(super) fn tick(&mut self, now: Instant) {
        self.not_before = self.not_before.filter(|earliest| *earliest > now);
    }
}
