//! The keys of a table, or a part of its entries, gathered bit by bit.
//!
//! A table may have millions of keys, and others want to be served meanwhile. So a listing is a value that is asked to
//! [`advance`](Listing::advance) until it is done; the table may change in between. Each key that is there all the while is
//! listed once.

use gunmetal_protocol::{MAX_ITEM_COUNT, MAX_PAYLOAD_LEN};

use crate::entry::Entry;
use crate::error::StashError;
use crate::key::{Key, str_at_front};
use crate::pattern::Pattern;
use crate::stash::{Source, Stash};

/// Keys of a table, or some of its entries, that are gathered bit by bit: [`advance`](Self::advance) until it is done, then
/// [`finish`](Self::finish). The table may change in between; each key that is there all the while is listed once.
#[derive(Debug)]
pub struct Listing {
    source: Source,
    pattern: Option<Pattern>,
    what: What,
    /// The sequence number of the last entry that was looked at.
    seen: u64,
    /// Keys that come later than the listing began are not in it: it ends, whatever is put meanwhile.
    last: u64,
    /// The items, encoded, behind room for what comes before them.
    items: Vec<u8>,
    count: u64,
    /// Bytes of all items, also of those that are only counted because they are too many.
    size: u64,
    /// For the text of keys that are no strings.
    scratch: String,
}

/// What a listing is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// All keys.
    Keys,
    /// At most so many, to be continued.
    Scan { max_count: u64, values: Values },
}

/// Whether a scan gives keys or pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Values {
    /// Keys alone.
    Without,
    /// Lists of a key and its value.
    With,
}

impl Listing {
    /// The names of all tables.
    pub(crate) fn tables(stash: &Stash) -> Result<Listing, StashError> {
        Listing::new(stash, Source::Names, None, What::Keys, 0)
    }

    /// All keys of a table that match.
    pub(crate) fn keys(stash: &Stash, table: &str, pattern: Option<&str>) -> Result<Listing, StashError> {
        Listing::new(stash, Source::Table(table.into()), pattern, What::Keys, 0)
    }

    /// At most `max_count` of the entries behind `cursor` that match.
    pub(crate) fn scan(
        stash: &Stash,
        table: &str,
        pattern: Option<&str>,
        (cursor, max_count): (u64, u64),
        values: Values,
    ) -> Result<Listing, StashError> {
        let what = What::Scan { max_count: max_count.max(1), values };
        Listing::new(stash, Source::Table(table.into()), pattern, what, cursor)
    }

    fn new(
        stash: &Stash,
        source: Source,
        pattern: Option<&str>,
        what: What,
        cursor: u64,
    ) -> Result<Listing, StashError> {
        let pattern = pattern.filter(|pattern| !pattern.is_empty());
        if let Some(pattern) = pattern
            && pattern.len() > MAX_PATTERN_LEN
        {
            return Err(StashError::PatternTooLong { len: pattern.len(), max: MAX_PATTERN_LEN });
        }
        Ok(Listing {
            last: stash.source(&source).map_or(0, |table| table.last_seq()),
            source,
            pattern: pattern.map(Pattern::new),
            what,
            seen: cursor,
            items: vec![0; HEAD_LEN],
            count: 0,
            size: 0,
            scratch: String::new(),
        })
    }

    /// Looks at some more of the table: about as many keys as `work` says, and fewer if they are long or gathered with long
    /// values. Whether that was all.
    pub fn advance(&mut self, stash: &Stash, work: usize) -> bool {
        let Some(table) = stash.source(&self.source) else {
            self.last = self.seen;
            return true;
        };
        let mut work = work as u64;
        for (seq, entry) in table.after(self.seen) {
            if seq > self.last {
                break;
            }
            if work == 0 || self.is_full(entry) {
                return work > 0;
            }
            work = work.saturating_sub(1 + entry.front().len() as u64 / BYTES_PER_WORK);
            self.seen = seq;
            if self.matches(entry) {
                let before = self.size;
                self.add(entry);
                work = work.saturating_sub((self.size - before) / GATHERED_PER_WORK);
            }
        }
        self.last = self.seen;
        true
    }

