//! How fast the router is by itself: run with `--release -- --ignored --nocapture speed`.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use gunmetal_protocol::{FrameDecoder, HEADER_LEN, Header, MessageType, Segments, Value, encode_response};

use super::rig::{Rig, request};

/// Answers every request of a lane with the same bytes; as a lane thread does, it holds answers back while it has more
/// requests.
fn serve(mut lane: UnixStream, answer: Vec<u8>) {
    let mut input = vec![0; 20 << 20];
    let (mut start, mut end) = (0, 0);
    let mut out = Vec::new();
    loop {
        let Ok(read) = lane.read(&mut input[end..]) else { return };
        if read == 0 {
            return;
        }
        end += read;
        while let Some(header) = input[start..end].first_chunk() {
            let header = Header::decode(header).unwrap();
            let len = HEADER_LEN + header.payload_len as usize;
            if end - start < len {
                break;
            }
            start += len;
            let payload_len = u32::try_from(answer.len()).unwrap();
            let header = Header { message_type: MessageType::Response, payload_len, ..header };
            out.extend_from_slice(&header.encode());
            out.extend_from_slice(&answer);
        }
        input.copy_within(start..end, 0);
        (start, end) = (0, end - start);
        if !out.is_empty() {
            lane.write_all(&out).unwrap();
            out.clear();
        }
    }
}

fn answer(result: Value) -> Vec<u8> {
    let mut frame = Segments::new();
    encode_response(0, &result, &mut frame).unwrap();
    frame.into_contiguous()[HEADER_LEN..].to_vec()
}

/// Calls per second with `in_flight` calls of one connection.
fn calls_per_second(client: &mut UnixStream, frame: &[u8], in_flight: usize, duration: Duration) -> f64 {
    let (begin, mut answered) = (Instant::now(), 0_u64);
    let (mut decoder, mut buf) = (FrameDecoder::new(), BytesMut::new());
    let mut bytes = vec![0; 1 << 20];
    client.write_all(&frame.repeat(in_flight)).unwrap();
    let mut outstanding = in_flight;
    while begin.elapsed() < duration || outstanding > 0 {
        let len = client.read(&mut bytes).unwrap();
        buf.extend_from_slice(&bytes[..len]);
        let mut got = 0;
        while let Some(frame) = decoder.next_frame(&mut buf).unwrap() {
            assert_eq!(frame.header.message_type, MessageType::Response);
            got += 1;
        }
        answered += got as u64;
        outstanding -= got;
        if begin.elapsed() < duration && got > 0 {
            client.write_all(&frame.repeat(got)).unwrap();
            outstanding += got;
        }
    }
    answered as f64 / begin.elapsed().as_secs_f64()
}

/// The same over two hops with nothing between: what the router is measured by.
fn relay(from: UnixStream, to: UnixStream) {
    for (mut from, mut to) in [(from.try_clone().unwrap(), to.try_clone().unwrap()), (to, from)] {
        let pass_on = move || {
            let mut bytes = vec![0; 256 << 10];
            while let Ok(len) = from.read(&mut bytes) {
                if len == 0 || to.write_all(&bytes[..len]).is_err() {
                    return;
                }
            }
        };
        std::thread::Builder::new().name("router".to_owned()).spawn(pass_on).unwrap();
    }
}

fn measure(what: &str, client: &mut UnixStream, frame: &[u8], in_flight: usize) {
    let (duration, before) = (Duration::from_millis(1500), router_time());
    let rate = calls_per_second(client, frame, in_flight, duration);
    let busy = router_time().saturating_sub(before).as_secs_f64() / (rate * duration.as_secs_f64()) * 1e6;
    let each = 1e6 / rate;
    println!(
        "{what}, {in_flight:2} in flight: {rate:9.0}/s, {each:.1} us each, {busy:.2} us of the router's time"
    );
}

