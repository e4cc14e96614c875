//! All tables, their limit, and what they are asked.

use gunmetal_protocol::{ByteString, Bytes};
use hashbrown::DefaultHashBuilder;

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
    /// The tables' names, in the order in which they were made; under each its place among the tables.
    names: Table,
    tables: Vec<Option<Table>>,
    /// Places that are free.
    free: Vec<usize>,
    /// For the keys of all tables.
    hasher: DefaultHashBuilder,
    memory: Memory,
}

/// What can be listed.
#[derive(Debug)]
pub(crate) enum Source {
    /// The names of the tables.
    Names,
    /// A table, by its name.
    Table(ByteString),
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
            names: Table::default(),
            tables: Vec::new(),
            free: Vec::new(),
            hasher: DefaultHashBuilder::default(),
            memory: Memory::new(limit),
        }
    }

    /// Bytes in use, those of large values included that are in no table any more but that somebody still has.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.memory.used()
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
        let place = self.place(name);
        let Self { tables, hasher, memory, .. } = self;
        let Some(table) = place.and_then(|place| tables[place].as_mut()) else {
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
        table.put(found, &key, value, &memory.on_loan);
        Ok(())
    }

    /// The encoded value under a key.
    #[must_use]
    #[inline]
    pub fn get(&self, table: &str, key: Key<'_>) -> Option<Stored<'_>> {
        let table = self.table(table)?;
        table.get(table.find(&key, &self.hasher))
    }

    /// Removes a key; says whether it was there.
    pub fn delete(&mut self, table: &str, key: Key<'_>) -> bool {
        let place = self.place(table);
        let Self { tables, hasher, memory, .. } = self;
        let Some(table) = place.and_then(|place| tables[place].as_mut()) else { return false };
        let before = table.used();
        let deleted = table.remove(table.find(&key, hasher));
        memory.used -= before - table.used();
        deleted
    }

    /// Whether there is such a table.
    #[must_use]
    pub fn has_table(&self, table: &str) -> bool {
        self.place(table).is_some()
    }

    /// Removes all keys of a table, if there is one.
    pub fn clear(&mut self, table: &str) {
        if let Some(table) = self.place(table).and_then(|place| self.tables[place].as_mut()) {
            self.memory.remove(table.clear());
        }
    }

    /// What there is to say about a table, if there is one.
    #[must_use]
    pub fn info(&self, table: &str) -> Option<Info> {
        let table = self.table(table)?;
        Some(Info { len: table.len(), used: table.used() })
    }

    /// Makes a table, unless there is one.
    ///
    /// # Errors
    ///
    /// There is too little room.
    pub fn ensure(&mut self, name: &str) -> Result<(), StashError> {
        let found = self.names.find(&Key::Str(name), &self.hasher);
        if self.names.get(found).is_some() {
            return Ok(());
        }
        self.memory.exchange(name, table_cost(name), 0)?;
        let place = self.free.pop().unwrap_or_else(|| {
            self.tables.push(None);
            self.tables.len() - 1
        });
        self.tables[place] = Some(Table::default());
        self.names.put(
            found,
            &Key::Str(name),
            NewValue::Borrowed(&place.to_ne_bytes()),
            &self.memory.on_loan,
        );
        Ok(())
    }

    /// Removes a table; says whether there was one.
    pub fn delete_table(&mut self, name: &str) -> bool {
        let Some(place) = self.place(name) else { return false };
        self.names.remove(self.names.find(&Key::Str(name), &self.hasher));
        self.free.push(place);
        if let Some(mut table) = self.tables[place].take() {
            self.memory.remove(table.clear());
        }
        self.memory.used -= table_cost(name);
        true
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

    pub(crate) fn source(&self, source: &Source) -> Option<&Table> {
        match source {
            Source::Names => Some(&self.names),
            Source::Table(name) => self.table(name),
        }
    }

    #[inline]
    fn table(&self, name: &str) -> Option<&Table> {
        self.tables[self.place(name)?].as_ref()
    }

    #[inline]
    fn place(&self, name: &str) -> Option<usize> {
        let found = self.names.find(&Key::Str(name), &self.hasher);
        let place = self.names.get(found)?.bytes();
        place.first_chunk().map(|place| usize::from_ne_bytes(*place))
    }
}

fn table_cost(name: &str) -> u64 {
    TABLE_COST + name.len() as u64
}

/// What an empty table takes: itself, its place among the others, its first chunk and piece.
const TABLE_COST: u64 = 512;
