//! Workers that die or hang, clients that leave, time limits.

use std::io::Write;
use std::time::{Duration, Instant};

use gunmetal_dirty::link::ToWorker;
use gunmetal_protocol::{ErrorType, Header, MessageType, Segments, Value, encode_cancel, encode_end};

use super::rig::{Rig, request};
use crate::link::{FromRouter, ToRouter};

#[test]
fn the_death_of_a_worker_fails_its_call_with_the_cause_and_the_next_takes_who_waits() {
    let mut rig = Rig::new();
    let mut worker = rig.worker(1);
    let mut client = rig.client();
    client.call(1, "slow", "first");
    client.call(2, "slow", "second");
    worker.lane().request();
    let id = worker.die();
    rig.gone(id, "was killed by SIGKILL");
    let error = client.error(1);
    assert_eq!(
        (&error.error_type, &*error.message),
        (&ErrorType::Worker, "Worker 1001 was killed by SIGKILL")
    );
    assert_eq!(error.worker_id(), Some(&Value::Int(1001)));
    let mut next = rig.worker(1);
    next.lane().echo();
    assert_eq!(client.result(2), Value::from("second"));
}

#[test]
fn an_answer_that_was_written_before_the_death_arrives() {
    let mut rig = Rig::new();
    let mut worker = rig.worker(1);
    let mut client = rig.client();
    client.call(1, "slow", "x");
    worker.lane().request();
    worker.lane().respond(1, "just in time");
    let id = worker.die();
    rig.gone(id, "was killed by SIGKILL");
    assert_eq!(client.result(1), Value::from("just in time"));
}

#[test]
fn a_call_past_the_limit_fails_and_its_lane_is_opened_anew() {
    let mut rig = Rig::with(|config| config.dirty_timeout = Some(Duration::from_millis(200)));
    let mut worker = rig.worker(1);
    let mut client = rig.client();
    let begin = Instant::now();
    client.call(1, "hang", "x");
    worker.lane().request();
    let error = client.error(1);
    assert!(begin.elapsed() >= Duration::from_millis(200));
    assert_eq!((&error.error_type, &*error.message), (&ErrorType::Timeout, "Worker timeout"));
    assert_eq!(error.details.get("timeout"), Some(&Value::Float(0.2)));
    assert!(worker.lanes.pop_front().unwrap().peer.ends(), "the lane is closed: that cancels the action");
    worker.accept();
    client.call(2, "echo", "again");
    worker.lane().echo();
    assert_eq!(client.result(2), Value::from("again"));
}

#[test]
fn a_worker_that_hangs_is_condemned() {
    let mut rig = Rig::with(|config| config.dirty_timeout = Some(Duration::from_millis(50)));
    let mut worker = rig.worker(1);
    let mut client = rig.client();
    client.call(1, "hang", "x");
    client.error(1);
    // The connection is taken up, but no thread is there to serve it.
    let _silent = worker.accept_silently();
    let FromRouter::Condemn { worker: condemned, .. } = rig.heard() else { panic!("not condemned") };
    assert_eq!(condemned, worker.id);
    assert_eq!(rig.heard(), FromRouter::Drained { worker: worker.id });
}

#[test]
fn a_client_that_leaves_cancels_its_calls() {
    let mut rig = Rig::new();
    let mut worker = rig.worker(1);
    let mut client = rig.client();
    client.call(1, "slow", "runs");
    client.call(2, "slow", "waits");
    worker.lane().request();
    drop(client);
    assert!(worker.lanes.pop_front().unwrap().peer.ends());
    worker.accept();
    let mut other = rig.client();
    other.call(1, "echo", "mine");
    assert_eq!(worker.lane().request().1, Value::from("mine"), "the call that waited is forgotten");
}

#[test]
fn a_cancelled_call_ends_and_its_connection_lives() {
    let mut rig = Rig::new();
    let mut worker = rig.worker(1);
    let mut client = rig.client();
    client.call(1, "slow", "x");
    worker.lane().request();
    let mut frames = Segments::new();
    encode_cancel(1, &mut frames);
    encode_cancel(99, &mut frames);
    client.send(frames);
    assert!(worker.lanes.pop_front().unwrap().peer.ends());
    worker.accept();
    client.call(2, "echo", "y");
    worker.lane().echo();
    assert_eq!(client.result(2), Value::from("y"));
}