/// Processor time of the router's threads: says more than the clock on a machine that does other things too.
fn router_time() -> Duration {
    let mut sum = Duration::ZERO;
    for task in std::fs::read_dir("/proc/self/task").unwrap() {
        let task = task.unwrap().path();
        if std::fs::read_to_string(task.join("comm")).is_ok_and(|name| name.trim() == "router") {
            let schedstat = std::fs::read_to_string(task.join("schedstat")).unwrap();
            sum += Duration::from_nanos(schedstat.split(' ').next().unwrap().parse().unwrap());
        }
    }
    sum
}

fn widen(stream: &UnixStream) {
    let _ = nix::sys::socket::setsockopt(stream, nix::sys::socket::sockopt::SndBuf, &(2 << 20));
}

#[test]
#[ignore = "a measurement"]
fn speed_of_relays() {
    for size in [64, 64 << 10, 1 << 20, 16 << 20] {
        let pairs = [UnixStream::pair().unwrap(), UnixStream::pair().unwrap()];
        let [(mut client, near), (far, worker)] = pairs;
        for stream in [&client, &near, &far, &worker] {
            widen(stream);
        }
        relay(near, far);
        let answer = answer(Value::from(bytes::Bytes::from(vec![7; size])));
        std::thread::spawn(|| serve(worker, answer));
        let frame = request(1, "a:A", "echo", bytes::Bytes::from(vec![7; size])).into_contiguous();
        for in_flight in [1, 16, 64] {
            if size > 64 << 10 && in_flight > 1 {
                continue;
            }
            measure(&format!("relay, {size} B"), &mut client, &frame, in_flight);
        }
    }
}

#[test]
#[ignore = "a measurement"]
fn speed_of_streams() {
    for size in [16, 64 << 10] {
        let mut rig = Rig::new();
        let mut worker = rig.worker(1);
        let mut client = rig.client();
        client.call(1, "stream", 0);
        worker.lane().request();
        let mut chunk = Segments::new();
        let data = Value::from(bytes::Bytes::from(vec![7; size]));
        gunmetal_protocol::encode_chunk(1, &data, &mut chunk).unwrap();
        let chunk = chunk.into_contiguous();
        let count = (256 << 20) / (size + 400);
        let mut lane = worker.lanes.pop_front().unwrap();
        widen(&lane.peer.stream);
        let (begin, before) = (Instant::now(), router_time());
        let writer = std::thread::spawn(move || {
            for _ in 0..count {
                lane.peer.stream.write_all(&chunk).unwrap();
            }
            lane
        });
        let (mut bytes, mut received) = (vec![0; 1 << 20], 0);
        let total = count * {
            let mut chunk = Segments::new();
            gunmetal_protocol::encode_chunk(1, &data, &mut chunk).unwrap();
            chunk.len()
        };
        while received < total {
            received += client.stream.read(&mut bytes).unwrap();
        }
        let seconds = begin.elapsed().as_secs_f64();
        let busy = router_time().saturating_sub(before).as_secs_f64() / count as f64 * 1e6;
        drop(writer.join().unwrap());
        let (rate, speed) = (count as f64 / seconds, total as f64 / seconds / 1e6);
        println!("stream of {size} B: {rate:.0} chunks/s, {speed:.0} MB/s, router busy {busy:.2} us a chunk");
    }
}

#[test]
#[ignore = "a measurement"]
fn speed_of_calls() {
    for (lanes, size) in [(1, 64), (2, 64), (1, 64 << 10), (1, 1 << 20), (1, 16 << 20)] {
        let mut rig = Rig::new();
        let mut worker = rig.worker(lanes);
        for lane in worker.lanes.drain(..) {
            lane.peer.stream.set_read_timeout(None).unwrap();
            let answer = answer(Value::from(bytes::Bytes::from(vec![7; size])));
            std::thread::spawn(move || {
                widen(&lane.peer.stream);
                serve(lane.peer.stream, answer)
            });
        }
        let frame = request(1, "a:A", "echo", bytes::Bytes::from(vec![7; size])).into_contiguous();
        let mut client = rig.client().stream;
        widen(&client);
        for in_flight in [1, 16, 64] {
            if size > 64 << 10 && in_flight > 1 {
                continue;
            }
            measure(&format!("{lanes} lanes, {size} B"), &mut client, &frame, in_flight);
        }
    }
}
