//! Frames of all sizes, good and bad.

use std::io::Write;
use std::time::Duration;

use gunmetal_protocol::{ErrorType, HEADER_LEN, MessageType, Segments, Value};

use super::rig::{Peer, Rig, request};

#[test]
fn a_broken_header_is_explained_and_ends_the_connection() {
    let mut rig = Rig::new();
    let mut worker = rig.worker(1);
    let mut client = rig.client();
    client.stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let error = client.error(0);
    assert_eq!(error.error_type, ErrorType::Protocol);
    assert!(error.message.contains("magic"), "{}", error.message);
    assert!(client.ends());
    let mut other = rig.client();
    other.call(1, "echo", "x");
    worker.lane().echo();
    assert_eq!(other.result(1), Value::from("x"));
}

#[test]
fn a_length_over_the_limit_is_explained() {
    let rig = Rig::new();
    let mut client = rig.client();
    let mut header = [0; 16];
    header[..4].copy_from_slice(&[0x47, 0x44, 1, 1]);
    header[4..8].copy_from_slice(&u32::MAX.to_be_bytes());
    header[15] = 9;
    client.stream.write_all(&header).unwrap();
    let error = client.error(9);
    assert!(error.message.contains("4294967295") && error.message.contains("67108864"), "{}", error.message);
    assert!(client.ends());
}

#[test]
fn a_message_that_is_not_a_clients_ends_the_connection() {
    let rig = Rig::new();
    for message_type in [MessageType::Response, MessageType::End, MessageType::Link] {
        let mut client = rig.client();
        client.send_header(message_type, 5, 0);
        assert_eq!(client.error(5).error_type, ErrorType::Protocol);
        assert!(client.ends());
    }
}

#[test]
fn a_broken_payload_ends_its_request_only() {
    let mut rig = Rig::new();
    let mut worker = rig.worker(1);
    let mut client = rig.client();
    for (request_id, payload) in
        [(1, &b"\xff"[..]), (2, b""), (3, b"\x21\x00\x00\x00\x00"), (4, b"\x21\x00\x00\x00\x09")]
    {
        client.send_header(MessageType::Request, request_id, u32::try_from(payload.len()).unwrap());
        client.stream.write_all(payload).unwrap();
        assert_eq!(client.error(request_id).error_type, ErrorType::Protocol);
    }
    client.call(5, "echo", "fine");
    worker.lane().echo();
    assert_eq!(client.result(5), Value::from("fine"));
}

#[test]
fn an_app_that_is_not_configured_is_told_from_one_that_is_unavailable() {
    let rig = Rig::new();
    let mut client = rig.client();
    client.send(request(1, "no:No", "x", 1));
    let error = client.error(1);
    assert_eq!(error.error_type, ErrorType::NoWorkersAvailable);
    assert_eq!(error.details.get("reason"), Some(&Value::from("app_not_configured")));
    assert!(error.message.contains("a:A, b:B, off:Off"), "{}", error.message);
    client.send(request(2, "off:Off", "x", 1));
    let error = client.error(2);
    assert_eq!(error.details.get("reason"), Some(&Value::from("app_unavailable")));
    assert_eq!(error.app_path(), Some("off:Off"));
}

#[test]
fn half_a_frame_holds_up_its_own_connection_only() {
    let mut rig = Rig::new();
    let mut worker = rig.worker(1);
    let frame = request(1, "a:A", "echo", "half").into_contiguous();
    let mut halves: Vec<_> = (0..100).map(|_| rig.client()).collect();
    for client in &mut halves {
        client.stream.write_all(&frame[..frame.len() / 2]).unwrap();
    }
    let mut client = rig.client();
    client.call(1, "echo", "whole");
    worker.lane().echo();
    assert_eq!(client.result(1), Value::from("whole"));
    let half = &mut halves[50];
    half.stream.write_all(&frame[frame.len() / 2..]).unwrap();
    worker.lane().echo();
    assert_eq!(half.result(1), Value::from("half"));
}

#[test]
fn however_a_request_is_cut_it_arrives() {
    let mut rig = Rig::new();
    let mut worker = rig.worker(1);
    let mut client = rig.client();
    let mut frames = request(1, "a:A", "echo", "one");
    frames.append(request(2, "a:A", "echo", "two"));
    let wire = frames.into_contiguous();
    for cut in 0..=wire.len() {
        client.stream.write_all(&wire[..cut]).unwrap();
        // So that the router sees the parts apart: it has answered something behind the first.
        let mut other = rig.client();
        other.send_header(MessageType::Status, 1, 0);
        other.result(1);
        client.stream.write_all(&wire[cut..]).unwrap();
        worker.lane().echo();
        worker.lane().echo();
        assert_eq!(
            (client.result(1), client.result(2)),
            (Value::from("one"), Value::from("two")),
            "cut at {cut}"
        );
    }
}

