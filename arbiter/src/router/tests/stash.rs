//! The stash as clients meet it: raw frames.

mod crowd;

use std::io::Write;

use gunmetal_protocol::{
    Dict, ErrorPayload, Frame, MessageType, ScanRef, Segments, StashOp, Value, decode_result, encode_frame,
    encode_scan, encode_stash, encode_value, value,
};

use super::rig::{Peer, Rig, request};
use crate::link::ToRouter;

type Reply = Result<Value, (String, String, Dict)>;

/// A STASH message that only the tests of other kinds of keys, ops and tables can be told to send.
fn raw(request: &Value, id: u64) -> Vec<u8> {
    let (mut payload, mut frame) = (Segments::new(), Segments::new());
    encode_value(request, &mut payload).unwrap();
    encode_frame(MessageType::Stash, id, payload, &mut frame).unwrap();
    frame.into_contiguous().to_vec()
}

fn stash(id: u64, op: StashOp, table: &str, key: Option<&Value>, value: Option<&Value>) -> Vec<u8> {
    let mut frame = Segments::new();
    let value = value.map(|value| {
        let mut encoded = Segments::new();
        encode_value(value, &mut encoded).unwrap();
        encoded
    });
    encode_stash(id, op, table, key, value, None, &mut frame).unwrap();
    frame.into_contiguous().to_vec()
}

fn reply(frame: Frame) -> Reply {
    match frame.header.message_type {
        MessageType::Response => Ok(Value::decode(decode_result(frame.payload).unwrap()).unwrap()),
        MessageType::Error => {
            let error = ErrorPayload::decode(frame.payload).unwrap();
            Err((error.error_type.to_string(), error.message.to_string(), error.details))
        }
        other => panic!("{other:?}"),
    }
}

impl Peer {
    fn ask(&mut self, frame: &[u8]) -> Reply {
        self.stream.write_all(frame).unwrap();
        reply(self.frame())
    }

    fn put(&mut self, table: &str, key: impl Into<Value>, value: impl Into<Value>) -> Reply {
        self.ask(&stash(1, StashOp::Put, table, Some(&key.into()), Some(&value.into())))
    }

    fn get(&mut self, table: &str, key: impl Into<Value>) -> Reply {
        self.ask(&stash(1, StashOp::Get, table, Some(&key.into()), None))
    }

    fn op(&mut self, op: StashOp, table: &str) -> Reply {
        self.ask(&stash(1, op, table, None, None))
    }

    fn keys(&mut self, table: &str, pattern: &str) -> Reply {
        self.ask(&raw(&value!({"op": 4, "table": table, "pattern": pattern}), 1))
    }
}

#[test]
fn each_operation_gives_what_gunicorns_gives() {
    let rig = Rig::new();
    let mut client = rig.client();
    assert_eq!(client.put("t", "a", value!({"n": [1, 2.5, null]})), Ok(true.into()));
    assert_eq!(client.get("t", "a"), Ok(value!({"n": [1, 2.5, null]})));
    assert_eq!(client.put("t", 1, "one"), Ok(true.into()));
    assert_eq!(client.put("t", true, "yes"), Ok(true.into()));
    assert_eq!(client.get("t", 1), Ok("yes".into()));
    assert_eq!(client.op(StashOp::Keys, "t"), Ok(value!(["a", 1])));
    assert_eq!(client.keys("t", "?"), Ok(value!(["a", 1])));
    assert_eq!(client.keys("t", ""), Ok(value!(["a", 1])));
    assert_eq!(client.keys("t", "[!a]"), Ok(value!([1])));
    assert_eq!(client.op(StashOp::Keys, "none"), Ok(value!([])));

    let exists = |key: Option<&Value>, table| stash(1, StashOp::Exists, table, key, None);
    assert_eq!(client.ask(&exists(None, "t")), Ok(true.into()));
    assert_eq!(client.ask(&exists(None, "none")), Ok(false.into()));
    assert_eq!(client.ask(&exists(Some(&"a".into()), "t")), Ok(true.into()));
    assert_eq!(client.ask(&exists(Some(&"b".into()), "t")), Ok(false.into()));

    let info = client.op(StashOp::Info, "t").unwrap();
    let info = info.as_dict().unwrap();
    assert_eq!((info.get("size"), info.get("table")), (Some(&2.into()), Some(&"t".into())));
    assert!(info.get("bytes").unwrap().as_int().unwrap() > 0);

    let delete = stash(1, StashOp::Delete, "t", Some(&"a".into()), None);
    assert_eq!(client.ask(&delete), Ok(true.into()));
    assert_eq!(client.ask(&delete), Ok(false.into()));
    assert_eq!(client.ask(&stash(1, StashOp::Delete, "none", Some(&1.into()), None)), Ok(false.into()));
    assert_eq!(client.op(StashOp::Ensure, "u"), Ok(true.into()));
    assert_eq!(client.op(StashOp::Ensure, "t"), Ok(true.into()));
    assert_eq!(client.op(StashOp::Tables, ""), Ok(value!(["t", "u"])));
    assert_eq!(client.op(StashOp::Clear, "t"), Ok(true.into()));
    assert_eq!(client.op(StashOp::Clear, "none"), Ok(true.into()));
    assert_eq!(client.op(StashOp::Keys, "t"), Ok(value!([])));
    assert_eq!(client.op(StashOp::DeleteTable, "t"), Ok(true.into()));
    assert_eq!(client.op(StashOp::DeleteTable, "t"), Ok(false.into()));
    assert_eq!(client.op(StashOp::Tables, ""), Ok(value!(["u"])));
}

