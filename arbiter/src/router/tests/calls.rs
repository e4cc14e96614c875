//! Calls that succeed.

use std::time::{Duration, Instant};

use gunmetal_protocol::Value;

use super::rig::{Rig, request};

#[test]
fn a_call_goes_to_a_worker_and_its_answer_back() {
    let mut rig = Rig::new();
    let mut worker = rig.worker(1);
    let mut client = rig.client();
    client.call(77, "echo", "hello");
    assert_eq!(worker.lane().request(), (1, Value::from("hello")));
    worker.lane().respond(1, "world");
    assert_eq!(client.result(77), Value::from("world"));
}

#[test]
fn a_call_waits_for_its_app_to_come_up() {
    let mut rig = Rig::new();
    let mut client = rig.client();
    client.call(1, "echo", "early");
    let mut worker = rig.worker(1);
    worker.lane().echo();
    assert_eq!(client.result(1), Value::from("early"));
}

#[test]
fn requests_of_one_connection_are_served_side_by_side() {
    let mut rig = Rig::new();
    let mut worker = rig.worker(2);
    let mut client = rig.client();
    client.call(1, "slow", "one");
    client.call(2, "slow", "two");
    let mut lanes = worker.lanes.drain(..);
    let (mut first, mut second) = (lanes.next().unwrap(), lanes.next().unwrap());
    if first.peer.request().1 != Value::from("one") {
        std::mem::swap(&mut first, &mut second);
    } else {
        second.peer.request();
    }
    second.peer.respond(1, "two");
    assert_eq!(client.result(2), Value::from("two"));
    first.peer.respond(1, "one");
    assert_eq!(client.result(1), Value::from("one"));
}

#[test]
fn short_calls_are_handed_over_together() {
    // However slow this machine is, the action is short.
    let mut rig = Rig::with(|config| config.max_wait = Duration::from_secs(60));
    let mut worker = rig.worker(1);
    let mut client = rig.client();
    client.call(1, "echo", "to be measured");
    worker.lane().echo();
    client.result(1);
    // All in one write, so that the router sees them together.
    let mut frames = request(100, "a:A", "echo", 100);
    for id in 101..110 {
        frames.append(request(id, "a:A", "echo", i64::try_from(id).unwrap()));
    }
    client.send(frames);
    // None is answered before the second was handed over: on a lane that is handed one at a time this waits for ever.
    let (first, second) = (worker.lane().request(), worker.lane().request());
    worker.lane().respond(first.0, first.1);
    worker.lane().respond(second.0, second.1);
    assert_eq!((client.result(100), client.result(101)), (Value::from(100), Value::from(101)));
}

#[test]
fn an_idle_router_sleeps() {
    let mut rig = Rig::with(|config| config.dirty_timeout = Some(Duration::from_secs(30)));
    let mut worker = rig.worker(1);
    let mut clients: Vec<_> = (0..20).map(|_| rig.client()).collect();
    for client in &mut clients {
        client.call(1, "echo", "x");
        worker.lane().echo();
        client.result(1);
    }
    // What is left of the last call may wake it once more; then nothing does.
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let before = rig.sleep_count();
        std::thread::sleep(Duration::from_millis(300));
        if rig.sleep_count() == before {
            break;
        }
        assert!(Instant::now() < deadline, "it never sleeps for 300 ms");
    }
}