#[test]
fn calls_behind_one_that_takes_long_are_served_by_another_worker() {
    // However slow this machine is, the action is short.
    let mut rig = Rig::with(|config| config.max_wait = Duration::from_secs(60));
    let mut worker = rig.worker_with_control(1);
    let mut client = rig.client();
    client.call(1, "echo", "to be measured");
    worker.lane().echo();
    client.result(1);
    let mut frames = request(100, "a:A", "echo", "stalls");
    frames.append(request(101, "a:A", "echo", "moves on"));
    client.send(frames);
    let (seq, _) = worker.lane().request();
    worker.lane().request();
    let ToWorker::Revoke { upto, .. } = worker.revoked_from(seq + 1) else { panic!("not revoked") };
    assert_eq!(upto, seq + 1);
    let mut other = rig.worker(1);
    other.lane().echo();
    assert_eq!(client.result(101), Value::from("moves on"));
    worker.lane().respond(seq, "at last");
    assert_eq!(client.result(100), Value::from("at last"));
}

#[test]
fn a_worker_that_dies_within_a_large_answer_ends_the_connection() {
    let mut rig = Rig::new();
    let mut worker = rig.worker(1);
    let mut client = rig.client();
    client.call(1, "large", "x");
    worker.lane().request();
    worker.lane().send_header(MessageType::Response, 1, 1 << 20);
    worker.lane().stream.write_all(&[7; 300_000]).unwrap();
    let id = worker.die();
    rig.gone(id, "was killed by SIGKILL");
    let begun = client.try_frame();
    assert!(matches!(begun, Ok(None)) || begun.is_err(), "a frame that can't be complete: {begun:?}");
}

#[test]
fn a_stream_ends_with_an_error_when_its_worker_dies() {
    let mut rig = Rig::new();
    let mut worker = rig.worker(1);
    let mut client = rig.client();
    client.call(1, "stream", "x");
    worker.lane().request();
    worker.lane().send_chunk(1, "one");
    worker.lane().send_chunk(1, "two");
    let id = worker.die();
    rig.gone(id, "exited with code 1");
    assert_eq!((client.chunk(1), client.chunk(1)), (Value::from("one"), Value::from("two")));
    assert_eq!(&*client.error(1).message, "Worker 1001 exited with code 1");
}

#[test]
fn a_slow_reader_holds_up_its_own_stream_and_nobody_else() {
    let mut rig = Rig::new();
    let mut worker = rig.worker(2);
    let mut slow = rig.client();
    slow.call(1, "stream", "x");
    // Whichever lane it is: the one that a request comes in on.
    let mut stream = worker.lanes.pop_front().unwrap();
    let mut other = worker.lanes.pop_front().unwrap();
    if stream.peer.is_silent_for(Duration::from_millis(100)) {
        std::mem::swap(&mut stream, &mut other);
        stream.peer.request();
    }
    let chunk = {
        let mut frame = Segments::new();
        let data = Value::from(bytes::Bytes::from(vec![7; 60_000]));
        gunmetal_protocol::encode_chunk(1, &data, &mut frame).unwrap();
        frame.into_contiguous()
    };
    stream.peer.stream.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
    let mut accepted = 0_usize;
    let mut cut = &chunk[..];
    while accepted < 64 << 20 {
        match stream.peer.stream.write(cut) {
            Ok(len) => {
                accepted += len;
                cut = if len == cut.len() { &chunk } else { &cut[len..] };
            }
            Err(_) => break,
        }
    }
    assert!(accepted < 32 << 20, "the producer was never stopped: {accepted} bytes");
    let mut quick = rig.client();
    quick.call(9, "echo", "quick");
    other.peer.echo();
    assert_eq!(quick.result(9), Value::from("quick"));
    // All that was accepted arrives.
    stream.peer.stream.set_write_timeout(None).unwrap();
    let writer = std::thread::spawn({
        let rest = cut.to_vec();
        move || {
            stream.peer.stream.write_all(&rest).unwrap();
            let mut frame = Segments::new();
            encode_end(1, &mut frame);
            stream.peer.send(frame);
            stream
        }
    });
    let (mut received, mut last) = (0, MessageType::Chunk);
    while last == MessageType::Chunk {
        let frame = slow.frame();
        received += 16 + frame.payload.len();
        last = frame.header.message_type;
    }
    let _stream = writer.join().unwrap();
    assert_eq!(last, MessageType::End);
    assert!(received > accepted, "{received} of {accepted}");
}