#[test]
fn what_is_missing_is_named_in_the_error() {
    let rig = Rig::new();
    let mut client = rig.client();
    client.op(StashOp::Ensure, "t").unwrap();
    for table in ["t", "none"] {
        let (error_type, message, details) = client.get(table, 7).unwrap_err();
        assert_eq!(error_type, "StashKeyNotFoundError");
        assert_eq!(message, format!("Key not found in {table}: 7"));
        assert_eq!(Value::from(details), value!({"table_name": table, "key": 7}));
    }
    let (error_type, message, details) = client.op(StashOp::Info, "none").unwrap_err();
    assert_eq!((&*error_type, &*message), ("StashTableNotFoundError", "Stash table not found: none"));
    assert_eq!(Value::from(details), value!({"table_name": "none"}));
}

#[test]
fn a_mistake_in_a_request_costs_only_that_request() {
    let rig = Rig::new();
    let mut client = rig.client();
    let cases = [
        (value!({"op": 11, "table": "t"}), "\"op\" of the STASH payload: found 11, expected 1 to 10, or 64"),
        (value!({"table": "t"}), "STASH payload has no key \"op\""),
        (value!({"op": 1, "table": 5}), "\"table\" of the STASH payload: found int, expected string"),
        (
            value!({"op": 1, "table": "t", "key": 1.5}),
            "a key is a string, int, bool, bytes or none, found float",
        ),
        (
            value!({"op": 2, "table": "t", "key": []}),
            "a key is a string, int, bool, bytes or none, found list",
        ),
        (
            value!({"op": 4, "table": "t", "pattern": 5}),
            "\"pattern\" of the STASH payload: found int, expected string",
        ),
        (value!([]), "STASH payload: found list, expected dict"),
    ];
    for (request, expected) in cases {
        let (error_type, message, _) = client.ask(&raw(&request, 9)).unwrap_err();
        assert_eq!((&*error_type, &*message), ("StashError", expected));
    }
    let mut broken = Segments::new();
    encode_frame(MessageType::Stash, 3, bytes::Bytes::from_static(b"\x99"), &mut broken).unwrap();
    let (error_type, message, _) = client.ask(&broken.into_contiguous()).unwrap_err();
    assert_eq!(error_type, "StashError");
    assert!(message.contains("0x99"), "{message}");
    assert_eq!(client.op(StashOp::Tables, ""), Ok(value!([])));
}

#[test]
fn requests_of_one_connection_are_answered_in_order() {
    let rig = Rig::new();
    let mut client = rig.client();
    let mut frames = Vec::new();
    for id in 0..2000_u32 {
        let key = Value::from(i64::from(id));
        frames.extend(stash(u64::from(id) * 3, StashOp::Put, "t", Some(&key), Some(&key)));
        frames.extend(stash(u64::from(id) * 3 + 1, StashOp::Get, "t", Some(&key), None));
        if id % 100 == 99 {
            frames.extend(stash(u64::from(id) * 3 + 2, StashOp::Keys, "t", None, None));
        }
    }
    let mut writer = client.stream.try_clone().unwrap();
    let writing = std::thread::spawn(move || writer.write_all(&frames).unwrap());
    for id in 0..2000_u32 {
        assert_eq!(client.frame().header.request_id, u64::from(id) * 3);
        let got = client.frame();
        assert_eq!(got.header.request_id, u64::from(id) * 3 + 1);
        assert_eq!(reply(got), Ok(i64::from(id).into()));
        if id % 100 == 99 {
            let keys = client.frame();
            assert_eq!(keys.header.request_id, u64::from(id) * 3 + 2);
            assert_eq!(reply(keys).unwrap().as_list().unwrap().len(), id as usize + 1);
        }
    }
    writing.join().unwrap();
}

#[test]
fn large_values_come_back_as_they_went() {
    let rig = Rig::new();
    let mut client = rig.client();
    for len in [0, 100, 4095, 8191, 8192, 65_000, 65_536, 66_500, 70_000, 1 << 20, 16 << 20] {
        let bytes: Vec<u8> = (0..len).map(|at| u8::try_from(at % 251).unwrap()).collect();
        let value = Value::Bytes(bytes.into());
        let key = i64::from(len);
        assert_eq!(client.put("t", key, value.clone()), Ok(true.into()));
        assert_eq!(client.get("t", key), Ok(value), "{len}");
    }
}

