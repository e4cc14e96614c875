//! The stash as the router keeps it: raw frames against a real service, its memory and its processes.

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod support;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use gunmetal::protocol::{
    Dict, ErrorPayload, HEADER_LEN, Header, MessageType, Segments, StashOp, decode_result, encode_stash,
    encode_value,
};
use gunmetal::{Bytes, Value, args, value};
use support::probe::{APP, client, probe, wait_until_running, worker_pids};
use support::{Service, descendants};

const DECLARING: &str = "bench_app:StashDeclApp";

/// A connection that sends whatever it is told to.
struct Raw(UnixStream);

type Reply = Result<Value, (String, String, Dict)>;

fn frame(op: StashOp, table: &str, key: Option<Value>, value: Option<&Value>) -> Vec<u8> {
    let mut frame = Segments::new();
    let value = value.map(|value| {
        let mut encoded = Segments::new();
        encode_value(value, &mut encoded).unwrap();
        encoded
    });
    encode_stash(7, op, table, key.as_ref(), value, None, &mut frame).unwrap();
    frame.into_contiguous().to_vec()
}

fn blob(len: usize) -> Value {
    Value::Bytes(vec![7; len].into())
}

impl Raw {
    fn connect(service: &Service) -> Raw {
        let socket = UnixStream::connect(service.socket()).unwrap();
        socket.set_read_timeout(Some(support::PATIENCE)).unwrap();
        Raw(socket)
    }

    fn try_reply(&mut self) -> std::io::Result<Reply> {
        let mut header = [0; HEADER_LEN];
        self.0.read_exact(&mut header)?;
        let header = Header::decode(&header).unwrap();
        let mut payload = vec![0; header.payload_len as usize];
        self.0.read_exact(&mut payload)?;
        let payload = Bytes::from(payload);
        Ok(if header.message_type == MessageType::Response {
            Ok(Value::decode(decode_result(payload).unwrap()).unwrap())
        } else {
            let error = ErrorPayload::decode(payload).unwrap();
            Err((error.error_type.to_string(), error.message.to_string(), error.details))
        })
    }

    fn ask(&mut self, frame: &[u8]) -> Reply {
        self.0.write_all(frame).unwrap();
        self.try_reply().unwrap()
    }

    fn put(&mut self, table: &str, key: impl Into<Value>, value: &Value) -> Reply {
        self.ask(&frame(StashOp::Put, table, Some(key.into()), Some(value)))
    }

    fn get(&mut self, table: &str, key: impl Into<Value>) -> Reply {
        self.ask(&frame(StashOp::Get, table, Some(key.into()), None))
    }

    fn op(&mut self, op: StashOp, table: &str) -> Reply {
        self.ask(&frame(op, table, None, None))
    }
}

#[test]
fn a_stored_dict_with_a_key_error_is_read_back() {
    let service = probe(1, &["--dirty-app", APP]);
    let mut raw = Raw::connect(&service);
    for stored in [value!({"error": "key_not_found"}), value!({"error": "table_not_found", "x": 1})] {
        assert_eq!(raw.put("t", "k", &stored), Ok(true.into()));
        assert_eq!(raw.get("t", "k"), Ok(stored));
    }
}

#[test]
fn large_values_are_stored_and_fetched_whole() {
    let service = probe(1, &["--dirty-app", APP]);
    let mut raw = Raw::connect(&service);
    // The longest that fits in the frame of a put.
    let around = frame(StashOp::Put, "t", Some("k".into()), Some(&blob(0))).len() - HEADER_LEN;
    for len in [64 << 10, 1 << 20, (64 << 20) - around] {
        let value = blob(len);
        assert_eq!(raw.put("t", "k", &value), Ok(true.into()));
        assert!(raw.get("t", "k") == Ok(value), "{len} bytes came back changed");
    }
}

#[test]
fn the_memory_of_large_values_is_given_back() {
    let service = probe(1, &["--dirty-app", APP]);
    let router = service.process("router");
    let mut raw = Raw::connect(&service);
    let before = router.resident_kib();
    for key in 0..100 {
        assert_eq!(raw.put("t", key, &blob(2 << 20)), Ok(true.into()));
    }
    assert!(router.resident_kib() > before + (190 << 10));
    for key in 0..50 {
        assert_eq!(raw.ask(&frame(StashOp::Delete, "t", Some(key.into()), None)), Ok(true.into()));
    }
    assert_eq!(raw.op(StashOp::Clear, "t"), Ok(true.into()));
    // What was cleared is freed bit by bit.
    service.wait_for("less memory", || (router.resident_kib() < before + (20 << 10)).then_some(()));
}

