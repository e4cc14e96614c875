//! What holds for every type and every input.
#![allow(clippy::unwrap_used, reason = "a test says by failing what is wrong")]

use std::collections::BTreeMap;

use gunmetal_protocol::{
    Bytes, ErrorPayload, ManageRef, RequestRef, Segments, StashRef, Value, ValueRef, decode_chunk,
    decode_result, encode_response, from_bytes, from_slice, from_value, peek_op, peek_request, to_segments,
    to_value,
};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Shape {
    Empty,
    Text(String),
    Pair(i64, Option<bool>),
    Fields { letter: char, inner: Option<Box<Shape>> },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Record {
    small: u8,
    large: i64,
    wide: i128,
    ratio: f64,
    name: String,
    #[serde(with = "serde_bytes")]
    raw: Vec<u8>,
    #[serde(with = "gunmetal_protocol::shared_bytes")]
    shared: Bytes,
    shapes: Vec<Shape>,
    by_number: BTreeMap<i32, (u16, String)>,
    by_flag: BTreeMap<bool, Option<f64>>,
    by_letter: BTreeMap<char, ()>,
}

fn shape() -> impl Strategy<Value = Shape> {
    let leaf = prop_oneof![
        Just(Shape::Empty),
        ".{0,8}".prop_map(Shape::Text),
        (any::<i64>(), any::<Option<bool>>()).prop_map(|(a, b)| Shape::Pair(a, b)),
    ];
    leaf.prop_recursive(6, 12, 1, |inner| {
        (any::<char>(), prop::option::of(inner.prop_map(Box::new)))
            .prop_map(|(letter, inner)| Shape::Fields { letter, inner })
    })
}

fn finite() -> impl Strategy<Value = f64> {
    any::<f64>().prop_filter("NaN equals nothing", |float| !float.is_nan())
}

fn record() -> impl Strategy<Value = Record> {
    let scalars = (any::<u8>(), any::<i64>(), any::<i64>(), finite(), "\\PC{0,12}");
    let data = (prop::collection::vec(any::<u8>(), 0..50), prop_oneof![0..50_usize, 4090..4100_usize]);
    let maps = (
        prop::collection::btree_map(any::<i32>(), (any::<u16>(), ".{0,4}"), 0..4),
        prop::collection::btree_map(any::<bool>(), prop::option::of(finite()), 0..3),
        prop::collection::btree_map(any::<char>(), Just(()), 0..4),
    );
    (scalars, data, prop::collection::vec(shape(), 0..4), maps).prop_map(
        |((small, large, wide, ratio, name), (raw, shared), shapes, (by_number, by_flag, by_letter))| {
            Record {
                small,
                large,
                wide: wide.into(),
                ratio,
                name,
                raw,
                shared: vec![7; shared].into(),
                shapes,
                by_number,
                by_flag,
                by_letter,
            }
        },
    )
}

proptest! {
    #[test]
    fn a_type_comes_back_from_its_encoding(record in record()) {
        let mut out = Segments::new();
        to_segments(&record, &mut out).unwrap();
        let payload = out.into_contiguous();
        prop_assert_eq!(&from_slice::<Record>(&payload).unwrap(), &record);
        prop_assert_eq!(&from_bytes::<Record>(payload.clone()).unwrap(), &record);
        // The tree says the same as the bytes.
        let value = Value::decode(payload).unwrap();
        prop_assert_eq!(&to_value(&record).unwrap(), &value);
        prop_assert_eq!(&from_value::<Record>(value).unwrap(), &record);
    }

    #[test]
    fn a_type_comes_back_through_a_message(record in record(), id in any::<u64>()) {
        let mut out = Segments::new();
        encode_response(id, &record, &mut out).unwrap();
        let payload = out.into_contiguous().slice(16..);
        prop_assert_eq!(from_bytes::<Record>(decode_result(payload).unwrap()).unwrap(), record);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        prop::collection::vec(0..0x22_u8, 0..200),
        // A sound payload with one byte changed.
        (record(), any::<prop::sample::Index>(), any::<u8>()).prop_map(|(record, at, byte)| {
            let mut out = Segments::new();
            to_segments(&record, &mut out).unwrap();
            let mut bytes = out.into_contiguous().to_vec();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            bytes
        }),
    ]) {
        let payload = Bytes::from(bytes);
        let sound = ValueRef::decode(&payload).is_ok();
        prop_assert_eq!(Value::decode(payload.clone()).is_ok(), sound);
        prop_assert!(sound || from_slice::<Record>(&payload).is_err());
        prop_assert!(sound || RequestRef::decode(&payload).is_err());
        prop_assert!(sound || StashRef::decode(&payload).is_err());
        prop_assert!(sound || ManageRef::decode(&payload).is_err());
        prop_assert!(sound || decode_result(payload.clone()).is_err());
        prop_assert!(sound || decode_chunk(payload.clone()).is_err());
        prop_assert!(sound || ErrorPayload::decode(payload.clone()).is_err());
        let _ = (peek_request(&payload), peek_op(&payload));
    }
}
