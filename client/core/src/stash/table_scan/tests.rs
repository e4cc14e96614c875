use gunmetal_protocol::{MessageType, Segments, Value, encode_value, to_segments, value};

use super::*;

fn encoded(value: &Value) -> Result<Bytes, CallError> {
    let mut out = Segments::new();
    encode_value(value, &mut out).unwrap();
    Ok(out.into_contiguous())
}

/// The payload of the next message.
fn asked(scan: &TableScan) -> Option<(MessageType, Value)> {
    let mut out = Segments::new();
    scan.next_message()?.encode(1, &mut out).unwrap();
    let mut wire = bytes::BytesMut::from(&out.into_contiguous()[..]);
    let frame = gunmetal_protocol::FrameDecoder::new().next_frame(&mut wire).unwrap().unwrap();
    let payload = if frame.payload.is_empty() { Value::None } else { Value::decode(frame.payload).unwrap() };
    Some((frame.header.message_type, payload))
}

fn entries(scan: &mut TableScan) -> Vec<(StashKey, Option<i64>)> {
    let value = |value: Option<Bytes>| value.map(|value| from_bytes(value).unwrap());
    std::iter::from_fn(|| scan.next_entry()).map(|(key, encoded)| (key, value(encoded))).collect()
}

#[test]
fn a_table_is_read_part_by_part_where_the_arbiter_can() {
    let mut scan = TableScan::of_entries("t", &Arc::default());
    scan.set_pattern("user:*");
    assert_eq!(asked(&scan), Some((MessageType::Status, Value::None)));
    scan.accept(encoded(&value!({"extensions": ["cancel", "stash-scan"]}))).unwrap();
    let ask = |cursor: i64| value!({"op": 64, "table": "t", "cursor": cursor, "count": 1000, "values": true, "pattern": "user:*"});
    assert_eq!(asked(&scan), Some((MessageType::Stash, ask(0))));
    scan.accept(encoded(&value!({"cursor": 17, "items": [["user:1", 1], [b"x", 2]]}))).unwrap();
    assert_eq!(entries(&mut scan), [("user:1".into(), Some(1)), (b"x".into(), Some(2))]);
    assert_eq!(asked(&scan), Some((MessageType::Stash, ask(17))));
    scan.accept(encoded(&value!({"cursor": 0, "items": [[5, 3]]}))).unwrap();
    assert_eq!(entries(&mut scan), [(5.into(), Some(3))]);
    assert_eq!(asked(&scan), None);
}

#[test]
fn an_arbiter_without_scans_is_asked_for_the_keys_and_then_each_value() {
    let mut scan = TableScan::of_entries("t", &Arc::default());
    scan.accept(encoded(&value!({"arbiter_pid": 7}))).unwrap();
    assert_eq!(asked(&scan), Some((MessageType::Stash, value!({"op": 4, "table": "t"}))));
    scan.accept(encoded(&value!(["a", 2, null]))).unwrap();
    assert_eq!(asked(&scan), Some((MessageType::Stash, value!({"op": 2, "table": "t", "key": "a"}))));
    scan.accept(encoded(&value!(1))).unwrap();
    assert_eq!(entries(&mut scan), [("a".into(), Some(1))]);
    // Removed in the meantime.
    scan.accept(Err(StashError::KeyNotFound { table: "t".into(), key: 2.into() }.into())).unwrap();
    assert_eq!(entries(&mut scan), []);
    assert_eq!(asked(&scan), Some((MessageType::Stash, value!({"op": 2, "table": "t", "key": null}))));
    scan.accept(encoded(&value!(3))).unwrap();
    assert_eq!(entries(&mut scan), [(StashKey::None, Some(3))]);
    assert_eq!(asked(&scan), None);
}

#[test]
fn keys_alone_need_no_values() {
    let mut scan = TableScan::of_keys("t", &Arc::default());
    scan.accept(encoded(&value!({}))).unwrap();
    scan.accept(encoded(&value!([true, "b"]))).unwrap();
    assert_eq!(entries(&mut scan), [(true.into(), None), ("b".into(), None)]);
    assert_eq!(asked(&scan), None);

    let mut scan = TableScan::of_keys("t", &Arc::default());
    scan.accept(encoded(&value!({"extensions": ["stash-scan"]}))).unwrap();
    scan.accept(encoded(&value!({"cursor": 0, "items": ["b", [1, 2]]}))).unwrap_err();
    assert_eq!(asked(&scan), None);
}

#[test]
fn one_walk_learns_for_all_what_the_arbiter_can() {
    let support = Arc::default();
    let mut first = TableScan::of_keys("t", &support);
    first.accept(encoded(&value!({"extensions": ["stash-scan"]}))).unwrap();
    let mut second = TableScan::of_keys("t", &support);
    assert!(matches!(second.step, Step::Scan(0)));
    // Its successor can not.
    second.accept(Err(CallError::Unsupported { operation: "scan".into() })).unwrap();
    assert_eq!(asked(&second), Some((MessageType::Stash, value!({"op": 4, "table": "t"}))));
    second.accept(encoded(&value!(["a"]))).unwrap();
    assert_eq!(entries(&mut second), [("a".into(), None)]);
    assert!(matches!(TableScan::of_keys("t", &support).step, Step::AskPeer));
}

#[test]
fn after_an_error_the_walk_is_over() {
    let mut scan = TableScan::of_keys("t", &Arc::default());
    scan.accept(Err(CallError::Unsupported { operation: "status".into() })).unwrap_err();
    assert_eq!(asked(&scan), None);
    for broken in [value!(1), value!({"cursor": 1}), value!({"cursor": 1, "items": [["a"]]})] {
        let mut scan = TableScan::of_entries("t", &Arc::default());
        scan.accept(encoded(&value!({"extensions": ["stash-scan"]}))).unwrap();
        let error = scan.accept(encoded(&broken)).unwrap_err();
        assert!(matches!(error, CallError::Decode { .. }), "{error:?}");
        assert_eq!(asked(&scan), None);
    }
}

#[test]
fn a_large_value_is_a_slice_of_its_part() {
    let image = Value::from(vec![7_u8; 100_000]);
    let mut out = Segments::new();
    to_segments(&value!({"cursor": 0, "items": [["i", image]]}), &mut out).unwrap();
    let part = out.into_contiguous();
    let (_, entries) = read_part(&part, true).unwrap();
    let value: Bytes = from_bytes(entries[0].1.clone().unwrap()).unwrap();
    assert!(part.as_ptr_range().contains(&value.as_ptr()));
}