    /// The reply, encoded.
    ///
    /// # Errors
    ///
    /// It is longer than a reply can be.
    pub fn finish(mut self) -> Result<Vec<u8>, StashError> {
        if self.count > MAX_ITEM_COUNT.into() || self.size > MAX_SIZE {
            return Err(StashError::ReplyTooLong {
                what: match &self.source {
                    Source::Names => "the tables".to_owned(),
                    Source::Table(table) => format!("the keys of {table}"),
                },
                count: self.count,
                size: self.size,
                max_count: MAX_ITEM_COUNT.into(),
                max_size: MAX_SIZE,
            });
        }
        let count = u32::try_from(self.count).unwrap_or(MAX_ITEM_COUNT);
        let cursor = if self.seen == self.last { 0 } else { self.seen };
        let mut head = Vec::with_capacity(HEAD_LEN);
        if self.what != What::Keys {
            head.extend_from_slice(SCAN_HEAD);
            head.extend_from_slice(&i64::try_from(cursor).unwrap_or(0).to_be_bytes());
            head.extend_from_slice(ITEMS_KEY);
        }
        head.push(LIST);
        head.extend_from_slice(&count.to_be_bytes());
        let unused = HEAD_LEN - head.len();
        self.items[unused..HEAD_LEN].copy_from_slice(&head);
        if unused > 0 {
            self.items.drain(..unused);
        }
        Ok(self.items)
    }

    /// Whether the entry must wait for the next scan.
    fn is_full(&self, entry: &Entry) -> bool {
        let What::Scan { max_count, values } = self.what else { return false };
        let value_len = if values == Values::With { entry.value().bytes().len() } else { 0 };
        let size = self.size + (entry.key().len() + value_len) as u64;
        self.count >= max_count.min(MAX_ITEM_COUNT.into()) || (self.count > 0 && size > SCANNED_SIZE)
    }

    #[inline]
    fn matches(&mut self, entry: &Entry) -> bool {
        let Some(pattern) = &self.pattern else { return true };
        match str_at_front(entry.front()) {
            Some(text) => pattern.matches_utf8(text),
            None => pattern.matches(&Key::from_encoded(entry.key()).text(&mut self.scratch)),
        }
    }

    fn add(&mut self, entry: &Entry) {
        let key = entry.key();
        self.count += 1;
        self.size += key.len() as u64;
        match self.what {
            What::Keys if self.count > MAX_ITEM_COUNT.into() || self.size > MAX_SIZE => {
                // Only counted from here on, for the error.
                self.items = vec![0; HEAD_LEN];
            }
            What::Keys | What::Scan { values: Values::Without, .. } => self.items.extend_from_slice(key),
            What::Scan { values: Values::With, .. } => {
                let value = entry.value().bytes();
                self.size += (PAIR_HEAD.len() + value.len()) as u64;
                self.items.extend_from_slice(PAIR_HEAD);
                self.items.extend_from_slice(key);
                self.items.extend_from_slice(value);
            }
        }
    }
}

/// What one unit of work looks at beside the entry itself.
const BYTES_PER_WORK: u64 = 1024;

/// What one unit of work adds to the reply. Many listings may have taken a first step, so that has to be little memory.
const GATHERED_PER_WORK: u64 = 64;

/// The longest pattern, in bytes. Matching takes up to a pattern's length times a key's.
const MAX_PATTERN_LEN: usize = 1024;

/// How long all items of a reply may be: a frame's payload, but for what is around them.
const MAX_SIZE: u64 = MAX_PAYLOAD_LEN as u64 - 64;

/// A scan ends before it gets longer.
const SCANNED_SIZE: u64 = 1 << 20;

const LIST: u8 = 0x20;

/// A list of two.
const PAIR_HEAD: &[u8] = b"\x20\0\0\0\x02";

/// A dict of two whose first value is an int.
const SCAN_HEAD: &[u8] = b"\x21\0\0\0\x02\x11\0\0\0\x06cursor\x05";
const ITEMS_KEY: &[u8] = b"\x11\0\0\0\x05items";

/// Room for what comes before the items.
const HEAD_LEN: usize = SCAN_HEAD.len() + size_of::<i64>() + ITEMS_KEY.len() + 1 + size_of::<u32>();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_gathers_little_however_long_the_keys_are() {
        let mut stash = Stash::new(1 << 30);
        for number in 0..10_000 {
            let key = format!("{number:01000}");
            stash.put("long", Key::Str(&key), &[0]).unwrap();
        }
        let mut listing = Listing::keys(&stash, "long", None).unwrap();
        let (mut before, mut largest) = (0, 0);
        while !listing.advance(&stash, 16 << 10) {
            largest = largest.max(listing.size - before);
            before = listing.size;
        }
        assert_eq!(listing.count, 10_000);
        assert!((512 << 10..2 << 20).contains(&largest), "{largest} bytes in one step");
    }
}
