//! A cursor over TLV bytes: every read checked, every error naming the place.

mod well_formed;

use crate::error::DecodeError;
use crate::limits::{MAX_DATA_LEN, MAX_DEPTH, MAX_ITEM_COUNT};
use crate::tag;
use well_formed::QUICK_DEPTH;

/// Reads tokens off the front of a payload.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    /// What has not been read yet.
    rest: &'a [u8],
    /// Length of the whole payload; tells the offset.
    total: usize,
}

/// A scalar, or the start of a list or dict with its number of items.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Token<'a> {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Bytes(&'a [u8]),
    Str(&'a str),
    /// The items follow.
    List(u32),
    /// The pairs follow, each a string and a value.
    Dict(u32),
}

impl<'a> Reader<'a> {
    #[inline]
    pub(crate) fn new(payload: &'a [u8]) -> Self {
        Self { rest: payload, total: payload.len() }
    }

    /// Where the next read starts.
    #[inline]
    pub(crate) fn offset(&self) -> usize {
        self.total - self.rest.len()
    }

    /// The tag of the next value, without taking it.
    #[inline]
    pub(crate) fn peek_tag(&self) -> Result<u8, DecodeError> {
        self.rest.first().copied().ok_or_else(|| self.truncated("value", 1))
    }

    /// Refuses bytes behind the last value.
    #[inline]
    pub(crate) fn finish(&self) -> Result<(), DecodeError> {
        match self.rest.len() {
            0 => Ok(()),
            count => Err(DecodeError::TrailingBytes { offset: self.offset(), count }),
        }
    }

