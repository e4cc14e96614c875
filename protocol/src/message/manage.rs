//! MANAGE: more or fewer workers.

use super::{Field, decode_dict, encode_with};
use crate::encode::{put_dict, put_int, put_str};
use crate::error::{DecodeError, EncodeError};
use crate::header::MessageType;
use crate::segments::Segments;

/// What a MANAGE message asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ManageOp {
    /// Start workers.
    Add = 1,
    /// Stop workers.
    Remove = 2,
}

impl TryFrom<i64> for ManageOp {
    type Error = DecodeError;

    fn try_from(op: i64) -> Result<Self, DecodeError> {
        match op {
            1 => Ok(Self::Add),
            2 => Ok(Self::Remove),
            found => Err(DecodeError::OutOfRange {
                message: "MANAGE",
                field: "op",
                expected: "1 (add) or 2 (remove)",
                found,
            }),
        }
    }
}

/// Appends a MANAGE: add or remove `count` workers.
///
/// # Errors
///
/// None in practice: two integers always fit.
pub fn encode_manage(
    request_id: u64,
    op: ManageOp,
    count: i64,
    out: &mut Segments,
) -> Result<(), EncodeError> {
    encode_with(MessageType::Manage, request_id, out, |out| {
        put_dict(2, out)?;
        put_str("op", out)?;
        put_int(op as i64, out);
        put_str("count", out)?;
        put_int(count, out);
        Ok(())
    })
}

/// A MANAGE message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ManageRef {
    /// What to do.
    pub op: ManageOp,
    /// With how many workers; 1 if the peer left it out. Whether it makes sense is not checked here.
    pub count: i64,
}

impl ManageRef {
    /// Decodes a whole payload. Keys beyond the two are ignored.
    ///
    /// # Errors
    ///
    /// The payload is no such dict, or the operation is unknown.
    pub fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        let (mut op, mut count) = (None, 1);
        decode_dict("MANAGE", payload, |key, reader| {
            match key {
                "op" => op = Some(OP.int(reader)?),
                "count" => count = COUNT.int(reader)?,
                _ => drop(reader.value(1)?),
            }
            Ok(())
        })?;
        Ok(Self { op: OP.required(op)?.try_into()?, count })
    }
}

const OP: Field = Field { message: "MANAGE", name: "op" };
const COUNT: Field = Field { message: "MANAGE", name: "count" };