#[test]
fn a_stopping_worker_is_drained() {
    let mut rig = Rig::new();
    let mut worker = rig.worker(1);
    let mut client = rig.client();
    client.call(1, "slow", "x");
    worker.lane().request();
    let idle = rig.worker(1);
    rig.tell(&ToRouter::WorkerStopping { worker: worker.id });
    rig.tell(&ToRouter::WorkerStopping { worker: idle.id });
    // So the first has been heard as well, and call 2 can't slip in before it.
    assert_eq!(rig.heard(), FromRouter::Drained { worker: idle.id });
    client.call(2, "echo", "y");
    worker.lane().respond(1, "done");
    assert_eq!(client.result(1), Value::from("done"));
    assert_eq!(rig.heard(), FromRouter::Drained { worker: worker.id });
    let mut next = rig.worker(1);
    next.lane().echo();
    assert_eq!(client.result(2), Value::from("y"));
}

#[test]
fn a_router_that_drains_answers_what_it_has_and_ends() {
    let mut rig = Rig::new();
    let mut worker = rig.worker(1);
    let mut client = rig.client();
    client.call(1, "slow", "runs");
    client.call(2, "slow", "waits");
    worker.lane().request();
    rig.tell(&ToRouter::DrainAll);
    worker.lane().respond(1, "one");
    worker.lane().echo();
    assert_eq!((client.result(1), client.result(2)), (Value::from("one"), Value::from("waits")));
    rig.outcome().unwrap();
    assert!(client.ends());
}

#[test]
fn a_router_ends_when_it_is_told_to_and_when_its_parent_is_gone() {
    let mut rig = Rig::new();
    rig.tell(&ToRouter::Stop);
    rig.outcome().unwrap();
    let mut rig = Rig::new();
    rig.parent.stream.shutdown(std::net::Shutdown::Both).unwrap();
    rig.outcome().unwrap();
}

#[test]
fn a_router_that_is_told_to_stop_tells_those_who_wait() {
    let mut rig = Rig::new();
    let mut worker = rig.worker(1);
    let (mut client, mut queued) = (rig.client(), rig.client());
    client.call(1, "slow", "runs");
    worker.lane().request();
    queued.call(2, "slow", "waits");
    queued.stream.write_all(&request(3, "no:App", "x", "x").into_contiguous()).unwrap();
    queued.error(3);
    rig.tell(&ToRouter::Stop);
    let error = client.error(1);
    assert_eq!(
        (&error.error_type, &*error.message),
        (&ErrorType::Dirty, "the service stopped before the call had finished")
    );
    let error = queued.error(2);
    assert_eq!(error.error_type, ErrorType::NoWorkersAvailable);
    assert_eq!(error.details.get("reason"), Some(&Value::from("stopping")));
    rig.outcome().unwrap();
    assert!(client.ends() && queued.ends());
}

#[test]
fn a_worker_that_is_gone_is_left_to_its_parent() {
    let mut rig = Rig::new();
    let worker = rig.worker(2);
    let mut client = rig.client();
    let id = worker.die();
    // Longer than a thread has to take up a new connection.
    std::thread::sleep(Duration::from_millis(1300));
    let mut next = rig.worker(1);
    client.call(1, "echo", "x");
    next.lane().echo();
    assert_eq!(client.result(1), Value::from("x"));
    assert!(rig.parent.is_silent_for(Duration::from_millis(100)), "the worker was condemned");
    rig.gone(id, "was killed by SIGKILL");
}

#[test]
fn a_worker_that_answers_out_of_order_loses_its_lane() {
    let mut rig = Rig::new();
    let mut worker = rig.worker(1);
    let mut client = rig.client();
    client.call(1, "slow", "x");
    worker.lane().request();
    let stray = Header { message_type: MessageType::End, payload_len: 0, request_id: 7 };
    worker.lane().stream.write_all(&stray.encode()).unwrap();
    let error = client.error(1);
    assert_eq!(error.error_type, ErrorType::Worker);
    worker.lanes.clear();
    worker.accept();
}