#[test]
fn a_put_over_the_limit_is_an_error_and_the_router_lives() {
    let service = probe(1, &["--dirty-app", APP, "--dirty-stash-limit", "8M"]);
    let router = service.process("router");
    let mut raw = Raw::connect(&service);
    let mut count = 0;
    let (error_type, message, details) = loop {
        match raw.put("t", count, &blob(1 << 20)) {
            Ok(_) => count += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(count, 7, "of a mebibyte each, with what is around them");
    assert_eq!(error_type, "StashError");
    assert!(message.contains("8388608") && message.contains("dirty_stash_limit"), "{message}");
    assert_eq!(details.get("limit"), Some(&(8 << 20).into()));
    // What is there can be read, replaced by less, and removed.
    assert_eq!(raw.get("t", 3), Ok(blob(1 << 20)));
    assert_eq!(raw.put("t", 3, &blob(100)), Ok(true.into()));
    assert_eq!(raw.put("t", 7, &blob(1 << 20)), Ok(true.into()));
    assert_eq!(raw.op(StashOp::Clear, "t"), Ok(true.into()));
    assert_eq!(raw.put("t", 0, &blob(7 << 20)), Ok(true.into()));
    assert_eq!(service.process("router"), router);
}

#[test]
fn half_received_values_take_one_budget_for_all_clients() {
    let service = probe(1, &["--dirty-app", APP]);
    let router = service.process("router");
    let mut raw = Raw::connect(&service);
    assert_eq!(raw.put("t", "small", &value!("value")), Ok(true.into()));
    let before = router.resident_kib();

    let whole = frame(StashOp::Put, "t", Some("half".into()), Some(&blob(32 << 20)));
    let halves: Vec<Raw> = (0..8)
        .map(|_| {
            let half = Raw::connect(&service);
            half.0.set_nonblocking(true).unwrap();
            half
        })
        .collect();
    // Each sends as much of its half as is taken, while the others do.
    let mut sent = [0; 8];
    let mut most = 0;
    for _ in 0..200 {
        for (half, sent) in halves.iter().zip(&mut sent) {
            while *sent < whole.len() / 2 {
                match (&half.0).write(&whole[*sent..(whole.len() / 2).min(*sent + (1 << 20))]) {
                    Ok(len) => *sent += len,
                    Err(_) => break,
                }
            }
        }
        most = most.max(router.resident_kib());
        // Others are served all the while.
        assert_eq!(raw.get("t", "small"), Ok("value".into()));
        assert_eq!(raw.put("t", "more", &blob(100 << 10)), Ok(true.into()));
    }
    let grown = most.saturating_sub(before) >> 10;
    assert!(grown < 96, "half frames of eight clients take {grown} MiB");
    // Those who stopped have to go, so that others get their turn.
    assert_eq!(raw.ask(&whole), Ok(true.into()));
    assert_eq!(service.process("router"), router);
}

#[test]
fn tables_outlive_workers_and_reloads_and_declared_ones_outlive_the_router() {
    let service = probe(2, &["--dirty-app", APP, "--dirty-app", DECLARING]);
    let client = client(&service);
    let mut raw = Raw::connect(&service);
    let declared = value!(["declared_one", "declared_two"]);
    assert_eq!(raw.op(StashOp::Tables, ""), Ok(declared.clone()), "created at start");
    assert_eq!(raw.put("declared_one", "k", &1.into()), Ok(true.into()));

    for signal in [libc::SIGHUP, libc::SIGTTIN, libc::SIGTTOU] {
        let before = worker_pids(&client);
        service.signal(signal);
        service.wait_for("other workers", || (worker_pids(&client) != before).then_some(()));
        assert_eq!(raw.get("declared_one", "k"), Ok(1.into()), "after signal {signal}");
    }
    let worker = u32::try_from(worker_pids(&client)[0]).unwrap();
    support::kill(worker, libc::SIGKILL);
    service.wait_for("its replacement", || (worker_pids(&client).len() == 2).then_some(()));
    assert_eq!(raw.get("declared_one", "k"), Ok(1.into()));
    assert_eq!(raw.op(StashOp::Tables, ""), Ok(declared.clone()));

    // With the router go the values, and nothing else.
    let router = service.process("router");
    router.signal(libc::SIGKILL);
    assert!(raw.try_reply().is_err());
    service.wait_for("another router", || {
        let running = service.processes("router");
        (running.len() == 1 && running[0].pid != router.pid).then_some(())
    });
    let mut raw = Raw::connect(&service);
    assert_eq!(raw.op(StashOp::Tables, ""), Ok(declared));
    assert_eq!(raw.get("declared_one", "k").unwrap_err().0, "StashKeyNotFoundError");
}

#[test]
fn the_stash_answers_beside_calls_that_hang_and_before_any_worker_is_ready() {
    // Workers that take an hour to start.
    let starting =
        Service::probe(&["--dirty-app", APP, "--dirty-workers", "1"], &[("BENCH_INIT_DELAY", "3600")]);
    let mut raw = Raw::connect(&starting);
    assert_eq!(raw.put("t", "k", &1.into()), Ok(true.into()));
    assert_eq!(raw.get("t", "k"), Ok(1.into()));

    let service = probe(1, &["--dirty-app", APP]);
    let client = client(&service);
    let hanging: Vec<_> = (0..3)
        .map(|_| {
            let client = client.clone();
            std::thread::spawn(move || client.execute::<Value>(APP, "sleep", args![3600]))
        })
        .collect();
    wait_until_running(&service, &client, 1);
    let mut raw = Raw::connect(&service);
    for key in 0..100 {
        assert_eq!(raw.put("t", key, &key.into()), Ok(true.into()));
        assert_eq!(raw.get("t", key), Ok(key.into()));
    }
    drop(service);
    for call in hanging {
        call.join().unwrap().unwrap_err();
    }
}

#[test]
fn an_action_has_the_stash_until_it_ends_also_while_the_service_stops() {
    let mut service = probe(1, &["--dirty-app", APP, "--dirty-graceful-timeout", "60"]);
    let client = client(&service);
    let mut raw = Raw::connect(&service);
    let call = {
        let client = client.clone();
        std::thread::spawn(move || client.execute::<Value>(APP, "sleep", args![2]))
    };
    wait_until_running(&service, &client, 1);
    service.signal(libc::SIGTERM);
    service.wait_for("the drain", || {
        // One that is still taken waits for the only worker.
        let call = client.call(APP, "noop").timeout(Duration::from_millis(100));
        let refused = call.execute::<Value>().err()?;
        refused.to_string().contains("stopping").then_some(())
    });
    assert_eq!(raw.put("t", "k", &1.into()), Ok(true.into()));
    assert_eq!(Raw::connect(&service).get("t", "k"), Ok(1.into()), "a connection made during the drain");
    call.join().unwrap().unwrap();
    assert!(service.wait().success());
}

#[test]
fn a_big_table_is_thrown_away_while_others_are_served() {
    let service = probe(1, &["--dirty-app", APP]);
    let router = service.process("router");
    let mut raw = Raw::connect(&service);
    let before = router.resident_kib();
    let count = 300_000;
    let mut writer = raw.0.try_clone().unwrap();
    let writing = std::thread::spawn(move || {
        for first in (0..count).step_by(1000) {
            let frames: Vec<u8> = (first..first + 1000)
                .flat_map(|key| frame(StashOp::Put, "big", Some(key.into()), Some(&blob(100))))
                .collect();
            writer.write_all(&frames).unwrap();
        }
    });
    for _ in 0..count {
        assert_eq!(raw.try_reply().unwrap(), Ok(true.into()));
    }
    writing.join().unwrap();
    let filled = router.resident_kib();
    let per_key = (filled - before) * 1024 / u64::try_from(count).unwrap();
    assert!(per_key < 250, "{per_key} bytes per key");
    let info = raw.op(StashOp::Info, "big").unwrap();
    let told = info.get("bytes").unwrap().as_int().unwrap() / count;
    assert!(
        (per_key * 7 / 10..per_key * 13 / 10).contains(&u64::try_from(told).unwrap()),
        "{told} told, {per_key} taken"
    );

    assert_eq!(raw.op(StashOp::DeleteTable, "big"), Ok(true.into()));
    assert_eq!(raw.op(StashOp::Tables, ""), Ok(value!([])));
    // The memory is there for the next table.
    for key in 0..1000 {
        assert_eq!(raw.put("next", key, &blob(100)), Ok(true.into()));
    }
    assert!(router.resident_kib() < filled + (filled - before) / 10);
    assert!(descendants(service.pid()).contains(&router));
}
