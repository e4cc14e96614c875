//! How much memory the stash takes, how much it may, and what is waiting to be freed.

use crate::error::StashError;
use crate::slots::Chunk;

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Memory {
    /// Bytes in use, those of the removed included.
    pub(crate) used: u64,
    pub(crate) limit: u64,
    /// Entries that nobody can see any more.
    removed: Vec<Chunk>,
}

impl Memory {
    pub(crate) fn new(limit: u64) -> Memory {
        Memory { used: 0, limit, removed: Vec::new() }
    }

    /// Takes entries that are to be freed some time.
    pub(crate) fn remove(&mut self, mut chunks: Vec<Chunk>) {
        self.removed.append(&mut chunks);
    }

    /// Exchanges `freed` bytes for `taken`, for a put to `table`.
    pub(crate) fn exchange(&mut self, table: &str, taken: u64, freed: u64) -> Result<(), StashError> {
        if taken > freed {
            self.make_room(table, taken - freed)?;
        }
        self.used = self.used + taken - freed;
        Ok(())
    }

    /// Refuses what does not fit once the removed have been freed. Only as many of them are as is needed, so this takes
    /// no longer than it took to make what it replaces.
    fn make_room(&mut self, table: &str, size: u64) -> Result<(), StashError> {
        while self.used.saturating_add(size) > self.limit {
            if self.free_chunk().is_none() {
                let (used, limit) = (self.used, self.limit);
                return Err(StashError::OverLimit { table: table.to_owned(), size, used, limit });
            }
        }
        Ok(())
    }

    /// Frees some of the removed entries; whether there are more.
    pub(crate) fn sweep(&mut self) -> bool {
        let mut swept = 0;
        while swept < SWEPT_LEN
            && let Some(len) = self.free_chunk()
        {
            swept += len;
        }
        if self.removed.is_empty() {
            self.removed = Vec::new();
        }
        self.is_unswept()
    }

    #[inline]
    pub(crate) fn is_unswept(&self) -> bool {
        !self.removed.is_empty()
    }

    /// The number of slots in what was freed.
    fn free_chunk(&mut self) -> Option<usize> {
        let chunk = self.removed.pop()?;
        self.used -= chunk.cost();
        Some(chunk.len())
    }
}

/// Entries that are freed at a time: some hundred microseconds.
const SWEPT_LEN: usize = 2048;
