//! SCAN, a STASH operation of our own: a part of a table's entries, and where to go on.

use super::{Field, decode_dict, encode_with};
use crate::encode::{put_bool, put_dict, put_int, put_str};
use crate::error::{DecodeError, EncodeError};
use crate::header::MessageType;
use crate::message::StashOp;
use crate::segments::Segments;
use crate::value_ref::ValueRef;

/// Which entries of a table to send: `count` at most of those behind `cursor`, in the order of their keys. Only for peers
/// that have said they know it.
///
/// The reply is `{"cursor": int, "items": list}`: keys, or lists of key and value. Its cursor is for the next SCAN, and 0 at
/// the end of the table. A key that is there all the while comes exactly once; one reply may hold fewer items than
/// asked for, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScanRef<'a> {
    /// The table's name.
    pub table: &'a str,
    /// 0 at first, then what the last reply said.
    pub cursor: i64,
    /// Most items wanted.
    pub count: i64,
    /// Which keys are wanted; all without one.
    pub pattern: Option<&'a str>,
    /// Whether the values are wanted too.
    pub values: bool,
}

/// Appends a SCAN.
///
/// # Errors
///
/// The payload is over the limit; `out` is then as it was.
pub fn encode_scan(request_id: u64, scan: &ScanRef<'_>, out: &mut Segments) -> Result<(), EncodeError> {
    encode_with(MessageType::Stash, request_id, out, |out| {
        put_dict(5 + usize::from(scan.pattern.is_some()), out)?;
        put_str("op", out)?;
        put_int(StashOp::Scan as i64, out);
        put_str("table", out)?;
        put_str(scan.table, out)?;
        put_str("cursor", out)?;
        put_int(scan.cursor, out);
        put_str("count", out)?;
        put_int(scan.count, out);
        put_str("values", out)?;
        put_bool(scan.values, out);
        if let Some(pattern) = scan.pattern {
            put_str("pattern", out)?;
            put_str(pattern, out)?;
        }
        Ok(())
    })
}

impl<'a> ScanRef<'a> {
    /// Checks the whole payload of a SCAN and gives a view of it.
    ///
    /// # Errors
    ///
    /// The payload is no such dict, or a number in it makes no sense.
    pub fn decode(payload: &'a [u8]) -> Result<Self, DecodeError> {
        let mut scan = Self { table: "", cursor: 0, count: DEFAULT_COUNT, pattern: None, values: false };
        decode_dict("STASH", payload, |name, reader| {
            match name {
                "table" => scan.table = TABLE.str(reader)?,
                "cursor" => scan.cursor = CURSOR.at_least(0, reader)?,
                "count" => scan.count = COUNT.at_least(1, reader)?,
                "values" => {
                    let value = ValueRef::read(reader, 1)?;
                    scan.values = value.as_bool().ok_or_else(|| VALUES.wrong_kind("bool", value))?;
                }
                "pattern" => {
                    scan.pattern = match ValueRef::read(reader, 1)? {
                        ValueRef::None => None,
                        ValueRef::Str(pattern) => Some(pattern),
                        other => return Err(PATTERN.wrong_kind("string", other)),
                    }
                }
                _ => drop(reader.value(1)?),
            }
            Ok(())
        })?;
        Ok(scan)
    }
}

impl Field {
    fn at_least(&self, least: i64, reader: &mut crate::reader::Reader<'_>) -> Result<i64, DecodeError> {
        let found = self.int(reader)?;
        if found >= least {
            return Ok(found);
        }
        let expected = if least == 0 { "0 or more" } else { "1 or more" };
        Err(DecodeError::OutOfRange { message: self.message, field: self.name, expected, found })
    }
}

/// Items of a reply where the request does not say.
const DEFAULT_COUNT: i64 = 100;

const TABLE: Field = Field { message: "STASH", name: "table" };
const CURSOR: Field = Field { message: "STASH", name: "cursor" };
const COUNT: Field = Field { message: "STASH", name: "count" };
const VALUES: Field = Field { message: "STASH", name: "values" };
const PATTERN: Field = Field { message: "STASH", name: "pattern" };
