//! All tables, their limit, and what they are asked.

use gunmetal_protocol::Bytes;
use hashbrown::{DefaultHashBuilder, HashMap};

use crate::entry::{Entry, NewValue, Stored};
use crate::error::StashError;
use crate::key::Key;
use crate::memory::Memory;
use crate::slots::MAX_ENTRY_COUNT;
use crate::table::Table;

/// Named tables of key to value.
///
/// ```
/// use gunmetal_stash::{Key, Stash};
///
/// let mut stash = Stash::new(1 << 20);
/// let encoded = b"\x05\0\0\0\0\0\0\0\x07";
/// stash.put("sessions", Key::Str("user:1"), encoded)?;
/// assert_eq!(stash.get("sessions", Key::Str("user:1")).unwrap().bytes(), encoded);
/// assert!(stash.delete("sessions", Key::Str("user:1")));
/// # Ok::<(), gunmetal_stash::StashError>(())
/// ```
#[derive(Debug)]
pub struct Stash {
    tables: HashMap<Box<str>, Named>,
    /// For the keys of all tables.
    hasher: DefaultHashBuilder,
    /// Counts the tables there have been: they are listed in the order in which they were made.
    made: u64,
    memory: Memory,
}

#[derive(Debug)]
struct Named {
    made: u64,
    table: Table,
}

/// What there is to say about a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Info {
    /// Keys in it.
    pub len: usize,
    /// Bytes that they and their values take.
    pub used: u64,
}

impl Stash {
    /// No tables, which may take `limit` bytes of memory.
    #[must_use]
    pub fn new(limit: u64) -> Stash {
        Stash {
            tables: HashMap::new(),
            hasher: DefaultHashBuilder::default(),
            made: 0,
            memory: Memory::new(limit),
        }
    }

    /// Bytes in use.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.memory.used
    }

    /// Bytes that may be in use.
    #[must_use]
    pub fn limit(&self) -> u64 {
        self.memory.limit
    }

    /// Stores a copy of an encoded value, in a table that is made if need be.
    ///
    /// # Errors
    ///
    /// There is too little room.
    pub fn put(&mut self, table: &str, key: Key<'_>, value: &[u8]) -> Result<(), StashError> {
        self.put_value(table, key, NewValue::Borrowed(value))
    }

    /// Stores an encoded value that lies in `frame`, an allocation of its own; without a copy if that is little longer.
    ///
    /// # Errors
    ///
    /// There is too little room.
    pub fn put_received(
        &mut self,
        table: &str,
        key: Key<'_>,
        value: &[u8],
        frame: &Bytes,
    ) -> Result<(), StashError> {
        self.put_value(table, key, NewValue::Received { value, frame })
    }

    fn put_value(&mut self, name: &str, key: Key<'_>, value: NewValue<'_>) -> Result<(), StashError> {
        let Self { tables, hasher, memory, .. } = self;
        let Some(Named { table, .. }) = tables.get_mut(name) else {
            // A table is not left behind by a put that is refused.
            let size = table_cost(name) + Entry::cost_of(key.encoded_len(), value);
            memory.exchange(name, size, 0)?;
            memory.used -= size;
            self.ensure(name)?;
            return self.put_value(name, key, value);
        };
        let found = table.find(&key, hasher);
        let (taken, freed) = table.cost_of_put(found, &key, value);
        if freed == 0 && table.len() >= MAX_ENTRY_COUNT {
            return Err(StashError::TableFull { table: name.to_owned(), count: table.len() });
        }
        memory.exchange(name, taken, freed)?;
        table.put(found, &key, value);
        Ok(())
    }

    /// The encoded value under a key.
    #[must_use]
    #[inline]
    pub fn get(&self, table: &str, key: Key<'_>) -> Option<Stored<'_>> {
        let table = &self.tables.get(table)?.table;
        table.get(table.find(&key, &self.hasher))
    }

    /// Removes a key; says whether it was there.
    pub fn delete(&mut self, table: &str, key: Key<'_>) -> bool {
        let Some(Named { table, .. }) = self.tables.get_mut(table) else { return false };
        let before = table.used();
        let deleted = table.remove(table.find(&key, &self.hasher));
        self.memory.used -= before - table.used();
        deleted
    }

    /// Whether there is such a table.
    #[must_use]
    pub fn has_table(&self, table: &str) -> bool {
        self.tables.contains_key(table)
    }

    /// Removes all keys of a table, if there is one.
    pub fn clear(&mut self, table: &str) {
        if let Some(Named { table, .. }) = self.tables.get_mut(table) {
            self.memory.remove(table.clear());
        }
    }

    /// What there is to say about a table, if there is one.
    #[must_use]
    pub fn info(&self, table: &str) -> Option<Info> {
        let table = &self.tables.get(table)?.table;
        Some(Info { len: table.len(), used: table.used() })
    }

    /// Makes a table, unless there is one.
    ///
    /// # Errors
    ///
    /// There is too little room.
    pub fn ensure(&mut self, name: &str) -> Result<(), StashError> {
        if self.has_table(name) {
            return Ok(());
        }
        let cost = table_cost(name);
        self.memory.exchange(name, cost, 0)?;
        self.made += 1;
        self.tables.insert(name.into(), Named { made: self.made, table: Table::default() });
        Ok(())
    }

    /// Removes a table; says whether there was one.
    pub fn delete_table(&mut self, name: &str) -> bool {
        let Some(Named { mut table, .. }) = self.tables.remove(name) else { return false };
        self.memory.remove(table.clear());
        self.memory.used -= table_cost(name);
        true
    }

    /// The tables' names in the order in which they were made.
    #[must_use]
    pub fn tables(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.tables.iter().map(|(name, named)| (named.made, &**name)).collect();
        names.sort_unstable();
        names.into_iter().map(|(_, name)| name).collect()
    }

    /// Frees the memory of some of the entries that were removed with others, and says whether there are more. What
    /// `clear` and `delete_table` remove is gone at once, but giving back the memory of millions of entries takes a
    /// while; each call frees at most some thousand.
    pub fn sweep(&mut self) -> bool {
        self.memory.sweep()
    }

    /// Whether there is something to [`sweep`](Self::sweep).
    #[must_use]
    #[inline]
    pub fn is_unswept(&self) -> bool {
        self.memory.is_unswept()
    }

    pub(crate) fn table(&self, name: &str) -> Option<&Table> {
        self.tables.get(name).map(|named| &named.table)
    }
}

fn table_cost(name: &str) -> u64 {
    TABLE_COST + name.len() as u64
}

/// What an empty table takes: itself, its place among the others, its first chunk and piece.
const TABLE_COST: u64 = 512;
