//! Lanes: order, revocation, cancellation.

use gunmetal_dirty::link::{FromWorker, Hello, ToWorker};
use gunmetal_dirty::prelude::*;
use gunmetal_protocol::{Args, Header, MessageType, args};

use crate::app::{App, counter};
use crate::router::{Reply, Worker};

#[test]
fn a_broken_header_closes_the_lane_only() {
    let worker = Worker::start::<App>(1);
    let mut lane = worker.lane(1);
    lane.request(&[(1, "echo", args![1])]);
    lane.write(b"POST / HTTP/1.1\r\n\r\n");
    assert_eq!(lane.reply(), (1, Reply::Result(Value::Int(1))));
    assert_eq!(lane.frame(), None);
    assert_eq!(worker.lane(2).call(1, "echo", args![2]), Reply::Result(Value::Int(2)));
}

#[test]
fn a_stranger_is_shown_the_door() {
    let worker = Worker::start::<App>(1);
    let mut stranger = worker.control();
    stranger.write(b"what is this, and why does it not answer?");
    assert_eq!(stranger.frame(), None);
    assert_eq!(worker.lane(1).call(1, "echo", args![2]), Reply::Result(Value::Int(2)));
}

#[test]
fn replies_are_held_only_while_more_requests_wait() {
    let worker = Worker::start::<App>(1);
    let (mut control, mut lane) = (worker.control(), worker.lane(1));
    lane.request(&[(1, "echo", args![1]), (2, "wait", args!["held"]), (3, "echo", args![3])]);
    counter("held").wait_for(1);
    assert!(lane.is_silent(), "reply 1 waits for company");
    control.tell(&ToWorker::Revoke { lane: 1, upto: 3 });
    assert_eq!(control.message::<FromWorker>(), FromWorker::Revoked { lane: 1, first: 3 });
    assert_eq!(lane.reply(), (1, Reply::Result(Value::Int(1))), "sent by the steward");
    assert!(lane.is_silent());
    counter("held.go").add();
    assert_eq!(lane.reply(), (2, Reply::Result(Value::from("held"))));
    assert_eq!(lane.call(4, "calls", args![]), Reply::Result(Value::Int(1)), "3 never ran");
}

#[test]
fn what_was_revoked_never_runs() {
    let worker = Worker::start::<App>(1);
    let (mut control, mut lane) = (worker.control(), worker.lane(7));
    lane.request(&[(1, "wait", args!["revoked"])]);
    counter("revoked").wait_for(1);
    control.tell(&ToWorker::Revoke { lane: 7, upto: 3 });
    assert_eq!(control.message::<FromWorker>(), FromWorker::Revoked { lane: 7, first: 2 });
    lane.request(&[(2, "echo", args![2]), (3, "echo", args![3]), (4, "echo", args![4])]);
    counter("revoked.go").add();
    assert_eq!(lane.reply().0, 1);
    assert_eq!(lane.reply(), (4, Reply::Result(Value::Int(4))));
    assert_eq!(lane.call(5, "calls", args![]), Reply::Result(Value::Int(1)));
}

#[test]
fn closing_a_lane_cancels_its_call_and_frees_its_thread() {
    let worker = Worker::start::<App>(1);
    let mut lane = worker.lane(1);
    lane.request(&[(1, "until_cancelled", args!["cancel"]), (2, "echo", args![1])]);
    counter("cancel").wait_for(1);
    drop(lane);
    let mut lane = worker.lane(2);
    assert_eq!(counter("cancel.cancelled").count(), 1);
    assert_eq!(lane.call(1, "calls", args![]), Reply::Result(Value::Int(0)), "2 was dropped with the lane");
}

#[test]
fn a_lane_is_ready_only_when_a_thread_has_it() {
    let worker = Worker::start::<App>(1);
    let (mut control, mut first) = (worker.control(), worker.lane(1));
    first.request(&[(1, "wait", args!["busy"])]);
    counter("busy").wait_for(1);
    let mut second = worker.connect(&Hello::Lane { lane: 2 });
    // Until the steward has handed the second lane out, only the first has news.
    loop {
        control.tell(&ToWorker::Revoke { lane: 2, upto: 1 });
        control.tell(&ToWorker::Revoke { lane: 1, upto: 1 });
        if control.message::<FromWorker>() == (FromWorker::Revoked { lane: 2, first: 1 }) {
            break;
        }
    }
    assert!(second.is_silent());
    drop(first);
    counter("busy.go").add();
    second.expect_ready();
}

#[test]
fn closing_a_lane_drops_an_async_action() {
    let worker = Worker::start::<App>(1);
    let mut lane = worker.lane(1);
    assert_eq!(lane.call(1, "nap", args![]), Reply::Result(Value::from("awake")));
    lane.request(&[(2, "sleep", args!["async"])]);
    counter("async").wait_for(1);
    drop(lane);
    counter("async.dropped").wait_for(1);
    let _lane = worker.lane(2);
}

#[test]
fn lanes_overlap() {
    let worker = Worker::start::<App>(2);
    let (mut first, mut second) = (worker.lane(1), worker.lane(2));
    first.request(&[(1, "wait", args!["overlap"])]);
    counter("overlap").wait_for(1);
    assert_eq!(second.call(1, "echo", args![1]), Reply::Result(Value::Int(1)));
    counter("overlap.go").add();
    assert_eq!(first.reply().0, 1);
}

#[test]
fn half_a_request_then_the_end_runs_nothing() {
    let worker = Worker::start::<App>(1);
    let mut lane = worker.lane(1);
    let header = Header { message_type: MessageType::Request, payload_len: 1 << 20, request_id: 1 };
    lane.write(&header.encode());
    lane.write(&[0x21, 0, 0]);
    drop(lane);
    assert_eq!(worker.lane(2).call(1, "calls", Args::new()), Reply::Result(Value::Int(0)));
}
