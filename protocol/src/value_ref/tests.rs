use super::*;
use crate::limits::{MAX_DATA_LEN, MAX_ITEM_COUNT};

fn error(payload: &[u8]) -> DecodeError {
    ValueRef::decode(payload).unwrap_err()
}

/// Each value beside its bytes, written by hand from the table of tags.
#[test]
fn every_tag_is_read() {
    for (payload, value) in [
        (&b"\x00"[..], ValueRef::None),
        (b"\x01\x00", ValueRef::Bool(false)),
        (b"\x01\x01", ValueRef::Bool(true)),
        (b"\x01\x7f", ValueRef::Bool(true)),
        (b"\x05\0\0\0\0\0\0\x01\x02", ValueRef::Int(258)),
        (b"\x05\xff\xff\xff\xff\xff\xff\xff\xfe", ValueRef::Int(-2)),
        (b"\x05\x80\0\0\0\0\0\0\0", ValueRef::Int(i64::MIN)),
        (b"\x06\x3f\xf8\0\0\0\0\0\0", ValueRef::Float(1.5)),
        (b"\x10\0\0\0\x02\x00\xff", ValueRef::Bytes(b"\x00\xff")),
        (b"\x11\0\0\0\x03\xe2\x82\xac", ValueRef::Str("€")),
        (b"\x20\0\0\0\0", ValueRef::List(ListRef::EMPTY)),
        (b"\x21\0\0\0\0", ValueRef::Dict(DictRef::EMPTY)),
    ] {
        assert_eq!(ValueRef::decode(payload), Ok(value), "{payload:x?}");
    }
}

#[test]
fn items_are_found_when_asked_for() {
    let payload = b"\x21\0\0\0\x03\
        \x11\0\0\0\x01a\x20\0\0\0\x02\x20\0\0\0\x01\x00\x10\0\0\0\x01\x07\
        \x11\0\0\0\x01b\x21\0\0\0\x01\x11\0\0\0\0\x01\x01\
        \x11\0\0\0\x01c\x05\0\0\0\0\0\0\0\x03";
    let dict = ValueRef::decode(payload).unwrap().as_dict().unwrap();
    assert_eq!(dict.encoded(), payload);
    assert_eq!(dict.len(), 3);
    assert_eq!(
        dict.iter().map(|(key, value)| (key, value.kind())).collect::<Vec<_>>(),
        [("a", "list"), ("b", "dict"), ("c", "int")]
    );
    let list = dict.get("a").unwrap().as_list().unwrap();
    assert_eq!(list.encoded(), b"\x20\0\0\0\x02\x20\0\0\0\x01\x00\x10\0\0\0\x01\x07");
    assert_eq!(list.iter().len(), 2);
    assert_eq!(list.iter().nth(1).unwrap().as_bytes(), Some(&b"\x07"[..]));
    assert_eq!(dict.get("c").unwrap().as_int(), Some(3));
    assert_eq!(dict.get("d"), None);
    assert_eq!(format!("{dict:?}"), r#"{"a": [[None], b"\x07"], "b": {"": true}, "c": 3}"#);
}

#[test]
fn each_mistake_is_named_with_its_place() {
    for (payload, text) in [
        (&b""[..], "payload is truncated: value at byte 0 needs 1 bytes, 0 are left"),
        (
            b"\x20\0\0\0\x01\x07",
            "unknown type tag 0x07 at payload byte 5, expected one of 0x00 none, 0x01 bool, \
            0x05 int, 0x06 float, 0x10 bytes, 0x11 string, 0x20 list, 0x21 dict",
        ),
        (b"\x05\0\0", "payload is truncated: int at byte 0 needs 9 bytes, 3 are left"),
        (b"\x10\0\0\0\x05abc", "payload is truncated: bytes at byte 0 needs 10 bytes, 8 are left"),
        (b"\x11\0\0\0\x02\xc3(", "string at payload byte 5 is not UTF-8"),
        (
            b"\x21\0\0\0\x01\x05\0\0\0\0\0\0\0\x01\x00",
            "dict key at payload byte 5: found int, expected string",
        ),
        (b"\x00\x00\x00", "2 bytes follow the value that ends at payload byte 1"),
        (b"\x20\0\0\0\x03\x00\x00", "list of 3 items at payload byte 0 cannot fit in the 2 bytes left"),
        (
            b"\x21\0\0\0\x02\x11\0\0\0\0\x00",
            "dict of 2 items at payload byte 0 cannot fit in the 6 bytes left",
        ),
    ] {
        assert_eq!(error(payload).to_string(), text);
    }
}

#[test]
fn claims_beyond_the_limits_are_refused_by_the_limit() {
    let claim = |tag: u8, number: u32| [&[tag][..], &number.to_be_bytes(), b"abc"].concat();
    let (len, count) = (MAX_DATA_LEN + 1, MAX_ITEM_COUNT + 1);
    assert_eq!(
        error(&claim(0x10, len)),
        DecodeError::DataTooLong { what: "bytes", offset: 0, len, max: MAX_DATA_LEN }
    );
    assert_eq!(
        error(&claim(0x11, len)),
        DecodeError::DataTooLong { what: "string", offset: 0, len, max: MAX_DATA_LEN }
    );
    assert_eq!(
        error(&claim(0x20, count)),
        DecodeError::TooManyItems { what: "list", offset: 0, count, max: MAX_ITEM_COUNT }
    );
    assert_eq!(
        error(&claim(0x21, count)),
        DecodeError::TooManyItems { what: "dict", offset: 0, count, max: MAX_ITEM_COUNT }
    );
    // Within the limits, with three bytes behind.
    assert!(matches!(error(&claim(0x10, MAX_DATA_LEN)), DecodeError::Truncated { left: 8, .. }));
    assert!(matches!(error(&claim(0x20, MAX_ITEM_COUNT)), DecodeError::CountExceedsPayload { left: 3, .. }));
}

#[test]
fn a_list_of_the_most_items_is_read() {
    let count = usize::try_from(MAX_ITEM_COUNT).unwrap();
    let payload = [&[0x20][..], &MAX_ITEM_COUNT.to_be_bytes(), &vec![0; count]].concat();
    assert_eq!(ValueRef::decode(&payload).unwrap().as_list().unwrap().iter().count(), count);
}

#[test]
fn every_prefix_of_a_payload_is_truncated() {
    let payload = b"\x21\0\0\0\x01\x11\0\0\0\x01k\x20\0\0\0\x02\x06\0\0\0\0\0\0\0\0\x01\x01";
    assert!(ValueRef::decode(payload).is_ok());
    for cut in 0..payload.len() {
        let error = error(&payload[..cut]);
        assert!(
            matches!(error, DecodeError::Truncated { .. } | DecodeError::CountExceedsPayload { .. }),
            "cut at {cut}: {error}"
        );
    }
}

#[test]
fn an_items_bytes_can_be_decoded_into_any_type() {
    let payload = b"\x20\0\0\0\x02\x05\0\0\0\0\0\0\0\x07\x21\0\0\0\x01\x11\0\0\0\x01k\x01\x01";
    let mut items = ValueRef::decode(payload).unwrap().as_list().unwrap().iter();
    assert_eq!(items.next_encoded().map(crate::from_slice), Some(Ok(7_u8)));
    let mut pairs = items.next().unwrap().as_dict().unwrap().iter();
    assert_eq!(pairs.next_encoded(), Some(("k", &b"\x01\x01"[..])));
    assert_eq!((items.next_encoded(), pairs.next_encoded()), (None, None));
}
