//! From a received payload to a [`Value`].

use bytes::Bytes;
use bytestring::ByteString;

use super::builder::Builder;
use super::{Dict, List, Value};
use crate::error::DecodeError;
use crate::limits::MAX_DEPTH;
use crate::reader::{HEAD_LEN, Reader, Token};

/// Room made for the items of a list or dict before they have been seen; more comes as they do.
const MAX_RESERVE: usize = 64;

impl Value {
    /// Decodes a whole payload; strings and bytes become slices of it.
    ///
    /// An item of one byte takes 72 as a `Value`: where a hostile peer's payload need not be owned, look
    /// at it through a [`ValueRef`](crate::ValueRef).
    ///
    /// # Errors
    ///
    /// Anything that is not exactly one value within the limits; the error names the offset.
    #[allow(clippy::needless_pass_by_value, reason = "the value keeps slices of the payload")]
    pub fn decode(payload: Bytes) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(&payload);
        let value = Self::read(&mut reader, 0, |slice| payload.slice_ref(slice))?;
        reader.finish()?;
        Ok(value)
    }

    /// Takes the next value, which has `outer` lists and dicts around it; `own` turns a slice of the
    /// payload into bytes to keep.
    pub(crate) fn read<'a>(
        reader: &mut Reader<'a>,
        outer: usize,
        own: impl Fn(&'a [u8]) -> Bytes,
    ) -> Result<Self, DecodeError> {
        // Items still to come in each open list or dict, the innermost last.
        let mut left: Vec<(usize, bool)> = Vec::new();
        let mut builder = Builder::new();
        loop {
            if let Some((_, true)) = left.last() {
                builder.key(own_str(reader.key()?, reader.offset(), &own)?);
            }
            let mut value = match reader.token()? {
                Token::None => Self::None,
                Token::Bool(bool) => Self::Bool(bool),
                Token::Int(int) => Self::Int(int),
                Token::Float(float) => Self::Float(float),
                Token::Bytes(bytes) => Self::Bytes(own(bytes)),
                Token::Str(str) => Self::Str(own_str(str, reader.offset(), &own)?),
                Token::List(_) | Token::Dict(_) if outer + left.len() >= MAX_DEPTH => {
                    return Err(DecodeError::TooDeep { offset: reader.offset() - HEAD_LEN, max: MAX_DEPTH });
                }
                Token::List(0) => Self::List(List::new()),
                Token::Dict(0) => Self::Dict(Dict::new()),
                Token::List(count) => {
                    builder.open_list((count as usize).min(MAX_RESERVE));
                    left.push((count as usize, false));
                    continue;
                }
                Token::Dict(count) => {
                    builder.open_dict((count as usize).min(MAX_RESERVE));
                    left.push((count as usize, true));
                    continue;
                }
            };
            // Every list or dict that this value completes is itself a complete value.
            loop {
                if let Some(whole) = builder.add(value) {
                    return Ok(whole);
                }
                let Some((count, _)) = left.last_mut() else { return Ok(Self::None) };
                *count -= 1;
                if *count > 0 {
                    break;
                }
                left.pop();
                value = builder.close();
            }
        }
    }
}

/// The string as bytes to keep.
fn own_str<'a>(
    str: &'a str,
    end: usize,
    own: &impl Fn(&'a [u8]) -> Bytes,
) -> Result<ByteString, DecodeError> {
    // Checked by the reader already; without unsafe code the type asks again.
    let offset = end - str.len();
    let bytes = own(str.as_bytes());
    match ByteString::try_from(bytes) {
        Ok(string) => Ok(string),
        Err(source) => Err(DecodeError::InvalidUtf8 { offset, source }),
    }
}
