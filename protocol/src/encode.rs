//! From values to bytes.

use crate::error::EncodeError;
use crate::limits::{MAX_DATA_LEN, MAX_DEPTH, MAX_ITEM_COUNT};
use crate::segments::Segments;
use crate::tag;
use crate::value::{Step, Value, Walk};

/// Appends `value` to `out`. Large bytes are linked, not copied; works without recursion.
///
/// # Errors
///
/// A string, bytes, list or dict over its limit, or nesting over [`MAX_DEPTH`]; `out` is then as it was.
pub fn encode_value(value: &Value, out: &mut Segments) -> Result<(), EncodeError> {
    encode_value_within(value, 0, out)
}

/// Appends a value that has `outer` lists and dicts around it.
pub(crate) fn encode_value_within(
    value: &Value,
    outer: usize,
    out: &mut Segments,
) -> Result<(), EncodeError> {
    let start = out.mark();
    let mut walk = Walk::new(value);
    while let Some(step) = walk.next() {
        let written = match step {
            Step::Leaf(leaf) => put_leaf(leaf, out),
            Step::List(list) => check_depth(outer + walk.depth()).and_then(|()| put_list(list.len(), out)),
            Step::Dict(dict) => check_depth(outer + walk.depth()).and_then(|()| put_dict(dict.len(), out)),
            Step::Key(key) => put_str(key, out),
            Step::EndList | Step::EndDict => Ok(()),
        };
        if let Err(error) = written {
            out.truncate(start);
            return Err(error);
        }
    }
    Ok(())
}

fn put_leaf(leaf: &Value, out: &mut Segments) -> Result<(), EncodeError> {
    match leaf {
        Value::Bool(bool) => put_bool(*bool, out),
        Value::Int(int) => put_int(*int, out),
        Value::Float(float) => put_float(*float, out),
        Value::Bytes(bytes) => {
            put_data_head(tag::BYTES, bytes.len(), out)?;
            out.put_bytes(bytes.clone());
        }
        Value::Str(string) => {
            put_data_head(tag::STRING, string.len(), out)?;
            out.put_bytes(string.as_bytes().clone());
        }
        Value::None | Value::List(_) | Value::Dict(_) => put_none(out),
    }
    Ok(())
}

pub(crate) fn put_none(out: &mut Segments) {
    out.put_slice(&[tag::NONE]);
}

pub(crate) fn put_bool(bool: bool, out: &mut Segments) {
    out.put_slice(&[tag::BOOL, bool.into()]);
}

pub(crate) fn put_int(int: i64, out: &mut Segments) {
    put_tagged(tag::INT, int.to_be_bytes(), out);
}

pub(crate) fn put_float(float: f64, out: &mut Segments) {
    put_tagged(tag::FLOAT, float.to_be_bytes(), out);
}

pub(crate) fn put_str(str: &str, out: &mut Segments) -> Result<(), EncodeError> {
    put_data_head(tag::STRING, str.len(), out)?;
    out.put_slice(str.as_bytes());
    Ok(())
}

/// Appends a copy of `bytes`.
pub(crate) fn put_bytes(bytes: &[u8], out: &mut Segments) -> Result<(), EncodeError> {
    put_data_head(tag::BYTES, bytes.len(), out)?;
    out.put_slice(bytes);
    Ok(())
}

/// The head of a bytes or string value.
pub(crate) fn put_data_head(tag: u8, len: usize, out: &mut Segments) -> Result<(), EncodeError> {
    let short = u32::try_from(len).ok().filter(|len| *len <= MAX_DATA_LEN);
    let Some(short) = short else {
        return Err(EncodeError::DataTooLong { what: tag::kind(tag), len, max: MAX_DATA_LEN });
    };
    put_head(tag, short, out);
    Ok(())
}

pub(crate) fn put_list(count: usize, out: &mut Segments) -> Result<(), EncodeError> {
    put_head(tag::LIST, check_count("list", count)?, out);
    Ok(())
}

pub(crate) fn put_dict(count: usize, out: &mut Segments) -> Result<(), EncodeError> {
    put_head(tag::DICT, check_count("dict", count)?, out);
    Ok(())
}

/// A count that the wire can carry.
pub(crate) fn check_count(what: &'static str, count: usize) -> Result<u32, EncodeError> {
    let short = u32::try_from(count).ok().filter(|count| *count <= MAX_ITEM_COUNT);
    short.ok_or(EncodeError::TooManyItems { what, count, max: MAX_ITEM_COUNT })
}

/// `depth` counts the list or dict that is about to begin.
pub(crate) fn check_depth(depth: usize) -> Result<(), EncodeError> {
    if depth > MAX_DEPTH { Err(EncodeError::TooDeep { max: MAX_DEPTH }) } else { Ok(()) }
}

pub(crate) fn put_head(tag: u8, number: u32, out: &mut Segments) {
    let [a, b, c, d] = number.to_be_bytes();
    out.put_slice(&[tag, a, b, c, d]);
}

fn put_tagged(tag: u8, [a, b, c, d, e, f, g, h]: [u8; 8], out: &mut Segments) {
    out.put_slice(&[tag, a, b, c, d, e, f, g, h]);
}

#[cfg(test)]
mod tests;
