//! A table's entries in the order in which their keys came.
//!
//! ```text
//! order    ▶ chunk 0 ▶ chunk 3 ▶ chunk 1
//! chunk    first sequence number; up to 512 slots, some vacant
//! slot     entry, distance to the first sequence number, hash
//! ```
//!
//! Every key gets a sequence number when it comes and keeps it until it goes, so a position in the order means the same
//! whatever is put or removed meanwhile. Growing copies no more than a chunk; chunks that have become sparse are merged.

use crate::entry::Entry;

/// See the [module](self).
#[derive(Debug, Default)]
pub(crate) struct Slots {
    /// By number; `None` where one was removed.
    chunks: Vec<Option<Chunk>>,
    free: Vec<u32>,
    /// The chunks' numbers by their first sequence numbers.
    order: Vec<u32>,
    last_seq: u64,
}

/// Where a slot is, until [`Slots::remove`] moves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Location(u32);

/// A number of entries that lie together.
#[derive(Debug)]
pub(crate) struct Chunk {
    first_seq: u64,
    occupied: usize,
    slots: Vec<Slot>,
}

#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) entry: Entry,
    /// Sequence number, counted from the chunk's first.
    distance: u32,
    pub(crate) hash: u32,
}

/// An entry that has another place now.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Move {
    pub(crate) hash: u32,
    pub(crate) from: Location,
    pub(crate) to: Location,
}

impl Slots {
    /// Puts an entry behind all others.
    pub(crate) fn push(&mut self, entry: Entry, hash: u32) -> Location {
        self.last_seq += 1;
        let seq = self.last_seq;
        let tail = self.order.last().copied().filter(|&number| {
            let chunk = self.chunk(number);
            chunk.slots.len() < CHUNK_LEN && seq - chunk.first_seq <= u64::from(u32::MAX)
        });
        let number = tail.unwrap_or_else(|| {
            let number = self.add_chunk(Chunk { first_seq: seq, occupied: 0, slots: Vec::new() });
            self.order.push(number);
            number
        });
        let chunk = self.chunk_mut(number);
        let distance = u32::try_from(seq - chunk.first_seq).unwrap_or(u32::MAX);
        chunk.slots.push(Slot { entry, distance, hash });
        chunk.occupied += 1;
        Location::new(number, chunk.slots.len() - 1)
    }

    #[inline]
    pub(crate) fn get(&self, location: Location) -> &Slot {
        &self.chunk(location.chunk()).slots[location.position()]
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, location: Location) -> &mut Slot {
        &mut self.chunk_mut(location.chunk()).slots[location.position()]
    }

    /// Takes an entry out; tells which others had to be moved, in `moved`.
    pub(crate) fn remove(&mut self, location: Location, moved: &mut Vec<Move>) -> Entry {
        let number = location.chunk();
        let chunk = self.chunk_mut(number);
        let entry = std::mem::replace(&mut chunk.slots[location.position()].entry, Entry::vacant());
        chunk.occupied -= 1;
        let (occupied, first_seq) = (chunk.occupied, chunk.first_seq);
        if occupied > MERGED_LEN {
            return entry;
        }
        let place = self.order.partition_point(|&other| self.chunk(other).first_seq < first_seq);
        if occupied == 0 {
            self.order.remove(place);
            self.drop_chunk(number);
            self.trim();
        } else if place + 1 < self.order.len() && self.may_merge(place) {
            self.merge(place, moved);
        } else if place > 0 && place + 1 < self.order.len() && self.may_merge(place - 1) {
            self.merge(place - 1, moved);
        }
        entry
    }

    /// The entries whose sequence numbers are greater than `seq`, in order, with their numbers.
    pub(crate) fn after(&self, seq: u64) -> impl Iterator<Item = (u64, &Entry)> {
        let later = self.order.partition_point(|&number| self.chunk(number).first_seq <= seq);
        let first = later.saturating_sub(1);
        self.order[first..].iter().flat_map(move |&number| {
            let chunk = self.chunk(number);
            let seen = chunk.slots.partition_point(|slot| chunk.first_seq + u64::from(slot.distance) <= seq);
            let numbered = |slot: &Slot| chunk.first_seq + u64::from(slot.distance);
            chunk.slots[seen..]
                .iter()
                .filter(|slot| !slot.entry.is_vacant())
                .map(move |slot| (numbered(slot), &slot.entry))
        })
    }

