//! Frames that are wrong, misleading or too long, and errors that name their cause.

use std::fs;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

use gunmetal::client::CallError;
use gunmetal::protocol::{ErrorPayload, ErrorType, MessageType};
use gunmetal::{Bytes, Value, args, value};

use crate::support::Service;
use crate::support::probe::{APP, client, probe, worker_pids};
use crate::support::raw::{Raw, frame, frame_of, header, request};
use crate::support::traces::Traces;

/// gunicorn closes without a word. Ours: an ERROR that says why, then the end of the connection.
#[test]
fn a_header_that_breaks_the_protocol() {
    let service = probe(1, &[]);
    let traces = Traces::of(&service);
    // Connected before any other worker was forked: gunicorn's workers inherit such a connection, and it stays open.
    let old: Vec<Raw> = broken_headers().iter().map(|_| connected(&service)).collect();
    let before = worker_pids(&client(&service));
    service.signal(libc::SIGHUP);
    service.wait_for("another worker", || {
        let now = worker_pids(&client(&service));
        (now.len() == 1 && now != before).then_some(())
    });
    for (old, (bytes, id, words)) in old.into_iter().zip(broken_headers()) {
        for mut raw in [old, Raw::connect(&service)] {
            // What was asked before is answered before.
            raw.call(3, "echo", value!(["before"]));
            assert_eq!(raw.result(3), value!("before"));
            raw.send(&bytes);
            let error = raw.error(id);
            assert_eq!(error.error_type, ErrorType::Protocol, "{error:?}");
            for word in &words {
                assert!(error.message.contains(word), "{word} is missing: {}", error.message);
            }
            assert!(raw.receive().is_none(), "the connection goes on after {words:?}");
        }
        assert_eq!(client(&service).execute::<i64>(APP, "echo", args![1]).unwrap(), 1);
    }
    traces.are_all_that_is_left(&service, 32 << 10);
}

/// Bytes, the request id of the error that they get, and what that must mention.
fn broken_headers() -> Vec<(Vec<u8>, u64, Vec<&'static str>)> {
    let with = |at: usize, byte: u8| {
        let mut bytes = header(MessageType::Request as u8, 9, 0);
        bytes[at] = byte;
        bytes
    };
    let too_long = u32::try_from((64 << 20) + 1).unwrap();
    vec![
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(), 0, vec!["magic", "0x47 0x45"]),
        (with(0, 0), 0, vec!["magic"]),
        (with(2, 2), 0, vec!["version", "2"]),
        (with(3, 0x77), 9, vec!["type", "0x77"]),
        (with(3, 0x40), 9, vec!["Link"]),
        (with(3, MessageType::Response as u8), 9, vec!["Response"]),
        (header(MessageType::Request as u8, 9, too_long), 9, vec!["67108865", "67108864"]),
        (header(MessageType::Stash as u8, 9, u32::MAX), 9, vec!["4294967295", "67108864"]),
    ]
}

/// A broken payload in a whole frame costs its own request, and the connection lives.
#[test]
fn a_payload_that_breaks_the_protocol() {
    let service = probe(1, &[]);
    let mut raw = Raw::connect(&service);
    let path = |value: Value| value!({"app_path": value, "action": "noop", "args": [], "kwargs": {}});
    let types = [MessageType::Request, MessageType::Stash, MessageType::Manage];
    let broken: [(&str, &[u8]); 6] = [
        ("nothing", b""),
        ("an unknown tag", b"\x77"),
        ("no dict", b"\x20\0\0\0\0"),
        ("a dict that ends early", b"\x21\0\0\0\x02\x11\0\0\0\x01a\x00"),
        ("a count beyond the bytes", b"\x21\xff\xff\xff\xff\x11\0\0\0\x01a\x00"),
        ("a string that is not UTF-8", b"\x21\0\0\0\x01\x11\0\0\0\x02\xff\xfe\x00"),
    ];
    for message_type in types {
        for (what, payload) in broken {
            raw.send(&frame(message_type as u8, 5, payload));
            let error = raw.error(5);
            assert!(!error.message.is_empty(), "{message_type:?} with {what}: {error:?}");
            raw.call(6, "echo", value!([what]));
            assert_eq!(raw.result(6), value!(what));
        }
    }
    for payload in [path(value!(3)), path(value!(["a"])), value!({"action": "noop"})] {
        raw.send(&frame_of(MessageType::Request, 5, &payload));
        assert_eq!(raw.error(5).error_type, ErrorType::Protocol);
    }
    // Bad only where no router looks.
    let mut late = request(7, "echo", value!([1]));
    let last = late.len() - 1;
    late[last - 4] = 0x77;
    raw.send(&late);
    let error = raw.error(7);
    assert!(error.message.contains("0x77"), "{error:?}");
    raw.call(8, "echo", value!([8]));
    assert_eq!(raw.result(8), value!(8));
}

