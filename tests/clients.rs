//! Clients that read slowly or not at all, leave, stop half-way, talk rubbish, or say as much as may be said: what they cost
//! themselves, and that they cost nobody else. The app is the probe (`examples/probe`).

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod support;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use gunmetal::client::CallError;
use gunmetal::protocol::{Segments, encode_request};
use gunmetal::{Args, Bytes, args};
use support::Service;
use support::probe::{APP, client, peek, probe, wait_until_running};

#[test]
fn a_producer_stops_when_its_reader_leaves() {
    let service = probe(1, &[]);
    let client = client(&service);
    let mut stream = client.stream::<Bytes>(APP, "stream", args![1_000_000_000, 1024]);
    stream.next().unwrap().unwrap();

    drop(stream);

    service.wait_for("the end of the producer", || peek(&client, "closed_generators"));
    let produced = peek(&client, "produced").unwrap();
    assert!(produced < 1_000_000_000);
    assert_eq!(peek(&client, "produced").unwrap(), produced, "it goes on producing");
}

#[test]
fn a_slow_reader_costs_no_memory_and_no_one_else() {
    let service = probe(2, &[]);
    let client = client(&service);
    let router = service.process("router");
    let before = router.resident_kib();
    // 4 GiB in chunks of 1 MiB, of which nobody reads more than the first.
    let mut stream = client.stream::<Bytes>(APP, "stream", args![4096, 1 << 20]);
    stream.next().unwrap().unwrap();

    for i in 0..500 {
        assert_eq!(client.execute::<i64>(APP, "echo", args![i]).unwrap(), i);
    }

    let grown = router.resident_kib().saturating_sub(before);
    assert!(grown < 32 * 1024, "the router grew by {grown} KiB");
}

#[test]
fn readers_that_read_nothing_cannot_keep_every_lane() {
    let service = probe(2, &[]);
    let client = client(&service);
    // As many as there are lanes, and not one of them reads its answer.
    let stuck: Vec<UnixStream> = (0..2)
        .map(|_| {
            let mut socket = UnixStream::connect(service.socket()).unwrap();
            socket.write_all(&request("stream", args![1_000_000_000, 60_000])).unwrap();
            socket
        })
        .collect();
    wait_until_running(&service, &client, 2);

    assert_eq!(client.execute::<i64>(APP, "echo", args![1]).unwrap(), 1);
    drop(stuck);
}

#[test]
fn garbage_is_answered_with_what_is_wrong_and_hurts_no_one() {
    let service = probe(1, &[]);
    let client = client(&service);
    let frames: [(&[u8], &str); 4] = [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "magic"),
        (b"GD\x02\x01\0\0\0\0\0\0\0\0\0\0\0\x01", "version"),
        (b"GD\x01\x77\0\0\0\0\0\0\0\0\0\0\0\x01", "type"),
        (b"GD\x01\x01\xff\xff\xff\xff\0\0\0\0\0\0\0\x01", "67108864"),
    ];
    for (frame, word) in frames {
        let answer = exchange(&service, frame);
        let text = String::from_utf8_lossy(&answer);
        assert!(text.contains("DirtyProtocolError") && text.contains(word), "{word}: {text}");
        assert_eq!(client.execute::<i64>(APP, "echo", args![1]).unwrap(), 1);
    }
}

#[test]
fn half_a_frame_then_silence_holds_up_no_one() {
    let service = probe(1, &[]);
    let client = client(&service);
    let router = service.process("router");
    let before = router.resident_kib();
    let mut half = request("size", args![Bytes::from(vec![7; 32 << 20])]);
    half.truncate(16 << 20);
    // Eight clients, half a frame of 32 MiB each, as far as the router takes it.
    let halves: Vec<UnixStream> = (0..8)
        .map(|_| {
            let mut socket = UnixStream::connect(service.socket()).unwrap();
            socket.set_write_timeout(Some(Duration::from_millis(100))).unwrap();
            let _ = socket.write_all(&half);
            socket
        })
        .collect();

    for i in 0..50 {
        assert_eq!(client.execute::<i64>(APP, "echo", args![i]).unwrap(), i);
    }
    let grown = router.resident_kib().saturating_sub(before);
    assert!(grown < 32 * 1024, "the router grew by {grown} KiB");
    drop(halves);
}

#[test]
fn the_largest_call_and_the_largest_answer_fit() {
    let service = probe(1, &[]);
    let client = client(&service);
    // 64 MiB is the payload's limit; what is not the bytes themselves is the dictionary around them.
    let request = (64 << 20) - REQUEST_OVERHEAD;
    let image = Bytes::from(vec![7; request]);
    assert_eq!(client.execute::<usize>(APP, "size", args![image]).unwrap(), request);
    let answer = (64 << 20) - RESPONSE_OVERHEAD;
    assert_eq!(
        client.execute::<Bytes>(APP, "blob", args![i64::try_from(answer).unwrap()]).unwrap().len(),
        answer
    );

    let error = client.execute::<Bytes>(APP, "blob", args![64 << 20]).unwrap_err();
    assert!(matches!(error, CallError::App { .. }), "{error:?}");
    assert!(error.to_string().contains("67108864"), "{error}");
    assert_eq!(client.execute::<i64>(APP, "echo", args![1]).unwrap(), 1);
}

/// The bytes of a `size` request beside those of its one argument; of a response beside those of its result.
const REQUEST_OVERHEAD: usize =
    5 + (5 + 8) + (5 + APP.len()) + (5 + 6) + (5 + 4) + (5 + 4) + (5 + 5) + (5 + 6) + 5;
const RESPONSE_OVERHEAD: usize = 5 + (5 + 6) + 5;

/// A whole REQUEST frame to the probe.
fn request(action: &str, args: Args) -> Vec<u8> {
    let mut frame = Segments::new();
    encode_request(1, APP, action, &args, &mut frame).unwrap();
    frame.into_iter().flatten().collect()
}

/// Sends `bytes` on a connection of its own and reads what comes until the other side closes.
fn exchange(service: &Service, bytes: &[u8]) -> Vec<u8> {
    let mut socket = UnixStream::connect(service.socket()).unwrap();
    socket.set_read_timeout(Some(support::PATIENCE)).unwrap();
    socket.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).unwrap();
    answer
}
