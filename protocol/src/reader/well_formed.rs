//! The quick check of a value: yes, or "look closely".

use super::{DICT_BIT, MIN_PAIR_LEN};
use crate::limits::{MAX_DATA_LEN, MAX_ITEM_COUNT};
use crate::tag;

/// Length of the value at the front of `bytes` if all of it is in order.
///
/// `None` says only that the careful reader has to look: at a mistake, which it names, at lists and
/// dicts nested more than [`QUICK_DEPTH`] deep, or at more bytes than a single string may have. Nothing in this loop builds an error or calls out for
/// short strings, which makes it three times as fast.
#[inline]
pub(super) fn value_len(bytes: &[u8]) -> Option<usize> {
    // What lies within so few bytes is not longer either: no length needs a look of its own.
    if bytes.len() > MAX_DATA_LEN as usize {
        return None;
    }
    let mut rest = bytes;
    // Items left in each open container but the innermost; a dict's carry `DICT_BIT`.
    let mut outer = [0_u32; QUICK_DEPTH];
    let mut open = 0;
    // The outermost "container" is the one value asked for.
    let (mut left, mut is_dict) = (1_u32, false);
    loop {
        while left == 0 {
            if open == 0 {
                return Some(bytes.len() - rest.len());
            }
            open -= 1;
            // The remainder changes nothing but spares the check of the index, here and below.
            left = outer[open % QUICK_DEPTH] & !DICT_BIT;
            is_dict = outer[open % QUICK_DEPTH] & DICT_BIT != 0;
        }
        left -= 1;
        if is_dict {
            let ([tag::STRING, len @ ..], key) = rest.split_first_chunk::<5>()? else { return None };
            rest = behind_text(*len, key)?;
        }
        let (&tag, behind) = rest.split_first()?;
        rest = match tag {
            tag::STRING => behind_string(behind)?,
            tag::INT | tag::FLOAT => behind.get(8..)?,
            tag::BYTES => split_data(behind)?.1,
            tag::NONE => behind,
            tag::BOOL => behind.get(1..)?,
            tag::LIST | tag::DICT => {
                let (count, behind) = behind.split_first_chunk()?;
                let count = u32::from_be_bytes(*count);
                let item_len = if tag == tag::DICT { MIN_PAIR_LEN } else { 1 };
                if count > MAX_ITEM_COUNT || count as usize * item_len > behind.len() || open == QUICK_DEPTH {
                    return None;
                }
                outer[open % QUICK_DEPTH] = if is_dict { left | DICT_BIT } else { left };
                open += 1;
                (left, is_dict) = (count, tag == tag::DICT);
                behind
            }
            _ => return None,
        };
    }
}

#[inline]
fn behind_string(rest: &[u8]) -> Option<&[u8]> {
    let (len, rest) = rest.split_first_chunk()?;
    behind_text(*len, rest)
}

/// The same with the length taken off already.
#[inline]
fn behind_text(len: [u8; 4], rest: &[u8]) -> Option<&[u8]> {
    let (text, rest) = rest.split_at_checked(u32::from_be_bytes(len) as usize)?;
    (is_short_ascii(text) || std::str::from_utf8(text).is_ok()).then_some(rest)
}

/// Splits data off that follows its length.
#[inline]
fn split_data(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = rest.split_first_chunk()?;
    rest.split_at_checked(u32::from_be_bytes(*len) as usize)
}

/// Whether it is ASCII and so short that the call to the standard library's check would cost more.
#[inline]
fn is_short_ascii(text: &[u8]) -> bool {
    match text.len() {
        0..8 => {
            let bits = match (text.first_chunk(), text.last_chunk()) {
                (Some(head), Some(tail)) => u32::from_ne_bytes(*head) | u32::from_ne_bytes(*tail),
                _ => text.iter().fold(0, |bits, &byte| bits | u32::from(byte)),
            };
            bits & 0x8080_8080 == 0
        }
        8..=64 => {
            let (words, _) = text.as_chunks();
            let tail = text.last_chunk().map_or(0, |tail| u64::from_ne_bytes(*tail));
            let bits = words.iter().fold(tail, |bits, word| bits | u64::from_ne_bytes(*word));
            bits & 0x8080_8080_8080_8080 == 0
        }
        _ => false,
    }
}

/// Lists and dicts that may be open at once.
pub(super) const QUICK_DEPTH: usize = 16;

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::reader::{HEAD_LEN, Reader};

    /// Pieces that make almost-values: tags, lengths, text that is and is not UTF-8.
    fn almost_values() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            Just(vec![tag::NONE]),
            Just(vec![tag::BOOL, 1]),
            vec(any::<u8>(), 8).prop_map(|int| [&[tag::INT][..], &int].concat()),
            vec(any::<u8>(), 8).prop_map(|float| [&[tag::FLOAT][..], &float].concat()),
            ("[a-z]{0,80}", 0..3_u8).prop_map(|(text, more)| data(tag::STRING, text.as_bytes(), more)),
            ("\\PC{0,20}").prop_map(|text| data(tag::STRING, text.as_bytes(), 0)),
            (vec(any::<u8>(), 0..20)).prop_map(|text| data(tag::STRING, &text, 0)),
            (vec(any::<u8>(), 0..20), 0..2_u8).prop_map(|(bytes, more)| data(tag::BYTES, &bytes, more)),
            (0..4_u8).prop_map(|count| vec![tag::LIST, 0, 0, 0, count]),
            (0..4_u8).prop_map(|count| vec![tag::DICT, 0, 0, 0, count]),
            any::<u8>().prop_map(|byte| vec![byte]),
        ];
        vec(piece, 0..24).prop_map(|pieces| pieces.concat())
    }

    fn data(tag: u8, data: &[u8], more: u8) -> Vec<u8> {
        let len = u8::try_from(data.len()).unwrap() + more;
        [&[tag, 0, 0, 0, len][..], data].concat()
    }

    proptest! {
        #[test]
        fn the_quick_check_agrees_with_the_careful_one(bytes in almost_values()) {
            let mut careful = Reader::new(&bytes);
            let careful = careful.value_carefully(0).ok().map(<[u8]>::len);
            prop_assert_eq!(value_len(&bytes).or(careful), careful, "says yes where it must not");
            // 24 pieces may nest deeper than the quick check goes; few do.
            if bytes.iter().filter(|byte| [tag::LIST, tag::DICT].contains(byte)).count() <= QUICK_DEPTH {
                prop_assert_eq!(value_len(&bytes), careful);
            }
        }
    }

    #[test]
    fn a_claimed_count_is_checked_against_the_bytes_left() {
        assert_eq!(value_len(&[tag::LIST, 0, 0, 0, 2, tag::NONE]), None);
        assert_eq!(value_len(&[tag::LIST, 0, 0, 0, 1, tag::NONE]), Some(HEAD_LEN + 1));
    }

    #[test]
    fn deeper_nesting_is_left_to_the_careful_reader() {
        let nested = |depth: usize| {
            [&[tag::LIST, 0, 0, 0, 1].repeat(depth - 1)[..], &[tag::LIST, 0, 0, 0, 0]].concat()
        };
        assert_eq!(value_len(&nested(QUICK_DEPTH)), Some(QUICK_DEPTH * HEAD_LEN));
        assert_eq!(value_len(&nested(QUICK_DEPTH + 1)), None);
        assert_eq!(
            Reader::new(&nested(QUICK_DEPTH + 1)).value(0).unwrap().len(),
            (QUICK_DEPTH + 1) * HEAD_LEN
        );
    }
}
