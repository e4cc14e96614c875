//! REQUEST: a call of an action.

use super::{Field, decode_dict, encode_with};
use crate::args::Args;
use crate::encode::{encode_value_within, put_dict, put_list, put_str};
use crate::error::{DecodeError, EncodeError};
use crate::header::MessageType;
use crate::reader::Reader;
use crate::segments::Segments;
use crate::value_ref::{DictRef, ListRef, ValueRef};

/// Appends a REQUEST: call `action` of the app at `app_path` (`module:Name`).
///
/// # Errors
///
/// An argument cannot be encoded, or the payload is over the limit; `out` is then as it was.
pub fn encode_request(
    request_id: u64,
    app_path: &str,
    action: &str,
    args: &Args,
    out: &mut Segments,
) -> Result<(), EncodeError> {
    encode_with(MessageType::Request, request_id, out, |out| {
        put_names(app_path, action, out)?;
        put_list(args.positional.len(), out)?;
        for value in &args.positional {
            encode_value_within(value, 2, out)?;
        }
        put_str("kwargs", out)?;
        put_dict(args.keyword.len(), out)?;
        for (name, value) in &args.keyword {
            put_str(name, out)?;
            encode_value_within(value, 2, out)?;
        }
        Ok(())
    })
}

/// Appends a REQUEST whose arguments are encoded already: a list, and a dict.
///
/// # Errors
///
/// The payload is over the limit; `out` is then as it was.
pub fn encode_request_encoded(
    request_id: u64,
    app_path: &str,
    action: &str,
    args: impl Into<Segments>,
    kwargs: impl Into<Segments>,
    out: &mut Segments,
) -> Result<(), EncodeError> {
    encode_with(MessageType::Request, request_id, out, |out| {
        put_names(app_path, action, out)?;
        out.append(args.into());
        put_str("kwargs", out)?;
        out.append(kwargs.into());
        Ok(())
    })
}

fn put_names(app_path: &str, action: &str, out: &mut Segments) -> Result<(), EncodeError> {
    put_dict(4, out)?;
    put_str("app_path", out)?;
    put_str(app_path, out)?;
    put_str("action", out)?;
    put_str(action, out)?;
    put_str("args", out)
}

/// A REQUEST as a view of its payload.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RequestRef<'a> {
    /// The app that is called, `module:Name`.
    pub app_path: &'a str,
    /// The action of the app.
    pub action: &'a str,
    /// Positional arguments; empty if the peer left them out.
    pub args: ListRef<'a>,
    /// Keyword arguments; empty if the peer left them out.
    pub kwargs: DictRef<'a>,
}

impl<'a> RequestRef<'a> {
    /// Checks a whole payload and gives a view of it. Keys beyond the four are ignored.
    ///
    /// # Errors
    ///
    /// The payload is no such dict; the error names the offset or the key.
    pub fn decode(payload: &'a [u8]) -> Result<Self, DecodeError> {
        let (mut app_path, mut action) = (None, None);
        let (mut args, mut kwargs) = (ListRef::EMPTY, DictRef::EMPTY);
        decode_dict("REQUEST", payload, |key, reader| {
            match key {
                "app_path" => app_path = Some(APP_PATH.str(reader)?),
                "action" => action = Some(ACTION.str(reader)?),
                "args" => args = list(reader)?,
                "kwargs" => kwargs = dict(reader)?,
                _ => drop(reader.value(1)?),
            }
            Ok(())
        })?;
        Ok(Self { app_path: APP_PATH.required(app_path)?, action: ACTION.required(action)?, args, kwargs })
    }
}

const APP_PATH: Field = Field { message: "REQUEST", name: "app_path" };
const ACTION: Field = Field { message: "REQUEST", name: "action" };
const ARGS: Field = Field { message: "REQUEST", name: "args" };
const KWARGS: Field = Field { message: "REQUEST", name: "kwargs" };

fn list<'a>(reader: &mut Reader<'a>) -> Result<ListRef<'a>, DecodeError> {
    let value = ValueRef::read(reader, 1)?;
    value.as_list().ok_or_else(|| ARGS.wrong_kind("list", value))
}

fn dict<'a>(reader: &mut Reader<'a>) -> Result<DictRef<'a>, DecodeError> {
    let value = ValueRef::read(reader, 1)?;
    value.as_dict().ok_or_else(|| KWARGS.wrong_kind("dict", value))
}
