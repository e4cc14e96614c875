//! How the two servers are asked, and what they answer: bytes that are prepared before anything is timed.

use anyhow::Result;
use gunmetal_protocol::{
    Bytes, MessageType, Segments, StashOp, Value, encode_frame, encode_response, encode_stash, encode_value,
    value,
};

/// Whose language a request is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Gunmetal,
    Redis,
}

/// A request and the one answer that it must get.
#[derive(Debug, Clone)]
pub(crate) struct Exchange {
    pub(crate) request: Vec<u8>,
    pub(crate) answer: Vec<u8>,
}

impl Dialect {
    pub(crate) fn put(self, key: &str, value: &[u8]) -> Result<Exchange> {
        Ok(match self {
            Self::Gunmetal => {
                let mut encoded = Segments::new();
                encode_value(&Value::Bytes(Bytes::copy_from_slice(value)), &mut encoded)?;
                Exchange { request: stash(StashOp::Put, Some(key), Some(encoded))?, answer: response(true)? }
            }
            Self::Redis => {
                Exchange { request: command(&[b"SET", key.as_bytes(), value]), answer: b"+OK\r\n".to_vec() }
            }
        })
    }

    pub(crate) fn get(self, key: &str, value: &[u8]) -> Result<Exchange> {
        Ok(match self {
            Self::Gunmetal => Exchange {
                request: stash(StashOp::Get, Some(key), None)?,
                answer: response(Bytes::copy_from_slice(value))?,
            },
            Self::Redis => Exchange { request: command(&[b"GET", key.as_bytes()]), answer: bulk(value) },
        })
    }

    /// All keys that match. Redis lists them in no order, so only the length of its answer is right.
    pub(crate) fn keys(self, pattern: &str, matching: &[String]) -> Result<Exchange> {
        Ok(match self {
            Self::Gunmetal => {
                let mut payload = Segments::new();
                encode_value(&value!({"op": 4, "table": TABLE, "pattern": pattern}), &mut payload)?;
                let mut request = Segments::new();
                encode_frame(MessageType::Stash, 1, payload, &mut request)?;
                let keys: Vec<Value> = matching.iter().map(|key| key.as_str().into()).collect();
                Exchange { request: request.into_contiguous().to_vec(), answer: response(keys)? }
            }
            Self::Redis => {
                let mut answer = format!("*{}\r\n", matching.len()).into_bytes();
                matching.iter().for_each(|key| answer.extend(bulk(key.as_bytes())));
                Exchange { request: command(&[b"KEYS", pattern.as_bytes()]), answer }
            }
        })
    }

    /// Removes everything.
    pub(crate) fn flush(self) -> Result<Exchange> {
        Ok(match self {
            Self::Gunmetal => {
                Exchange { request: stash(StashOp::Clear, None, None)?, answer: response(true)? }
            }
            Self::Redis => Exchange { request: command(&[b"FLUSHALL"]), answer: b"+OK\r\n".to_vec() },
        })
    }
}

fn stash(op: StashOp, key: Option<&str>, value: Option<Segments>) -> Result<Vec<u8>> {
    let mut frame = Segments::new();
    encode_stash(1, op, TABLE, key.map(Value::from).as_ref(), value, None, &mut frame)?;
    Ok(frame.into_contiguous().to_vec())
}

fn response(result: impl Into<Value>) -> Result<Vec<u8>> {
    let mut frame = Segments::new();
    encode_response(1, &result.into(), &mut frame)?;
    Ok(frame.into_contiguous().to_vec())
}

fn command(words: &[&[u8]]) -> Vec<u8> {
    let mut command = format!("*{}\r\n", words.len()).into_bytes();
    words.iter().for_each(|word| command.extend(bulk(word)));
    command
}

fn bulk(bytes: &[u8]) -> Vec<u8> {
    [format!("${}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

pub(crate) const TABLE: &str = "bench";
