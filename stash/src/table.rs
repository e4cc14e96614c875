//! A table: its entries in order, and the index over them.

use hashbrown::DefaultHashBuilder;

use crate::entry::{Entry, NewValue, Stored};
use crate::index::Index;
use crate::key::Key;
use crate::on_loan::OnLoan;
use crate::slots::{Chunk, Location, Slots};

/// Keys and their values, in the order in which the keys came.
#[derive(Debug, Default)]
pub(crate) struct Table {
    slots: Slots,
    index: Index,
    len: usize,
    /// Bytes that the entries take.
    used: u64,
}

/// The place of a key, which may be taken or not.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found {
    hash: u32,
    place: Option<Location>,
}

impl Table {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn used(&self) -> u64 {
        self.used
    }

    #[inline]
    pub(crate) fn find(&self, key: &Key<'_>, hasher: &DefaultHashBuilder) -> Found {
        let hash = key.hash_with(hasher);
        let place = self.index.find(hash, |place| {
            let slot = self.slots.get(place);
            slot.hash == hash && key.is_at_front_of(slot.entry.front())
        });
        Found { hash, place }
    }

    #[inline]
    pub(crate) fn get(&self, found: Found) -> Option<Stored<'_>> {
        Some(self.slots.get(found.place?).entry.value())
    }

    /// Bytes that a put would take, and bytes that it would free.
    pub(crate) fn cost_of_put(&self, found: Found, key: &Key<'_>, value: NewValue<'_>) -> (u64, u64) {
        match found.place {
            Some(place) => {
                let entry = &self.slots.get(place).entry;
                (Entry::cost_of(entry.key().len(), value), entry.cost())
            }
            None => (Entry::cost_of(key.encoded_len(), value), 0),
        }
    }

    /// Stores a value. A key that is there stays, and stays where it is.
    pub(crate) fn put(&mut self, found: Found, key: &Key<'_>, value: NewValue<'_>, on_loan: &OnLoan) {
        match found.place {
            Some(place) => {
                let entry = &mut self.slots.get_mut(place).entry;
                self.used -= entry.cost();
                entry.replace(value, on_loan);
                self.used += entry.cost();
            }
            None => {
                let entry = Entry::new(key, value, on_loan);
                self.used += entry.cost();
                let place = self.slots.push(entry, found.hash);
                self.index.insert(found.hash, place, |place| self.slots.get(place).hash);
                self.len += 1;
            }
        }
    }

    /// Whether there was such a key.
    pub(crate) fn remove(&mut self, found: Found) -> bool {
        let Some(place) = found.place else { return false };
        self.index.remove(found.hash, place, |place| self.slots.get(place).hash);
        let mut moved = Vec::new();
        self.used -= self.slots.remove(place, &mut moved).cost();
        for step in moved {
            self.index.relocate(step.hash, step.from, step.to);
        }
        self.len -= 1;
        true
    }

    /// Takes everything out, to be dropped piece by piece.
    pub(crate) fn clear(&mut self) -> Vec<Chunk> {
        self.index = Index::default();
        self.len = 0;
        self.used = 0;
        self.slots.take_chunks()
    }

    /// The entries whose sequence numbers are greater than `seq`, with their numbers.
    pub(crate) fn after(&self, seq: u64) -> impl Iterator<Item = (u64, &Entry)> {
        self.slots.after(seq)
    }

    pub(crate) fn last_seq(&self) -> u64 {
        self.slots.last_seq()
    }
}
