//! A look into the beginning of a payload, to route it without decoding it.

use crate::error::DecodeError;
use crate::reader::{Reader, Token};
use crate::tag;

/// What a router needs to know of a REQUEST.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peek<'a> {
    /// The app that is called.
    pub app_path: &'a str,
    /// The action, if it comes right behind the path and has arrived.
    pub action: Option<&'a str>,
}

/// What a router needs to know of a STASH or MANAGE message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeekOp<'a> {
    /// The operation's number.
    pub op: i64,
    /// The table, if it comes right behind the operation and has arrived.
    pub table: Option<&'a str>,
}

/// The result of a look into the part of a payload that has arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeekOutcome<T> {
    /// There it is.
    Found(T),
    /// What has arrived does not reach that far.
    NeedMore,
    /// The dict ends without it.
    NotFound,
}

/// Looks for `app_path` in the beginning of a REQUEST payload.
///
/// Every known client writes it first, so nothing else is read; where it comes later, the values before
/// it are stepped over. If the key is repeated, the first one counts here. `NeedMore` for a payload that
/// has arrived in full means that it is truncated: [`ValueRef::decode`](crate::ValueRef::decode) says where.
///
/// # Errors
///
/// The payload does not begin with a dict, or breaks the encoding before the path was found.
pub fn peek_request(prefix: &[u8]) -> Result<PeekOutcome<Peek<'_>>, DecodeError> {
    let mut action = None;
    let found = find("REQUEST", "app_path", prefix, |reader, pairs_left| {
        let tag = reader.peek_tag()?;
        let Token::Str(app_path) = reader.token()? else {
            return Err(wrong_kind("REQUEST", "app_path", "string", tag));
        };
        action = next_text(reader, pairs_left, "action");
        Ok(app_path)
    })?;
    Ok(found.map(|app_path| Peek { app_path, action }))
}

/// Looks for `op`, and `table` behind it, in the beginning of a STASH or MANAGE payload.
///
/// # Errors
///
/// The payload does not begin with a dict, or breaks the encoding before the operation was found.
pub fn peek_op(prefix: &[u8]) -> Result<PeekOutcome<PeekOp<'_>>, DecodeError> {
    let mut table = None;
    let found = find("STASH or MANAGE", "op", prefix, |reader, pairs_left| {
        let tag = reader.peek_tag()?;
        let Token::Int(op) = reader.token()? else {
            return Err(wrong_kind("STASH or MANAGE", "op", "int", tag));
        };
        table = next_text(reader, pairs_left, "table");
        Ok(op)
    })?;
    Ok(found.map(|op| PeekOp { op, table }))
}

impl<T> PeekOutcome<T> {
    fn map<U>(self, f: impl FnOnce(T) -> U) -> PeekOutcome<U> {
        match self {
            Self::Found(found) => PeekOutcome::Found(f(found)),
            Self::NeedMore => PeekOutcome::NeedMore,
            Self::NotFound => PeekOutcome::NotFound,
        }
    }
}

/// Steps through the outer dict to the value under `field` and lets `take` read it.
fn find<'a, T>(
    message: &'static str,
    field: &'static str,
    prefix: &'a [u8],
    take: impl FnOnce(&mut Reader<'a>, u32) -> Result<T, DecodeError>,
) -> Result<PeekOutcome<T>, DecodeError> {
    match try_find(message, field, prefix, take) {
        // Counts and lengths claim bytes that may be on their way.
        Err(DecodeError::Truncated { .. } | DecodeError::CountExceedsPayload { .. }) => {
            Ok(PeekOutcome::NeedMore)
        }
        Ok(Some(found)) => Ok(PeekOutcome::Found(found)),
        Ok(None) => Ok(PeekOutcome::NotFound),
        Err(error) => Err(error),
    }
}

fn try_find<'a, T>(
    message: &'static str,
    field: &'static str,
    prefix: &'a [u8],
    take: impl FnOnce(&mut Reader<'a>, u32) -> Result<T, DecodeError>,
) -> Result<Option<T>, DecodeError> {
    let mut reader = Reader::new(prefix);
    let tag = reader.peek_tag()?;
    let Token::Dict(count) = reader.token()? else {
        return Err(DecodeError::NotADict { message, found: tag::kind(tag) });
    };
    for pairs_left in (0..count).rev() {
        if reader.key()? == field {
            return take(&mut reader, pairs_left).map(Some);
        }
        reader.value(1)?;
    }
    Ok(None)
}

/// The string under `field`, if that is the next pair and has arrived.
fn next_text<'a>(reader: &mut Reader<'a>, pairs_left: u32, field: &str) -> Option<&'a str> {
    if pairs_left == 0 || reader.key().ok()? != field {
        return None;
    }
    if let Ok(Token::Str(text)) = reader.token() { Some(text) } else { None }
}

fn wrong_kind(message: &'static str, field: &'static str, expected: &'static str, tag: u8) -> DecodeError {
    DecodeError::WrongKind { message, field, expected, found: tag::kind(tag) }
}

#[cfg(test)]
mod tests;
