use bytes::Bytes;

use super::*;
use crate::value;

fn encoded(value: &Value) -> Vec<u8> {
    let mut out = Segments::new();
    encode_value(value, &mut out).unwrap();
    out.into_contiguous().to_vec()
}

/// Each value beside its bytes, written by hand from the table of tags.
#[test]
fn every_tag_is_written() {
    for (value, payload) in [
        (value!(null), &b"\x00"[..]),
        (value!(true), b"\x01\x01"),
        (value!(-2), b"\x05\xff\xff\xff\xff\xff\xff\xff\xfe"),
        (value!(1.5), b"\x06\x3f\xf8\0\0\0\0\0\0"),
        (value!(b"\x00\xff"), b"\x10\0\0\0\x02\x00\xff"),
        (value!("€"), b"\x11\0\0\0\x03\xe2\x82\xac"),
        (value!([null, []]), b"\x20\0\0\0\x02\x00\x20\0\0\0\0"),
        (value!({"k": {}}), b"\x21\0\0\0\x01\x11\0\0\0\x01k\x21\0\0\0\0"),
    ] {
        assert_eq!(encoded(&value), payload, "{value:?}");
    }
}

#[test]
fn limits_are_named_and_leave_the_output_as_it_was() {
    let mut out = Segments::new();
    out.put_slice(b"before");
    let linked = Value::Bytes(vec![0; 5000].into());
    let too_long = Value::Bytes(Bytes::from(vec![0; MAX_DATA_LEN as usize + 1]));
    let too_many = Value::List(vec![Value::None; MAX_ITEM_COUNT as usize + 1].into());
    for (value, text) in [
        (value!([linked.clone(), too_long]), "bytes of 67108865 bytes exceeds the limit of 67108864 bytes"),
        (value!([linked, too_many]), "list of 1048577 or more items exceeds the limit of 1048576 items"),
    ] {
        assert_eq!(encode_value(&value, &mut out).unwrap_err().to_string(), text);
        assert_eq!(out.len(), 6);
    }
    assert_eq!(out.into_contiguous(), "before");
}

#[test]
fn large_bytes_and_strings_are_linked() {
    let bytes = Bytes::from(vec![1; 16 << 20]);
    let text = bytestring::ByteString::from("x".repeat(100_000));
    let mut out = Segments::new();
    encode_value(&value!({"bytes": bytes.clone(), "text": text.clone()}), &mut out).unwrap();
    let parts: Vec<Bytes> = out.into_iter().collect();
    assert!(parts.iter().any(|part| part.as_ptr() == bytes.as_ptr()));
    assert!(parts.iter().any(|part| part.as_ptr() == text.as_ptr()));
    assert_eq!(parts.len(), 4);
}
