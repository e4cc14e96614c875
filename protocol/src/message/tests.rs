use bytes::Bytes;

use super::*;
use crate::{Args, Dict, ErrorPayload, ErrorType, FrameDecoder, List, Value, args, from_bytes, value};

fn payload(encode: impl FnOnce(&mut Segments) -> Result<(), EncodeError>) -> Bytes {
    let mut out = Segments::new();
    encode(&mut out).unwrap();
    let mut wire = bytes::BytesMut::from(&out.into_contiguous()[..]);
    FrameDecoder::new().next_frame(&mut wire).unwrap().unwrap().payload
}

fn value_payload(value: &Value) -> Bytes {
    let mut out = Segments::new();
    crate::encode_value(value, &mut out).unwrap();
    out.into_contiguous()
}

#[test]
fn a_request_comes_back() {
    let args: Args = args!["cat.png", [1, null]; size = 256];
    let payload = payload(|out| encode_request(7, "images:ImageApp", "thumbnail", &args, out));
    let request = RequestRef::decode(&payload).unwrap();
    assert_eq!((request.app_path, request.action), ("images:ImageApp", "thumbnail"));
    assert_eq!(request.args.iter().map(Value::from).collect::<Vec<_>>(), args.positional);
    assert_eq!(request.kwargs.iter().collect::<Dict>(), args.keyword);
}

#[test]
fn arguments_that_are_encoded_already_give_the_same_request() {
    let args = args![1, "x"; y = 2.5];
    let list = value_payload(&Value::List(List::from(args.positional.clone())));
    let dict = value_payload(&Value::Dict(args.keyword.clone()));
    assert_eq!(
        payload(|out| encode_request_encoded(1, "a:B", "c", list, dict, out)),
        payload(|out| encode_request(1, "a:B", "c", &args, out))
    );
}

#[test]
fn a_request_may_leave_its_arguments_out_and_bring_keys_along() {
    let payload = value_payload(&value!({"trace": [1], "action": "info", "app_path": "a:B"}));
    let request = RequestRef::decode(&payload).unwrap();
    assert_eq!((request.app_path, request.action), ("a:B", "info"));
    assert!(request.args.is_empty() && request.kwargs.is_empty());
}

#[test]
fn the_last_of_repeated_keys_counts() {
    let payload = b"\x21\0\0\0\x02\x11\0\0\0\x06result\x05\0\0\0\0\0\0\0\x01\x11\0\0\0\x06result\x01\x01";
    assert_eq!(decode_result(Bytes::from_static(payload)).unwrap(), "\x01\x01");
}

#[test]
fn each_mistake_in_a_message_is_named() {
    let request = |value| RequestRef::decode(&value_payload(&value)).unwrap_err().to_string();
    assert_eq!(request(value!([])), "REQUEST payload: found list, expected dict");
    assert_eq!(request(value!({"app_path": "a:B"})), "REQUEST payload has no key \"action\"");
    assert_eq!(
        request(value!({"app_path": 1, "action": "x"})),
        "\"app_path\" of the REQUEST payload: found int, expected string"
    );
    assert_eq!(
        request(value!({"app_path": "a:B", "action": "x", "args": {}})),
        "\"args\" of the REQUEST payload: found dict, expected list"
    );
    assert_eq!(
        request(value!({"app_path": "a:B", "action": "x", "kwargs": null})),
        "\"kwargs\" of the REQUEST payload: found none, expected dict"
    );
    let manage = |value| ManageRef::decode(&value_payload(&value)).unwrap_err().to_string();
    assert_eq!(
        manage(value!({"op": 3})),
        "\"op\" of the MANAGE payload: found 3, expected 1 (add) or 2 (remove)"
    );
    assert_eq!(manage(value!({"count": 1})), "MANAGE payload has no key \"op\"");
    let stash = |value| StashRef::decode(&value_payload(&value)).unwrap_err().to_string();
    assert_eq!(stash(value!({"op": 11})), "\"op\" of the STASH payload: found 11, expected 1 to 10, or 64");
    assert_eq!(
        stash(value!({"op": 1, "pattern": 1})),
        "\"pattern\" of the STASH payload: found int, expected string"
    );
    let result = |value| decode_result(value_payload(&value)).unwrap_err().to_string();
    assert_eq!(result(value!({"data": 1})), "RESPONSE payload has no key \"result\"");
    let chunk = |value| decode_chunk(value_payload(&value)).unwrap_err().to_string();
    assert_eq!(chunk(value!({"result": 1})), "CHUNK payload has no key \"data\"");
}

#[test]
fn a_count_that_is_left_out_is_one() {
    let manage = ManageRef::decode(&value_payload(&value!({"op": 1}))).unwrap();
    assert_eq!(manage, ManageRef { op: ManageOp::Add, count: 1 });
}

#[test]
fn a_large_result_is_copied_neither_way() {
    let image = Bytes::from(vec![7; 16 << 20]);
    let mut out = Segments::new();
    encode_response(1, &image, &mut out).unwrap();
    encode_chunk(1, &Value::from(image.clone()), &mut out).unwrap();
    let parts: Vec<Bytes> = out.into_iter().collect();
    assert_eq!(parts.len(), 4);
    assert!(parts[1].as_ptr() == image.as_ptr() && parts[3].as_ptr() == image.as_ptr());

    let payload = payload(|out| encode_response(1, &image, out));
    let result: Bytes = from_bytes(decode_result(payload.clone()).unwrap()).unwrap();
    assert!(payload.as_ptr_range().contains(&result.as_ptr()));
    assert_eq!(result, image);
}

