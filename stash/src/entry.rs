//! A key and its value in one allocation, or, where the value is large, the value in one that can be shared.

use gunmetal_protocol::Bytes;

use crate::key::{Key, encoded_key_len};
use crate::on_loan::{Lent, OWNER_LEN, OnLoan};

/// See the [module](self). Both parts are encoded.
#[derive(Debug)]
pub(crate) enum Entry {
    /// The key and the value behind it. Empty where there is no entry any more.
    Small(Box<[u8]>),
    Large(Box<Large>),
}

#[derive(Debug)]
pub(crate) struct Large {
    key: Box<[u8]>,
    value: Lent,
}

/// A value to be put: its encoding, and the allocation that it may be kept in.
#[derive(Debug, Clone, Copy)]
pub(crate) enum NewValue<'a> {
    /// To be copied.
    Borrowed(&'a [u8]),
    /// A part of a frame received into an allocation of its own.
    Received { value: &'a [u8], frame: &'a Bytes },
}

/// A stored value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored<'a> {
    /// Encoded, and short: to be copied.
    Small(&'a [u8]),
    /// Encoded, and long: to be shared.
    Large(&'a Bytes),
}

impl Entry {
    pub(crate) fn vacant() -> Entry {
        Entry::Small(Box::default())
    }

    #[inline]
    pub(crate) fn is_vacant(&self) -> bool {
        matches!(self, Entry::Small(bytes) if bytes.is_empty())
    }

    pub(crate) fn new(key: &Key<'_>, value: NewValue<'_>, on_loan: &OnLoan) -> Entry {
        let mut encoded = Vec::with_capacity(key.encoded_len() + value.inline_len());
        key.encode(&mut encoded);
        Entry::with_key(encoded, value, on_loan)
    }

    /// Gives the key another value.
    pub(crate) fn replace(&mut self, value: NewValue<'_>, on_loan: &OnLoan) {
        let inline_len = value.inline_len();
        if let Entry::Small(bytes) = self {
            let key_len = encoded_key_len(bytes);
            if inline_len > 0 && bytes.len() == key_len + inline_len {
                return bytes[key_len..].copy_from_slice(value.bytes());
            }
        }
        let mut key = Vec::with_capacity(self.key().len() + inline_len);
        key.extend_from_slice(self.key());
        *self = Entry::with_key(key, value, on_loan);
    }

    fn with_key(mut key: Vec<u8>, value: NewValue<'_>, on_loan: &OnLoan) -> Entry {
        if value.inline_len() > 0 {
            key.extend_from_slice(value.bytes());
            return Entry::Small(key.into());
        }
        let (value, held) = match value {
            NewValue::Received { value, frame } if value.len() + MOST_SLACK >= frame.len() => {
                (frame.slice_ref(value), frame.len())
            }
            NewValue::Received { value, .. } | NewValue::Borrowed(value) => {
                (Bytes::copy_from_slice(value), value.len())
            }
        };
        Entry::Large(Box::new(Large { key: key.into(), value: on_loan.lend(value, held) }))
    }

    /// The encoded key.
    #[inline]
    pub(crate) fn key(&self) -> &[u8] {
        match self {
            Entry::Small(bytes) => &bytes[..encoded_key_len(bytes).min(bytes.len())],
            Entry::Large(large) => &large.key,
        }
    }

    /// Bytes that begin with the encoded key.
    #[inline]
    pub(crate) fn front(&self) -> &[u8] {
        match self {
            Entry::Small(bytes) => bytes,
            Entry::Large(large) => &large.key,
        }
    }

    #[inline]
    pub(crate) fn value(&self) -> Stored<'_> {
        match self {
            Entry::Small(bytes) => Stored::Small(&bytes[encoded_key_len(bytes).min(bytes.len())..]),
            Entry::Large(large) => Stored::Large(large.value.value()),
        }
    }

    /// Bytes that it takes.
    pub(crate) fn cost(&self) -> u64 {
        match self {
            Entry::Small(bytes) => small_cost(bytes.len()),
            Entry::Large(large) => large_cost(large.key.len(), large.value.held()),
        }
    }

    /// Bytes that an entry with such a key and value would take.
    pub(crate) fn cost_of(key_len: usize, value: NewValue<'_>) -> u64 {
        match value {
            _ if value.inline_len() > 0 => small_cost(key_len + value.inline_len()),
            NewValue::Received { value, frame } if value.len() + MOST_SLACK >= frame.len() => {
                large_cost(key_len, frame.len())
            }
            NewValue::Received { value, .. } | NewValue::Borrowed(value) => large_cost(key_len, value.len()),
        }
    }
}

impl<'a> NewValue<'a> {
    pub(crate) fn bytes(&self) -> &'a [u8] {
        match self {
            NewValue::Borrowed(value) | NewValue::Received { value, .. } => value,
        }
    }

    /// How much of it lies behind the key: all or nothing.
    fn inline_len(&self) -> usize {
        let len = self.bytes().len();
        if len < SHARED_FROM { len } else { 0 }
    }
}

impl<'a> Stored<'a> {
    /// The encoded value.
    #[must_use]
    pub fn bytes(self) -> &'a [u8] {
        match self {
            Self::Small(value) => value,
            Self::Large(value) => value,
        }
    }
}

fn small_cost(len: usize) -> u64 {
    SLOT_COST + allocated(len)
}

fn large_cost(key_len: usize, held: usize) -> u64 {
    SLOT_COST
        + allocated(size_of::<Large>())
        + allocated(key_len)
        + allocated(held)
        + allocated(SHARE_LEN)
        + allocated(OWNER_LEN)
}

/// What an allocation of `len` bytes takes: a word of the allocator's, in steps of 16 bytes, 32 at least.
fn allocated(len: usize) -> u64 {
    ((len as u64 + 8).next_multiple_of(16)).max(32)
}

/// Values from this length on are kept in allocations of their own, to be sent without a copy: below it the copy is
/// cheaper than the bookkeeping.
const SHARED_FROM: usize = 8 << 10;

/// How much more than the value may be kept with it to spare a copy: a frame's head and the key.
const MOST_SLACK: usize = 4 << 10;

/// An entry's place in its table: the slot, and the index with the room that it leaves free.
const SLOT_COST: u64 = 24 + 12;

/// What counts the users of shared bytes.
const SHARE_LEN: usize = 24;
