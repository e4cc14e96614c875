//! STASH: an operation on a shared table.

use super::{Field, decode_dict, encode_with};
use crate::encode::{encode_value_within, put_dict, put_int, put_str};
use crate::error::{DecodeError, EncodeError};
use crate::header::MessageType;
use crate::segments::Segments;
use crate::value::Value;
use crate::value_ref::ValueRef;

/// What a STASH message asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum StashOp {
    /// Store a value under a key.
    Put = 1,
    /// Fetch the value under a key.
    Get = 2,
    /// Remove a key.
    Delete = 3,
    /// List the keys, all or those that match a pattern.
    Keys = 4,
    /// Remove all keys.
    Clear = 5,
    /// Describe a table.
    Info = 6,
    /// Create a table unless it exists.
    Ensure = 7,
    /// Remove a table.
    DeleteTable = 8,
    /// List the tables.
    Tables = 9,
    /// Whether a table, or a key in it, exists.
    Exists = 10,
    /// List a part of the keys, or of the entries, and say where to go on: an extension, see
    /// [`encode_scan`](crate::encode_scan).
    Scan = 0x40,
}

impl TryFrom<i64> for StashOp {
    type Error = DecodeError;

    fn try_from(op: i64) -> Result<Self, DecodeError> {
        Ok(match op {
            1 => Self::Put,
            2 => Self::Get,
            3 => Self::Delete,
            4 => Self::Keys,
            5 => Self::Clear,
            6 => Self::Info,
            7 => Self::Ensure,
            8 => Self::DeleteTable,
            9 => Self::Tables,
            10 => Self::Exists,
            0x40 => Self::Scan,
            found => {
                return Err(DecodeError::OutOfRange {
                    message: "STASH",
                    field: "op",
                    expected: "1 to 10, or 64",
                    found,
                });
            }
        })
    }
}

/// Appends a STASH message; `value` is encoded already. What is `None` is left out, as gunicorn does.
///
/// # Errors
///
/// The key cannot be encoded, or the payload is over the limit; `out` is then as it was.
pub fn encode_stash(
    request_id: u64,
    op: StashOp,
    table: &str,
    key: Option<&Value>,
    value: Option<Segments>,
    pattern: Option<&str>,
    out: &mut Segments,
) -> Result<(), EncodeError> {
    encode_with(MessageType::Stash, request_id, out, |out| {
        let optional = [key.is_some(), value.is_some(), pattern.is_some()];
        put_dict(2 + optional.iter().filter(|given| **given).count(), out)?;
        put_str("op", out)?;
        put_int(op as i64, out);
        put_str("table", out)?;
        put_str(table, out)?;
        if let Some(key) = key {
            put_str("key", out)?;
            encode_value_within(key, 1, out)?;
        }
        if let Some(value) = value {
            put_str("value", out)?;
            out.append(value);
        }
        if let Some(pattern) = pattern {
            put_str("pattern", out)?;
            put_str(pattern, out)?;
        }
        Ok(())
    })
}

/// A STASH message as a view of its payload.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StashRef<'a> {
    /// What to do.
    pub op: StashOp,
    /// On which table; empty where the operation names none.
    pub table: &'a str,
    /// The key; an absent one is none, as gunicorn cannot tell them apart.
    pub key: ValueRef<'a>,
    /// The value's encoded bytes; an absent one is none, `[0x00]`.
    pub value: &'a [u8],
    /// Which keys to list.
    pub pattern: Option<&'a str>,
}

impl<'a> StashRef<'a> {
    /// Checks a whole payload and gives a view of it. Keys beyond the five are ignored.
    ///
    /// # Errors
    ///
    /// The payload is no such dict, or the operation is unknown.
    pub fn decode(payload: &'a [u8]) -> Result<Self, DecodeError> {
        let (mut op, mut table, mut key) = (None, "", ValueRef::None);
        let (mut value, mut pattern): (&[u8], _) = (&[crate::tag::NONE], None);
        decode_dict("STASH", payload, |name, reader| {
            match name {
                "op" => op = Some(OP.int(reader)?),
                "table" => table = TABLE.str(reader)?,
                "key" => key = ValueRef::read(reader, 1)?,
                "value" => value = reader.value(1)?,
                "pattern" => {
                    pattern = match ValueRef::read(reader, 1)? {
                        ValueRef::None => None,
                        ValueRef::Str(pattern) => Some(pattern),
                        other => return Err(PATTERN.wrong_kind("string", other)),
                    }
                }
                _ => drop(reader.value(1)?),
            }
            Ok(())
        })?;
        Ok(Self { op: OP.required(op)?.try_into()?, table, key, value, pattern })
    }
}

const OP: Field = Field { message: "STASH", name: "op" };
const TABLE: Field = Field { message: "STASH", name: "table" };
const PATTERN: Field = Field { message: "STASH", name: "pattern" };