    /// Takes the next scalar, or the head of the next list or dict.
    #[inline]
    pub(crate) fn token(&mut self) -> Result<Token<'a>, DecodeError> {
        let Some((&tag, rest)) = self.rest.split_first() else {
            return Err(self.truncated("value", 1));
        };
        Ok(match tag {
            tag::STRING => Token::Str(self.str(rest)?),
            tag::INT => Token::Int(i64::from_be_bytes(self.fixed(rest, "int")?)),
            tag::FLOAT => Token::Float(f64::from_be_bytes(self.fixed(rest, "float")?)),
            tag::NONE => {
                self.rest = rest;
                Token::None
            }
            tag::BOOL => {
                let [byte] = self.fixed(rest, "bool")?;
                // Like gunicorn: anything but zero is true.
                Token::Bool(byte != 0)
            }
            tag::BYTES => Token::Bytes(self.data(rest, "bytes")?),
            tag::LIST => Token::List(self.count(rest, "list", 1)?),
            tag::DICT => Token::Dict(self.count(rest, "dict", MIN_PAIR_LEN)?),
            tag => return Err(DecodeError::UnknownTag { tag, offset: self.offset() }),
        })
    }

    /// Takes a dict's key.
    #[inline]
    pub(crate) fn key(&mut self) -> Result<&'a str, DecodeError> {
        match self.rest.split_first() {
            Some((&tag::STRING, rest)) => self.str(rest),
            _ => Err(self.not_a_key()),
        }
    }

    /// Takes one whole value, checking all of it, and returns its bytes.
    ///
    /// `outer` lists and dicts are open around it. Works without recursion and without allocation.
    #[inline]
    pub(crate) fn value(&mut self, outer: usize) -> Result<&'a [u8], DecodeError> {
        if outer <= MAX_DEPTH - QUICK_DEPTH
            && let Some(len) = well_formed::value_len(self.rest)
        {
            let (value, rest) = self.rest.split_at(len);
            self.rest = rest;
            return Ok(value);
        }
        self.value_carefully(outer)
    }

    /// [`Reader::value`] by way of tokens, which find every mistake and name it.
    #[cold]
    fn value_carefully(&mut self, outer: usize) -> Result<&'a [u8], DecodeError> {
        let start = self.rest;
        let first = self.token()?;
        if let Token::List(_) | Token::Dict(_) = first {
            self.items(first, outer)?;
        }
        Ok(&start[..start.len() - self.rest.len()])
    }

    /// Takes everything in a list or dict whose head was taken.
    fn items(&mut self, head: Token<'a>, outer: usize) -> Result<(), DecodeError> {
        // One slot for each open container but the innermost: items left, and whether it is a dict.
        let mut stack = [0_u32; MAX_DEPTH];
        let mut open = 0;
        let (mut left, mut is_dict) = match head {
            Token::List(count) => (count, false),
            Token::Dict(count) => (count, true),
            _ => return Ok(()),
        };
        if outer >= MAX_DEPTH {
            return Err(DecodeError::TooDeep { offset: self.offset() - HEAD_LEN, max: MAX_DEPTH });
        }
        loop {
            while left == 0 {
                if open == 0 {
                    return Ok(());
                }
                open -= 1;
                left = stack[open] & !DICT_BIT;
                is_dict = stack[open] & DICT_BIT != 0;
            }
            left -= 1;
            if is_dict {
                self.key()?;
            }
            let (count, dict) = match self.token()? {
                Token::List(count) => (count, false),
                Token::Dict(count) => (count, true),
                _ => continue,
            };
            if outer + open + 1 >= MAX_DEPTH {
                return Err(DecodeError::TooDeep { offset: self.offset() - HEAD_LEN, max: MAX_DEPTH });
            }
            stack[open] = if is_dict { left | DICT_BIT } else { left };
            open += 1;
            (left, is_dict) = (count, dict);
        }
    }

    #[inline]
    fn str(&mut self, rest: &'a [u8]) -> Result<&'a str, DecodeError> {
        let bytes = self.data(rest, "string")?;
        std::str::from_utf8(bytes)
            .map_err(|source| DecodeError::InvalidUtf8 { offset: self.offset() - bytes.len(), source })
    }

    /// A length and as many bytes.
    #[inline]
    fn data(&mut self, rest: &'a [u8], what: &'static str) -> Result<&'a [u8], DecodeError> {
        let Some((len, rest)) = rest.split_first_chunk() else { return Err(self.truncated(what, HEAD_LEN)) };
        let len = u32::from_be_bytes(*len);
        match rest.split_at_checked(len as usize) {
            Some((data, rest)) if len <= MAX_DATA_LEN => {
                self.rest = rest;
                Ok(data)
            }
            _ => Err(self.bad_data(what, len)),
        }
    }

    /// The number of items, each of which takes at least `min_len` bytes.
    #[inline]
    fn count(&mut self, rest: &'a [u8], what: &'static str, min_len: usize) -> Result<u32, DecodeError> {
        let Some((count, rest)) = rest.split_first_chunk() else {
            return Err(self.truncated(what, HEAD_LEN));
        };
        let count = u32::from_be_bytes(*count);
        if count > MAX_ITEM_COUNT || count as usize * min_len > rest.len() {
            return Err(self.bad_count(what, count));
        }
        self.rest = rest;
        Ok(count)
    }

    #[inline]
    fn fixed<const N: usize>(&mut self, rest: &'a [u8], what: &'static str) -> Result<[u8; N], DecodeError> {
        let Some((bytes, rest)) = rest.split_first_chunk() else { return Err(self.truncated(what, 1 + N)) };
        self.rest = rest;
        Ok(*bytes)
    }

    #[cold]
    fn truncated(&self, what: &'static str, needed: usize) -> DecodeError {
        DecodeError::Truncated { what, offset: self.offset(), needed, left: self.rest.len() }
    }

    #[cold]
    fn bad_data(&self, what: &'static str, len: u32) -> DecodeError {
        if len > MAX_DATA_LEN {
            return DecodeError::DataTooLong { what, offset: self.offset(), len, max: MAX_DATA_LEN };
        }
        self.truncated(what, HEAD_LEN + len as usize)
    }

    #[cold]
    fn bad_count(&self, what: &'static str, count: u32) -> DecodeError {
        let offset = self.offset();
        if count > MAX_ITEM_COUNT {
            return DecodeError::TooManyItems { what, offset, count, max: MAX_ITEM_COUNT };
        }
        DecodeError::CountExceedsPayload { what, offset, count, left: self.rest.len() - HEAD_LEN }
    }

    #[cold]
    fn not_a_key(&self) -> DecodeError {
        match self.rest.first() {
            None => self.truncated("dict key", HEAD_LEN),
            Some(&tag) if tag::kind(tag) == "value" => DecodeError::UnknownTag { tag, offset: self.offset() },
            Some(&tag) => DecodeError::KeyNotString { offset: self.offset(), found: tag::kind(tag) },
        }
    }
}

/// Tag and length or count.
pub(crate) const HEAD_LEN: usize = 5;

/// The shortest pair of a dict: the empty string and none.
const MIN_PAIR_LEN: usize = HEAD_LEN + 1;

/// Marks a stack slot as a dict's; above any count.
const DICT_BIT: u32 = 1 << 31;
