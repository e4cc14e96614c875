//! What the real gunicorn writes, refuses and makes of odd bytes: `vectors/generate.py` asked it.

#![allow(clippy::unwrap_used, reason = "a test says by failing what is wrong")]

use bytes::BytesMut;
use gunmetal_protocol::{
    Args, Bytes, Dict, ErrorPayload, ErrorType, Frame, FrameDecoder, HEADER_LEN, Header, List, ManageRef,
    MessageType, RequestRef, Segments, StashRef, Value, ValueRef, decode_chunk, decode_result, encode_chunk,
    encode_end, encode_error, encode_manage, encode_request, encode_response, encode_response_encoded,
    encode_stash, encode_status, encode_value, from_bytes, from_slice, to_segments,
};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value as Json;

fn vectors(section: &str) -> Vec<Json> {
    let all: Json = serde_json::from_str(include_str!("vectors/vectors.json")).unwrap();
    all[section].as_array().unwrap().clone()
}

fn unhex(hex: &Json) -> Bytes {
    let digits = hex.as_str().unwrap().as_bytes().chunks(2);
    digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// The value that a description means; see `generate.py`.
fn value(described: &Json) -> Value {
    match described {
        Json::Null => Value::None,
        Json::Bool(bool) => Value::Bool(*bool),
        Json::Number(int) => Value::Int(int.as_i64().unwrap()),
        Json::String(string) => string.into(),
        Json::Array(items) => items.iter().map(value).collect(),
        Json::Object(object) => match object.iter().next().unwrap() {
            (kind, float) if kind == "float" => Value::Float(float.as_str().unwrap().parse().unwrap()),
            (kind, bytes) if kind == "bytes" => Value::Bytes(unhex(bytes)),
            (kind, nested) if kind == "nested" => {
                let levels = nested[0].as_i64().unwrap();
                (0..levels).fold(value(&nested[1]), |inner, _| Value::List(List::from(vec![inner])))
            }
            (_, pairs) => {
                let pairs = pairs.as_array().unwrap().iter();
                Value::Dict(pairs.map(|pair| (pair[0].as_str().unwrap(), value(&pair[1]))).collect::<Dict>())
            }
        },
    }
}

/// Equality that NaN does not spoil.
fn same(a: &Value, b: &Value) -> bool {
    format!("{a:?}") == format!("{b:?}")
}

/// The only frame in `wire`.
fn decode_frame(wire: &Bytes) -> Frame {
    let mut buf = BytesMut::from(&wire[..]);
    let frame = FrameDecoder::new().next_frame(&mut buf).unwrap().unwrap();
    assert!(buf.is_empty());
    frame
}

fn encoded(encode: impl FnOnce(&mut Segments)) -> Bytes {
    let mut out = Segments::new();
    encode(&mut out);
    out.into_contiguous()
}

/// Runs `check` on each frame of the given types.
fn each_frame(types: &[MessageType], mut check: impl FnMut(&str, Bytes, Frame, &Json)) {
    let mut checked = 0;
    for vector in vectors("frames") {
        let wire = unhex(&vector["frame"]);
        let frame = decode_frame(&wire);
        if types.contains(&frame.header.message_type) {
            check(vector["name"].as_str().unwrap(), wire, frame, &vector);
            checked += 1;
        }
    }
    assert!(checked > 0, "no vector of type {types:?}");
}

const ALL: &[MessageType] = &[
    MessageType::Request,
    MessageType::Response,
    MessageType::Error,
    MessageType::Chunk,
    MessageType::End,
    MessageType::Stash,
    MessageType::Status,
    MessageType::Manage,
];

#[test]
fn every_header_is_read_and_written_bit_for_bit() {
    for message_type in ALL {
        each_frame(&[*message_type], |name, wire, frame, vector| {
            let Header { message_type, request_id, .. } = frame.header;
            assert_eq!(
                format!("{message_type:?}").to_lowercase(),
                vector["type"].as_str().unwrap(),
                "{name}"
            );
            assert_eq!(request_id, vector["request_id"].as_u64().unwrap(), "{name}");
            assert_eq!(frame.header.encode(), wire[..HEADER_LEN], "{name}");
        });
    }
}

#[test]
fn every_value_is_read_and_written_bit_for_bit() {
    each_frame(ALL, |name, _, frame, vector| {
        let payload = frame.payload;
        if payload.is_empty() {
            return;
        }
        let expected = value(&vector["value"]);
        let borrowed = ValueRef::decode(&payload).unwrap();
        let owned = Value::decode(payload.clone()).unwrap();
        let by_serde: Value = from_slice(&payload).unwrap();
        assert!(same(&owned, &expected), "{name}: {owned:?} is not {expected:?}");
        assert!(same(&borrowed.to_value(), &expected), "{name}");
        assert!(same(&by_serde, &expected), "{name}");
        assert_eq!(encoded(|out| encode_value(&owned, out).unwrap()), payload, "{name}");
        assert_eq!(encoded(|out| to_segments(&owned, out).unwrap()), payload, "{name}");
    });
}

#[test]
fn requests_are_written_bit_for_bit() {
    each_frame(&[MessageType::Request], |name, wire, frame, _| {
        let request = RequestRef::decode(&frame.payload).unwrap();
        let args = Args {
            positional: request.args.iter().map(Value::from).collect(),
            keyword: request.kwargs.iter().collect(),
        };
        let id = frame.header.request_id;
        let ours = encoded(|out| encode_request(id, request.app_path, request.action, &args, out).unwrap());
        assert_eq!(ours, wire, "{name}");
    });
}

#[test]
fn responses_and_chunks_are_written_bit_for_bit() {
    each_frame(&[MessageType::Response, MessageType::Chunk], |name, wire, frame, _| {
        let id = frame.header.request_id;
        let ours = encoded(|out| {
            if frame.header.message_type == MessageType::Response {
                let result: Value = from_bytes(decode_result(frame.payload.clone()).unwrap()).unwrap();
                encode_response(id, &result, out).unwrap();
            } else {
                let data: Value = from_bytes(decode_chunk(frame.payload.clone()).unwrap()).unwrap();
                encode_chunk(id, &data, out).unwrap();
            }
        });
        assert_eq!(ours, wire, "{name}");
        if frame.header.message_type == MessageType::Response {
            let result = decode_result(frame.payload.clone()).unwrap();
            assert_eq!(encoded(|out| encode_response_encoded(id, result, out).unwrap()), wire, "{name}");
        }
    });
}

#[test]
fn errors_are_written_bit_for_bit() {
    each_frame(&[MessageType::Error], |name, wire, frame, _| {
        let error = ErrorPayload::decode(frame.payload.clone()).unwrap();
        assert_eq!(
            encoded(|out| encode_error(frame.header.request_id, &error, out).unwrap()),
            wire,
            "{name}"
        );
        let foreign = name.contains("exception");
        assert_eq!(matches!(error.error_type, ErrorType::Other(_)), foreign, "{name}: {error}");
    });
}

/// Our constructors fill in what gunicorn's do.
#[test]
fn error_constructors_match_gunicorns_classes() {
    let seconds = std::time::Duration::from_secs_f64;
    let traceback = "Traceback (most recent call last):\n  ...\nValueError: boom\n";
    for (name, ours) in [
        ("timeout", ErrorPayload::timeout("Execution timed out", seconds(30.0))),
        ("connection", ErrorPayload::connection("refused", "/run/dirty.sock")),
        ("worker by name", ErrorPayload::worker("Worker died", "w-1")),
        ("app", ErrorPayload::app("boom", "images:ImageApp", "thumbnail", traceback)),
        ("app without traceback", ErrorPayload::app("boom", "images:ImageApp", "thumbnail", "")),
        ("app not found", ErrorPayload::app_not_found("images:ImageApp")),
        ("no workers available", ErrorPayload::no_workers_available("images:ImageApp")),
        ("protocol", ErrorPayload::protocol("Invalid magic", &b"GET / HTTP/1.1\r\n".repeat(20))),
        ("protocol without data", ErrorPayload::protocol("Protocol error", b"")),
        ("base", ErrorPayload::dirty("something")),
        ("stash table not found", ErrorPayload::stash_table_not_found("cache")),
        ("stash key not found", ErrorPayload::stash_key_not_found("cache", "k")),
    ] {
        let mut found = false;
        each_frame(&[MessageType::Error], |vector, wire, _, _| {
            if vector == format!("error: {name}") {
                found = true;
                assert_eq!(encoded(|out| encode_error(7, &ours, out).unwrap()), wire, "{name}");
            }
        });
        assert!(found, "no vector for {name}");
    }
}

#[test]
fn stash_operations_are_written_bit_for_bit() {
    each_frame(&[MessageType::Stash], |name, wire, frame, vector| {
        let stash = StashRef::decode(&frame.payload).unwrap();
        let given =
            |key: &str| ValueRef::decode(&frame.payload).unwrap().as_dict().unwrap().get(key).is_some();
        let key = stash.key.to_value();
        let stashed = given("value").then(|| Segments::from(Bytes::copy_from_slice(stash.value)));
        let ours = encoded(|out| {
            let key = given("key").then_some(&key);
            encode_stash(frame.header.request_id, stash.op, stash.table, key, stashed, stash.pattern, out)
                .unwrap();
        });
        assert_eq!(ours, wire, "{name}");
        assert_eq!(value(&vector["value"]).get("op").unwrap().as_int(), Some(stash.op as i64), "{name}");
    });
}

#[test]
fn the_other_messages_are_written_bit_for_bit() {
    each_frame(&[MessageType::Manage], |name, wire, frame, _| {
        let manage = ManageRef::decode(&frame.payload).unwrap();
        let id = frame.header.request_id;
        assert_eq!(encoded(|out| encode_manage(id, manage.op, manage.count, out).unwrap()), wire, "{name}");
    });
    each_frame(&[MessageType::End], |name, wire, frame, _| {
        assert_eq!(encoded(|out| encode_end(frame.header.request_id, out)), wire, "{name}");
    });
    each_frame(&[MessageType::Status], |name, wire, frame, _| {
        assert_eq!(encoded(|out| encode_status(frame.header.request_id, out)), wire, "{name}");
    });
}

#[test]
fn odd_payloads_mean_what_they_mean_to_gunicorn() {
    for vector in vectors("payloads") {
        let (payload, expected) = (unhex(&vector["payload"]), value(&vector["value"]));
        let decoded = Value::decode(payload.clone()).unwrap();
        assert!(same(&decoded, &expected), "{}: {decoded:?}", vector["name"]);
        let by_serde: Value = from_slice(&payload).unwrap();
        assert!(same(&by_serde, &expected), "{}: {by_serde:?}", vector["name"]);
        if let (Some(view), Some(expected)) =
            (ValueRef::decode(&payload).unwrap().as_dict(), expected.as_dict())
        {
            for (key, value) in expected {
                assert_eq!(view.get(key).unwrap().to_value(), *value, "{}", vector["name"]);
            }
        }
    }
}

#[test]
fn what_gunicorn_refuses_is_refused() {
    for vector in vectors("refused") {
        let (name, payload) = (&vector["name"], unhex(&vector["payload"]));
        let error = ValueRef::decode(&payload).expect_err(&format!("{name}"));
        assert_eq!(Value::decode(payload.clone()).unwrap_err(), error, "{name}");
        assert_eq!(from_slice::<serde::de::IgnoredAny>(&payload).unwrap_err(), error, "{name}");
        assert!(from_bytes::<(Value,)>(wrapped(&payload)).is_err(), "{name}");
    }
    for vector in vectors("headers") {
        let header = unhex(&vector["header"]);
        Header::decode(header[..].try_into().unwrap()).expect_err(vector["name"].as_str().unwrap());
    }
}

/// The payload as the only item of a list.
fn wrapped(payload: &[u8]) -> Bytes {
    [b"\x20\0\0\0\x01", payload].concat().into()
}

/// A map with keys that are no strings, in gunicorn's order.
struct OddKeys;

impl Serialize for OddKeys {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry(&1, "int")?;
        map.serialize_entry(&-5, "negative")?;
        map.serialize_entry(&2, "two")?;
        map.serialize_entry(&(), "none")?;
        map.serialize_entry(&1.5, "float")?;
        map.serialize_entry(&0.1, "tenth")?;
        map.serialize_entry(&1e16, "exponent")?;
        map.serialize_entry(&1e-5, "small")?;
        map.serialize_entry(serde_bytes::Bytes::new(b"k'\0"), "bytes")?;
        map.end()
    }
}

#[test]
fn keys_become_the_strings_that_gunicorn_makes_of_them() {
    let mut found = 0;
    each_frame(&[MessageType::Response], |name, wire, _, _| {
        let ours = match name {
            "response: keys that are no strings" => encoded(|out| encode_response(1, &OddKeys, out).unwrap()),
            "response: bool keys" => {
                let keys = indexmap::IndexMap::from([(true, 1), (false, 0)]);
                encoded(|out| encode_response(1, &OrderedKeys(keys), out).unwrap())
            }
            _ => return,
        };
        found += 1;
        assert_eq!(ours, wire, "{name}");
    });
    assert_eq!(found, 2);
}

struct OrderedKeys(indexmap::IndexMap<bool, i32>);

impl Serialize for OrderedKeys {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(&self.0)
    }
}