/// A client that stops within a frame and closes its side: no answer is possible to most of it, and nothing hangs.
#[test]
fn a_frame_that_is_cut_short() {
    let service = probe(1, &[]);
    let traces = Traces::of(&service);
    let large = request(1, "size", value!([(Bytes::from(vec![1; 1 << 20]))]));
    let small = request(1, "echo", value!([1]));
    for (frame, cuts) in [(&small, vec![1, 8, 16, 17, small.len() - 1]), (&large, vec![70_000, 1 << 19])] {
        for cut in cuts {
            let socket = UnixStream::connect(service.socket()).unwrap();
            let mut raw = Raw::of(socket.try_clone().unwrap());
            raw.send(&frame[..cut]);
            socket.shutdown(Shutdown::Write).unwrap();
            while let Some(answer) = raw.receive() {
                assert_eq!(answer.message_type, MessageType::Error, "{answer:?}");
            }
            assert_eq!(client(&service).execute::<i64>(APP, "echo", args![1]).unwrap(), 1);
        }
    }
    traces.are_all_that_is_left(&service, 32 << 10);
}

/// gunicorn: a worker error, and the connection is lost. Ours: an app error naming size and limit.
#[test]
fn an_answer_over_64_mib() {
    let service = probe(1, &[]);
    let client = client(&service);
    let size: i64 = (64 << 20) + 4321;
    let mut raw = Raw::connect(&service);
    raw.call(1, "blob", value!([size]));
    let error = raw.error(1);
    assert_eq!(error.error_type, ErrorType::App, "{error:?}");
    assert!(error.message.contains(&size.to_string()), "no size: {}", error.message);
    assert!(error.message.contains("67108864"), "no limit: {}", error.message);
    raw.call(2, "echo", value!([2]));
    assert_eq!(raw.result(2), value!(2));
    // In a chunk, behind one that fits.
    let error = client.stream::<Bytes>(APP, "stream", args![1, size]).find_map(Result::err).unwrap();
    assert!(matches!(&error, CallError::App { message, .. } if message.contains("67108864")), "{error:?}");
    assert_eq!(client.execute::<i64>(APP, "echo", args![1]).unwrap(), 1);
}

/// gunicorn calls them. Ours: an app error, and nothing happens.
#[test]
fn reserved_names_as_actions() {
    let notes = tempfile::NamedTempFile::new().unwrap();
    let environment = [("BENCH_CLOSE_FILE", notes.path().to_str().unwrap())];
    let service = Service::probe(&["--dirty-app", APP, "--dirty-workers", "1"], &environment);
    let mut raw = Raw::connect(&service);
    for name in ["init", "close", "_private", "__init__", "__call__", "__class__", "call", "drop", "no such"]
    {
        raw.call(1, name, value!([]));
        let error = raw.error(1);
        assert_eq!(error.error_type, ErrorType::App, "{name}: {error:?}");
        assert_eq!((error.app_path(), error.action()), (Some(APP), Some(name)));
    }
    raw.call(2, "echo", value!([2]));
    assert_eq!(raw.result(2), value!(2));
    assert_eq!(fs::read_to_string(notes.path()).unwrap(), "");
}

/// With gunicorn they override the header's. Ours: the header rules.
#[test]
fn payload_keys_type_and_id() {
    let service = probe(1, &[]);
    let mut raw = Raw::connect(&service);
    for (kind, id) in [(value!(0x12), value!(99)), (value!("status"), value!("x")), (value!(2), Value::None)]
    {
        let lies = value!({
            "type": kind.clone(), "id": id.clone(),
            "app_path": APP, "action": "echo", "args": ["mine"], "kwargs": {}, "op": 1, "count": 5,
        });
        raw.send(&frame_of(MessageType::Request, 42, &lies));
        assert_eq!(raw.result(42), value!("mine"));
        let lies = value!({
            "app_path": APP, "action": "echo_kw", "args": [], "kwargs": {"type": kind.clone(), "id": id.clone()},
        });
        raw.send(&frame_of(MessageType::Request, 43, &lies));
        assert_eq!(raw.result(43), value!({"type": kind.clone(), "id": id.clone()}));
        raw.send(&frame_of(MessageType::Status, 44, &value!({"type": kind, "id": id})));
        assert!(raw.result(44).get("workers").is_some());
    }
    let client = client(&service);
    assert_eq!(worker_pids(&client).len(), 1, "one of them was taken for MANAGE");
}

/// With gunicorn it has neither app nor action. Ours: with both.
#[test]
fn an_error_in_a_stream() {
    let service = probe(1, &[]);
    let mut raw = Raw::connect(&service);
    for action in ["stream_fail", "astream_fail"] {
        for count in [0, 3] {
            raw.call(1, action, value!([count]));
            for i in 0..count {
                let chunk = raw.receive().unwrap();
                assert_eq!(chunk.message_type, MessageType::Chunk, "{chunk:?}");
                assert_eq!(chunk.payload.unwrap().get("data"), Some(&Value::from(i)));
            }
            let error: ErrorPayload = raw.error(1);
            assert_eq!(error.error_type, ErrorType::App);
            assert_eq!(&*error.message, &*format!("stream failed after {count}"));
            assert_eq!((error.app_path(), error.action()), (Some(APP), Some(action)));
            assert!(error.traceback().is_some(), "{error:?}");
        }
    }
    raw.call(2, "echo", value!([2]));
    assert_eq!(raw.result(2), value!(2));
}

/// A connection that the router has accepted.
fn connected(service: &Service) -> Raw {
    let mut raw = Raw::connect(service);
    raw.is_heard();
    raw
}