#[test]
fn a_message_that_cannot_be_encoded_leaves_the_output_as_it_was() {
    let mut out = Segments::new();
    encode_end(1, &mut out);
    let large = Bytes::from(vec![0; 50 << 20]);
    let error = encode_request(2, "a:B", "c", &args![large.clone(), large], &mut out).unwrap_err();
    assert!(matches!(error, EncodeError::PayloadTooLarge { len, .. } if len > 100 << 20), "{error}");
    encode_response(3, &u64::MAX, &mut out).unwrap_err();
    encode_frame(MessageType::Chunk, 4, Bytes::from(vec![0; (64 << 20) + 1]), &mut out).unwrap_err();
    encode_status(5, &mut out);
    assert_eq!(out.len(), 2 * HEADER_LEN);
}

#[test]
fn a_message_never_nests_deeper_than_its_reader_accepts() {
    let levels = |count| crate::value::arbitrary::nested(count);
    for (levels, fits) in [(levels(998), true), (levels(999), false)] {
        let mut out = Segments::new();
        assert_eq!(encode_request(1, "a:B", "c", &args![levels], &mut out).is_ok(), fits);
        if fits {
            RequestRef::decode(&out.into_contiguous()[HEADER_LEN..]).unwrap();
        }
    }
    let mut out = Segments::new();
    encode_response(1, &levels(999), &mut out).unwrap();
    encode_response(1, &levels(1000), &mut out).unwrap_err();
}

#[test]
fn a_payload_is_passed_on_behind_another_header() {
    let payload = payload(|out| encode_request(u64::MAX, "a:B", "c", &args![1], out));
    let mut out = Segments::new();
    encode_frame(MessageType::Request, 1, payload.clone(), &mut out).unwrap();
    encode_cancel(9, &mut out);
    let mut wire = bytes::BytesMut::from(&out.into_contiguous()[..]);
    let mut decoder = FrameDecoder::new();
    let request = decoder.next_frame(&mut wire).unwrap().unwrap();
    assert_eq!((request.header.request_id, request.payload), (1, payload));
    let cancel = decoder.next_frame(&mut wire).unwrap().unwrap().header;
    assert_eq!((cancel.message_type, cancel.request_id), (MessageType::Cancel, 9));
}

#[test]
fn errors_are_read_as_leniently_as_gunicorn_reads_them() {
    let decode = |value| ErrorPayload::decode(value_payload(&value)).unwrap();
    assert_eq!(decode(value!({})), ErrorPayload::dirty("Unknown error"));
    assert_eq!(decode(value!({"error": {}})), ErrorPayload::dirty("Unknown error"));
    assert_eq!(decode(value!({"error": "text"})), ErrorPayload::dirty("text"));
    let error = decode(value!({"error": {
        "error_type": "ValueError", "message": "m", "details": null, "more": 1,
    }}));
    assert_eq!(error, ErrorPayload::new(ErrorType::Other("ValueError".into()), "m"));
    let error = decode(value!({"error": {
        "error_type": "DirtyAppError", "message": "m",
        "details": {"app_path": "a:B", "action": "c", "traceback": "t"},
    }}));
    assert_eq!((error.app_path(), error.action(), error.traceback()), (Some("a:B"), Some("c"), Some("t")));
    assert_eq!(error.to_string(), "DirtyAppError: m");
    for (timeout, seconds) in [(value!(30), Some(30.0)), (value!(0.5), Some(0.5)), (value!(-1), None)] {
        let error = ErrorPayload::dirty("m").with_detail("timeout", timeout);
        assert_eq!(error.time_limit(), seconds.map(std::time::Duration::from_secs_f64));
    }
}

#[test]
fn scan() {
    let scan = ScanRef { table: "t", cursor: 3, count: 10, pattern: Some("u*"), values: true };
    let mut out = Segments::new();
    encode_scan(7, &scan, &mut out).unwrap();
    let frame = out.into_contiguous();
    let payload = &frame[HEADER_LEN..];
    assert_eq!(ScanRef::decode(payload).unwrap(), scan);
    let stash = StashRef::decode(payload).unwrap();
    assert_eq!((stash.op, stash.table, stash.pattern), (StashOp::Scan, "t", Some("u*")));

    let decode = |value: Value| {
        let mut out = Segments::new();
        crate::encode_value(&value, &mut out).unwrap();
        ScanRef::decode(&out.into_contiguous()).map_err(|error| error.to_string()).map(|scan| scan.count)
    };
    assert_eq!(decode(value!({"op": 64, "table": "t"})), Ok(100));
    let cases = [
        (value!({"cursor": (-1)}), "\"cursor\" of the STASH payload: found -1, expected 0 or more"),
        (value!({"count": 0}), "\"count\" of the STASH payload: found 0, expected 1 or more"),
        (value!({"values": 1}), "\"values\" of the STASH payload: found int, expected bool"),
        (value!({"pattern": 1}), "\"pattern\" of the STASH payload: found int, expected string"),
        (value!({"table": 1}), "\"table\" of the STASH payload: found int, expected string"),
    ];
    for (value, error) in cases {
        assert_eq!(decode(value), Err(error.to_owned()));
    }
}