#[test]
fn a_scan_gives_every_entry_once() {
    let rig = Rig::new();
    let mut client = rig.client();
    for key in 0..250 {
        client.put("t", key, key * 2).unwrap();
    }
    let mut scan = ScanRef { table: "t", cursor: 0, count: 100, pattern: None, values: true };
    let mut found = Vec::new();
    loop {
        let mut frame = Segments::new();
        encode_scan(5, &scan, &mut frame).unwrap();
        let page = client.ask(&frame.into_contiguous()).unwrap();
        let page = page.as_dict().unwrap();
        found.extend(page.get("items").unwrap().as_list().unwrap().iter().cloned());
        scan.cursor = page.get("cursor").unwrap().as_int().unwrap();
        if scan.cursor == 0 {
            break;
        }
        client.put("t", found.len() as i64 + 1000, 0).unwrap();
    }
    let all: Vec<Value> = (0..250_i64).map(|key| value!([key, key * 2])).collect();
    assert_eq!(found[..250], all);
    assert_eq!(found[250..], [value!([1100, 0]), value!([1200, 0])]);
}

#[test]
fn declared_tables_are_there_before_the_first_client() {
    let mut rig = Rig::new();
    rig.tell(&ToRouter::Stashes(vec!["sessions".to_owned(), "counters".to_owned()]));
    let mut client = rig.client();
    while client.op(StashOp::Tables, "") != Ok(value!(["sessions", "counters"])) {}
}

#[test]
fn a_put_over_the_limit_is_refused_and_names_the_numbers() {
    let rig = Rig::with(|config| config.stash_limit = Some(1 << 20));
    let mut client = rig.client();
    let value = |len| Value::Bytes(vec![7; len].into());
    assert_eq!(client.put("t", "a", value(900 << 10)), Ok(true.into()));
    let (error_type, message, details) = client.put("t", "b", value(200 << 10)).unwrap_err();
    assert_eq!(error_type, "StashError");
    for number in ["1048576", "205"] {
        assert!(message.contains(number), "{message}");
    }
    assert_eq!(details.get("limit"), Some(&(1 << 20).into()));
    assert_eq!(client.put("t", "a", value(800 << 10)), Ok(true.into()));
    assert_eq!(client.put("t", "b", value(100 << 10)), Ok(true.into()));
    assert_eq!(client.ask(&stash(1, StashOp::Delete, "t", Some(&"a".into()), None)), Ok(true.into()));
    assert_eq!(client.put("t", "c", value(700 << 10)), Ok(true.into()));
    assert_eq!(client.op(StashOp::Clear, "t"), Ok(true.into()));
    assert_eq!(client.put("t", "d", value(900 << 10)), Ok(true.into()));
}

/// A put whose value comes in pieces that the test chooses.
fn put_frame(key: &str, len: usize) -> Vec<u8> {
    stash(1, StashOp::Put, "t", Some(&key.into()), Some(&Value::Bytes(vec![7; len].into())))
}

#[test]
fn the_stash_is_served_without_workers_and_while_the_router_drains() {
    let mut rig = Rig::new();
    let mut early = rig.client();
    assert_eq!(early.put("t", "a", 1), Ok(true.into()));
    let mut worker = rig.worker(1);
    let mut caller = rig.client();
    caller.call(1, "slow", "runs");
    worker.lane().request();
    rig.tell(&ToRouter::DrainAll);
    // The drain has begun when calls are refused because of it, not because their app has no worker.
    let refusal = |early: &mut Peer| {
        early.send(request(2, "off:Off", "echo", "refused"));
        early.error(2).message
    };
    while !refusal(&mut early).contains("stopping") {}
    // The action that still runs connects for the first time.
    let mut within = rig.client();
    assert_eq!(within.put("t", "b", 2), Ok(true.into()));
    assert_eq!(within.get("t", "a"), Ok(1.into()));
    assert_eq!(early.get("t", "b"), Ok(2.into()));
    worker.lane().respond(1, "done");
    assert_eq!(caller.result(1), Value::from("done"));
    rig.outcome().unwrap();
}

#[test]
fn a_frame_in_small_pieces_is_a_frame() {
    let rig = Rig::new();
    let mut client = rig.client();
    for len in [10, 20_000, 100_000] {
        let frame = put_frame("k", len);
        for piece in frame.chunks(frame.len() / 7 + 1) {
            client.stream.write_all(piece).unwrap();
            std::thread::yield_now();
        }
        assert_eq!(reply(client.frame()), Ok(true.into()));
        assert_eq!(client.get("t", "k").unwrap().as_bytes().unwrap().len(), len);
    }
}
