//! What a STASH message does to the tables, and what is answered.

use gunmetal_protocol::{Bytes, ScanRef, Segments, StashOp, StashRef, Value, encode_value, value};

use crate::entry::Stored;
use crate::error::StashError;
use crate::key::Key;
use crate::listing::{Listing, Values};
use crate::stash::Stash;

/// What an operation gives.
#[derive(Debug)]
pub enum Answer<'a> {
    /// A bool.
    Bool(bool),
    /// A stored value.
    Stored(Stored<'a>),
    /// A value of our own, encoded.
    Encoded(Bytes),
    /// Keys or entries that are still to be gathered.
    Listing(Listing),
}

impl Stash {
    /// Does what a STASH payload asks for. `frame` is the payload as an allocation of its own, if it is one: a large value
    /// is then kept in it.
    ///
    /// # Errors
    ///
    /// Those of the operation, or a payload that is none.
    pub fn answer(&mut self, payload: &[u8], frame: Option<&Bytes>) -> Result<Answer<'_>, StashError> {
        let request = StashRef::decode(payload)?;
        let StashRef { op, table, value, pattern, .. } = request;
        let key = || Key::try_from(request.key);
        Ok(match op {
            StashOp::Put => {
                match frame {
                    Some(frame) => self.put_received(table, key()?, value, frame)?,
                    None => self.put(table, key()?, value)?,
                }
                Answer::Bool(true)
            }
            StashOp::Get => {
                let key = key()?;
                let found = self.get(table, key).ok_or_else(|| StashError::key_not_found(table, &key))?;
                Answer::Stored(found)
            }
            StashOp::Delete => Answer::Bool(self.delete(table, key()?)),
            StashOp::Keys => Answer::Listing(Listing::keys(self, table, pattern)?),
            StashOp::Clear => {
                self.clear(table);
                Answer::Bool(true)
            }
            StashOp::Info => {
                let info = self.info(table).ok_or_else(|| StashError::table_not_found(table))?;
                let bytes = i64::try_from(info.used).unwrap_or(i64::MAX);
                let size = i64::try_from(info.len).unwrap_or(i64::MAX);
                encoded(&value!({ "size": size, "table": table, "bytes": bytes }))
            }
            StashOp::Ensure => {
                self.ensure(table)?;
                Answer::Bool(true)
            }
            StashOp::DeleteTable => Answer::Bool(self.delete_table(table)),
            StashOp::Tables => Answer::Listing(Listing::tables(self)?),
            StashOp::Exists => Answer::Bool(match key()? {
                Key::None => self.has_table(table),
                key => self.get(table, key).is_some(),
            }),
            StashOp::Scan => {
                let scan = ScanRef::decode(payload)?;
                let values = if scan.values { Values::With } else { Values::Without };
                let place = (u64::try_from(scan.cursor).unwrap_or(0), u64::try_from(scan.count).unwrap_or(1));
                Answer::Listing(Listing::scan(self, table, pattern, place, values)?)
            }
        })
    }
}

fn encoded(value: &Value) -> Answer<'static> {
    let mut out = Segments::new();
    // It is within all limits.
    let written = encode_value(value, &mut out);
    debug_assert!(written.is_ok(), "{written:?}");
    Answer::Encoded(out.into_contiguous())
}
