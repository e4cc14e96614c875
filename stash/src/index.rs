//! From a key's hash to its place, in pieces: growing rebuilds one piece, never the whole.
//!
//! This is extendible hashing: the first bits of a hash choose a piece by way of a directory. A piece that is full is
//! split by one more bit.

use hashbrown::HashTable;

use crate::slots::Location;

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Index {
    /// Number of the piece, by the first `depth` bits of the hash.
    directory: Vec<u32>,
    depth: u32,
    pieces: Vec<Piece>,
}

#[derive(Debug)]
struct Piece {
    places: HashTable<Location>,
    /// So many first bits are the same in all its hashes.
    depth: u32,
}

impl Default for Index {
    fn default() -> Self {
        Self { directory: vec![0], depth: 0, pieces: vec![Piece { places: HashTable::new(), depth: 0 }] }
    }
}

impl Index {
    /// The place of the entry with this hash that `is_it` says.
    #[inline]
    pub(crate) fn find(&self, hash: u32, mut is_it: impl FnMut(Location) -> bool) -> Option<Location> {
        self.pieces[self.piece(hash)].places.find(spread(hash), |&place| is_it(place)).copied()
    }

    /// Adds a place. `hash_of` tells the hashes of those that are there.
    pub(crate) fn insert(&mut self, hash: u32, place: Location, hash_of: impl Fn(Location) -> u32) {
        let mut number = self.piece(hash);
        while self.pieces[number].places.len() >= PIECE_LEN && self.pieces[number].depth < MAX_DEPTH {
            self.split(number, &hash_of);
            number = self.piece(hash);
        }
        self.pieces[number].places.insert_unique(spread(hash), place, |&place| spread(hash_of(place)));
    }

    /// Removes a place.
    pub(crate) fn remove(&mut self, hash: u32, place: Location, hash_of: impl Fn(Location) -> u32) {
        let number = self.piece(hash);
        let places = &mut self.pieces[number].places;
        if let Ok(found) = places.find_entry(spread(hash), |&other| other == place) {
            found.remove();
        }
        if places.capacity() > KEPT_LEN && places.len() < places.capacity() / 8 {
            places.shrink_to(places.len() * 2, |&place| spread(hash_of(place)));
        }
    }

    /// An entry has another place now.
    pub(crate) fn relocate(&mut self, hash: u32, from: Location, to: Location) {
        let number = self.piece(hash);
        if let Some(place) = self.pieces[number].places.find_mut(spread(hash), |&place| place == from) {
            *place = to;
        }
    }

    #[inline]
    fn piece(&self, hash: u32) -> usize {
        self.directory[first_bits(hash, self.depth)] as usize
    }

    fn split(&mut self, number: usize, hash_of: &impl Fn(Location) -> u32) {
        let depth = self.pieces[number].depth + 1;
        if depth > self.depth {
            self.directory = self.directory.iter().flat_map(|&number| [number, number]).collect();
            self.depth = depth;
        }
        let old = std::mem::take(&mut self.pieces[number].places);
        let mut halves = [HashTable::with_capacity(PIECE_LEN), HashTable::with_capacity(PIECE_LEN)];
        for place in old {
            let hash = hash_of(place);
            halves[first_bits(hash, depth) & 1].insert_unique(spread(hash), place, |_| 0);
        }
        let second = u32::try_from(self.pieces.len()).unwrap_or(u32::MAX);
        let [zero, one] = halves;
        self.pieces[number] = Piece { places: zero, depth };
        self.pieces.push(Piece { places: one, depth });
        let unused = self.depth - depth;
        for (bits, piece) in self.directory.iter_mut().enumerate() {
            if *piece as usize == number && (bits >> unused) & 1 == 1 {
                *piece = second;
            }
        }
    }
}

#[inline]
fn first_bits(hash: u32, count: u32) -> usize {
    ((u64::from(hash) << count) >> 32) as usize
}

/// The hash tables look at the first seven and the last bits of 64.
#[inline]
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Places of a piece: what fills 32,768 buckets to seven eighths.
const PIECE_LEN: usize = 28_672;

/// Beyond a million pieces they grow instead.
const MAX_DEPTH: u32 = 20;

/// So much is not worth making smaller.
const KEPT_LEN: usize = 64;