#[test]
fn large_payloads_go_through_both_ways_unchanged() {
    let mut rig = Rig::new();
    let mut worker = rig.worker(1);
    for size in [65_000, 65_536, 70_000, 300_000, 5 << 20, (64 << 20) - 1000] {
        let payload: bytes::Bytes = (0..=250_u8).cycle().take(size).collect::<Vec<u8>>().into();
        let mut client = rig.client();
        let mut sender = Peer::new(client.stream.try_clone().unwrap());
        let sent = payload.clone();
        let mut lane = worker.lanes.pop_front().unwrap();
        let (lane, result) = std::thread::scope(|scope| {
            scope.spawn(move || sender.call(3, "echo", sent));
            let lane = scope.spawn(move || {
                lane.peer.echo();
                lane
            });
            let result = client.result(3);
            (lane.join().unwrap(), result)
        });
        worker.lanes.push_back(lane);
        assert!(result == Value::from(payload), "changed at {size} bytes");
    }
}

#[test]
fn a_large_request_is_passed_on_before_it_is_complete() {
    let mut rig = Rig::new();
    let mut worker = rig.worker(1);
    let mut client = rig.client();
    let wire = request(1, "a:A", "echo", bytes::Bytes::from(vec![7; 1 << 20])).into_contiguous();
    client.stream.write_all(&wire[..500_000]).unwrap();
    let mut seen = vec![0; 500_000];
    std::io::Read::read_exact(&mut worker.lane().stream, &mut seen).unwrap();
    assert_eq!(&seen[HEADER_LEN..], &wire[HEADER_LEN..500_000]);
    client.stream.write_all(&wire[500_000..]).unwrap();
}

#[test]
fn a_client_that_leaves_within_a_large_request_costs_its_lane_and_nobody_else() {
    let mut rig = Rig::new();
    let mut worker = rig.worker(1);
    let mut client = rig.client();
    let wire = request(1, "a:A", "echo", bytes::Bytes::from(vec![7; 1 << 20])).into_contiguous();
    client.stream.write_all(&wire[..200_000]).unwrap();
    let mut other = rig.client();
    drop(client);
    assert!(worker.lanes.pop_front().unwrap().peer.ends());
    worker.accept();
    other.call(1, "echo", "x");
    worker.lane().echo();
    assert_eq!(other.result(1), Value::from("x"));
}

#[test]
fn a_sender_that_stalls_loses_its_lane_to_those_who_wait() {
    let mut rig = Rig::new();
    let mut worker = rig.worker(1);
    let mut stalling = rig.client();
    let wire = request(1, "a:A", "echo", bytes::Bytes::from(vec![7; 1 << 20])).into_contiguous();
    stalling.stream.write_all(&wire[..200_000]).unwrap();
    // The lane is taken before the other call comes.
    let mut first = [0; 1];
    std::io::Read::read_exact(&mut worker.lane().stream, &mut first).unwrap();
    let mut other = rig.client();
    other.call(1, "echo", "x");
    let error = stalling.error(1);
    assert_eq!(error.error_type, ErrorType::Protocol);
    assert!(stalling.ends());
    worker.lanes.clear();
    worker.accept();
    worker.lane().echo();
    assert_eq!(other.result(1), Value::from("x"));
}

#[test]
fn large_requests_wait_for_a_lane_without_being_read() {
    let mut rig = Rig::new();
    let wire = request(1, "a:A", "echo", bytes::Bytes::from(vec![7; 8 << 20])).into_contiguous();
    let mut client = rig.client();
    client.stream.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    let mut written = 0;
    while let Ok(len) = client.stream.write(&wire[written..]) {
        written += len;
    }
    assert!(written < 4 << 20, "{written} bytes were taken without a lane");
    client.stream.set_write_timeout(None).unwrap();
    let mut worker = rig.worker(1);
    let mut lane = worker.lanes.pop_front().unwrap();
    let echo = std::thread::spawn(move || {
        lane.peer.echo();
        lane
    });
    client.stream.write_all(&wire[written..]).unwrap();
    assert_eq!(client.result(1).as_bytes().unwrap().len(), 8 << 20);
    drop(echo.join().unwrap());
}

#[test]
fn frames_for_a_client_wait_behind_a_large_answer() {
    let mut rig = Rig::new();
    let mut worker = rig.worker(2);
    let mut client = rig.client();
    client.call(1, "slow", "large");
    client.call(2, "slow", "small");
    let mut lanes: Vec<_> = worker.lanes.drain(..).collect();
    if lanes[0].peer.request().1 == Value::from("large") {
        lanes[1].peer.request();
    } else {
        lanes[1].peer.request();
        lanes.swap(0, 1);
    }
    let answer = {
        let mut frame = Segments::new();
        let result = Value::from(bytes::Bytes::from(vec![7; 1 << 20]));
        gunmetal_protocol::encode_response(1, &result, &mut frame).unwrap();
        frame.into_contiguous()
    };
    lanes[0].peer.stream.write_all(&answer[..400_000]).unwrap();
    // The large answer has begun to arrive before the small one is sent.
    let mut begun = [0; 1];
    std::io::Read::read_exact(&mut client.stream, &mut begun).unwrap();
    lanes[1].peer.respond(1, "small");
    lanes[0].peer.stream.write_all(&answer[400_000..]).unwrap();
    let mut rest = vec![0; answer.len() - 1];
    std::io::Read::read_exact(&mut client.stream, &mut rest).unwrap();
    assert!(rest[HEADER_LEN..] == answer[HEADER_LEN + 1..], "the large answer is mixed with another frame");
    assert_eq!(client.result(2), Value::from("small"));
}
