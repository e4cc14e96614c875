//! How much memory the stash takes, how much it may, and what is waiting to be freed.

use crate::error::StashError;
use crate::on_loan::OnLoan;
use crate::slots::Chunk;

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Memory {
    /// Bytes that the tables use, those of the removed included.
    pub(crate) used: u64,
    pub(crate) limit: u64,
    /// Entries that nobody can see any more.
    removed: Vec<Chunk>,
    pub(crate) on_loan: OnLoan,
}

impl Memory {
    pub(crate) fn new(limit: u64) -> Memory {
        Memory { used: 0, limit, removed: Vec::new(), on_loan: OnLoan::default() }
    }

    /// Takes entries that are to be freed some time.
    pub(crate) fn remove(&mut self, mut chunks: Vec<Chunk>) {
        self.removed.append(&mut chunks);
    }

    /// Bytes in use.
    pub(crate) fn used(&self) -> u64 {
        self.used + self.on_loan.count()
    }

    /// Exchanges `freed` bytes for `taken`, for a put to `table`. Refuses what does not fit once the removed have been freed.
    /// Only as many of them are as is needed, so this takes no longer than it took to make what it replaces.
    pub(crate) fn exchange(&mut self, table: &str, taken: u64, freed: u64) -> Result<(), StashError> {
        while (self.used() - freed).saturating_add(taken) > self.limit {
            if self.free_chunk().is_none() {
                let (used, limit, size) = (self.used(), self.limit, taken.saturating_sub(freed));
                return Err(StashError::OverLimit { table: table.to_owned(), size, used, limit });
            }
        }
        self.used = self.used + taken - freed;
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
