//! The number of slots.

use std::time::Instant;

use super::slot::{Seat, Slot};
use super::{Phase, Pool};
use crate::{Action, WorkerState};

impl Pool {
    /// Names the slots that a shrinking pool must keep: those that alone hold an app that must be served. Of the others
    /// those go first in which nobody serves, then the highest number; if only essential ones are left, the pool stays
    /// larger than was asked.
    pub fn set_essential(&mut self, slots: impl IntoIterator<Item = u32>) {
        self.essential = slots.into_iter().collect();
    }

    pub(super) fn resize(&mut self, wanted: u32, now: Instant) {
        if matches!(self.phase, Phase::Stopping(_) | Phase::Stopped) {
            return;
        }
        let from = self.slot_count();
        let to = wanted.min(self.config.maximum).max(self.config.minimum);
        let to = if to < from { to.max(self.essential_count()) } else { to };
        self.actions.push_back(Action::Resized { from, to, wanted });
        self.grow_to(to);
        while self.slot_count() > to {
            let Some(number) = self.most_expendable() else { break };
            self.remove_slot(number, now);
        }
        // The last slot that others waited for may have gone.
        self.boot_if_ready(Some(now));
    }

    /// Adds slots, the lowest free numbers first.
    pub(super) fn grow_to(&mut self, target: u32) {
        let mut number = 0;
        while self.slot_count() < target {
            if !self.slots.contains_key(&number) {
                let worker = self.spawn(number);
                self.slots.insert(number, Slot::held_by(worker));
            }
            number += 1;
        }
    }

    fn most_expendable(&self) -> Option<u32> {
        let expendable = || self.slots.keys().rev().copied().filter(|slot| !self.essential.contains(slot));
        expendable().find(|slot| !self.serves(*slot)).or_else(|| expendable().next())
    }

    fn serves(&self, slot: u32) -> bool {
        let seat = self.slots.get(&slot).map(|slot| slot.seat);
        matches!(seat, Some(Seat::Held(worker)) if self.worker_state(worker) == Some(WorkerState::Serving))
    }

    fn remove_slot(&mut self, number: u32, now: Instant) {
        let Some(slot) = self.slots.remove(&number) else { return };
        let holder = match slot.seat {
            Seat::Held(worker) => Some(worker),
            Seat::BackingOff { .. } => None,
        };
        for worker in holder.into_iter().chain(slot.successor) {
            self.retire(worker, now);
            self.reload_has(worker, now);
        }
    }

    /// How many slots there are that must be kept.
    fn essential_count(&self) -> u32 {
        let count = self.slots.keys().filter(|slot| self.essential.contains(slot)).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    fn slot_count(&self) -> u32 {
        u32::try_from(self.slots.len()).unwrap_or(u32::MAX)
    }
}