    /// The sequence number of the last key that came.
    pub(crate) fn last_seq(&self) -> u64 {
        self.last_seq
    }

    /// Takes all entries out, to be dropped chunk by chunk. The sequence goes on.
    pub(crate) fn take_chunks(&mut self) -> Vec<Chunk> {
        let taken = std::mem::take(self);
        self.last_seq = taken.last_seq;
        taken.chunks.into_iter().flatten().collect()
    }

    /// Whether a chunk and the next one, which must not be the tail that is still being filled, fit in one.
    fn may_merge(&self, place: usize) -> bool {
        if place + 2 >= self.order.len() {
            return false;
        }
        let (one, next) = (self.chunk(self.order[place]), self.chunk(self.order[place + 1]));
        let span =
            next.first_seq + next.slots.last().map_or(0, |slot| u64::from(slot.distance)) - one.first_seq;
        one.occupied + next.occupied <= MERGED_LEN && span <= u64::from(u32::MAX)
    }

    fn merge(&mut self, place: usize, moved: &mut Vec<Move>) {
        let numbers = [self.order[place], self.order[place + 1]];
        let first_seq = self.chunk(numbers[0]).first_seq;
        let merged = self.add_chunk(Chunk { first_seq, occupied: 0, slots: Vec::with_capacity(CHUNK_LEN) });
        for number in numbers {
            let Some(old) = self.drop_chunk(number) else { continue };
            let shift = u32::try_from(old.first_seq - first_seq).unwrap_or(u32::MAX);
            let target = self.chunk_mut(merged);
            for (position, mut slot) in old.slots.into_iter().enumerate() {
                if slot.entry.is_vacant() {
                    continue;
                }
                slot.distance += shift;
                let (from, to) = (Location::new(number, position), Location::new(merged, target.slots.len()));
                moved.push(Move { hash: slot.hash, from, to });
                target.slots.push(slot);
                target.occupied += 1;
            }
        }
        self.order[place] = merged;
        self.order.remove(place + 1);
    }

    fn add_chunk(&mut self, chunk: Chunk) -> u32 {
        if let Some(number) = self.free.pop() {
            self.chunks[number as usize] = Some(chunk);
            return number;
        }
        self.chunks.push(Some(chunk));
        u32::try_from(self.chunks.len() - 1).unwrap_or(u32::MAX)
    }

    fn drop_chunk(&mut self, number: u32) -> Option<Chunk> {
        self.free.push(number);
        self.chunks[number as usize].take()
    }

    /// Forgets the numbers of a table that has become empty.
    fn trim(&mut self) {
        if self.order.is_empty() {
            self.chunks = Vec::new();
            self.free = Vec::new();
        }
    }

    #[inline]
    fn chunk(&self, number: u32) -> &Chunk {
        self.chunks[number as usize]
            .as_ref()
            .expect("the order and the index name only chunks that are there")
    }

    #[inline]
    fn chunk_mut(&mut self, number: u32) -> &mut Chunk {
        self.chunks[number as usize]
            .as_mut()
            .expect("the order and the index name only chunks that are there")
    }
}

impl Chunk {
    /// How many entries go with it.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Bytes that go with it.
    pub(crate) fn cost(&self) -> u64 {
        self.slots.iter().filter(|slot| !slot.entry.is_vacant()).map(|slot| slot.entry.cost()).sum()
    }
}

impl Location {
    fn new(chunk: u32, position: usize) -> Location {
        #[expect(clippy::cast_possible_truncation, reason = "a position is less than a chunk's length")]
        let position = position as u32;
        Location((chunk << CHUNK_BITS) | position)
    }

    #[inline]
    fn chunk(self) -> u32 {
        self.0 >> CHUNK_BITS
    }

    #[inline]
    fn position(self) -> usize {
        (self.0 & ((1 << CHUNK_BITS) - 1)) as usize
    }
}

const CHUNK_BITS: u32 = 9;

/// Slots of a chunk.
const CHUNK_LEN: usize = 1 << CHUNK_BITS;

/// Two neighbours are merged if they then hold at most so many entries: with some room left, so that no chunk is merged
/// again and again.
const MERGED_LEN: usize = CHUNK_LEN / 4 * 3;

/// Entries that a table can have: their places are numbered with 32 bits, and more than half of the slots may be vacant.
pub(crate) const MAX_ENTRY_COUNT: usize = 1 << 30;
