//! Time limits, ends of workers, cancellation.

use super::*;

const LIMIT: Duration = Duration::from_secs(30);

fn fail(request_id: u64, failure: Failure) -> Action {
    Action::Fail { caller: caller(request_id), failure }
}

fn lost(cause: &str) -> Failure {
    Failure::WorkerLost { pid: 1001, cause: cause.to_owned() }
}

/// The lane that replaces one that was closed.
fn reopened(actions: &[Action], closed: LaneId) -> LaneId {
    let at = actions.iter().position(|action| *action == Action::CloseLane { lane: closed });
    match at.and_then(|at| actions.get(at + 1)) {
        Some(&Action::OpenLane { lane, .. }) => lane,
        _ => panic!("lane not closed and opened again: {actions:?}"),
    }
}

#[test]
fn an_action_past_the_limit_fails_at_that_instant_and_loses_its_lane() {
    let (mut bench, lanes) = Bench::with_lanes(1, Some(LIMIT));
    bench.call("slow");
    assert_eq!(bench.pass(LIMIT - us(1)), []);
    let actions = bench.pass(us(1));
    assert_eq!(actions[0], fail(1, Failure::ActionTimeout { limit: LIMIT }));
    let lane = reopened(&actions, lanes[0]);
    bench.dispatcher.lane_ready(lane, bench.now);
    assert_eq!(bench.pass(LIMIT), [], "it came back in time");
    assert!(matches!(bench.call("x"), Admission::Hand { lane: idle, .. } if idle == lane));
}

#[test]
fn a_worker_that_does_not_let_go_is_condemned() {
    let (mut bench, lanes) = Bench::with_lanes(2, Some(LIMIT));
    bench.call("slow");
    bench.now += ms(500);
    bench.call("slower");
    reopened(&bench.pass(LIMIT - ms(500)), lanes[0]);
    let later = bench.pass(ms(500));
    assert_eq!(later[0], fail(2, Failure::ActionTimeout { limit: LIMIT }));
    let actions = bench.pass(ms(500));
    assert!(matches!(&actions[0], Action::Condemn { worker: w, .. } if *w == worker(1)), "{actions:?}");
    assert_eq!(actions[1], Action::Drained { worker: worker(1) });
    assert_eq!(bench.call("x"), Admission::Queued);
    assert_eq!(bench.actions(), []);
}

#[test]
fn a_condemned_worker_finishes_what_its_other_lanes_do() {
    let (mut bench, lanes) = Bench::with_lanes(2, None);
    bench.call("hangs");
    bench.call("works");
    bench.dispatcher.cancel(caller(1), bench.now);
    reopened(&bench.actions(), lanes[0]);
    let actions = bench.pass(ms(1000));
    assert!(matches!(&actions[..], [Action::Condemn { .. }]), "{actions:?}");
    assert_eq!(bench.reply(lanes[1], 1), [Action::Drained { worker: worker(1) }]);
}

#[test]
fn a_call_that_waits_past_the_limit_fails() {
    let mut bench = Bench::new(Some(LIMIT));
    bench.call("x");
    bench.pass(ms(10));
    bench.call("x");
    assert_eq!(bench.pass(LIMIT - ms(10)), [fail(1, Failure::QueueTimeout { limit: LIMIT })]);
    assert_eq!(bench.pass(ms(10)), [fail(2, Failure::QueueTimeout { limit: LIMIT })]);
}

#[test]
fn a_stream_may_take_its_time_between_chunks_and_its_client_as_long_as_it_likes() {
    let (mut bench, lanes) = Bench::with_lanes(1, Some(LIMIT));
    bench.call("stream");
    for _ in 0..3 {
        assert_eq!(bench.pass(LIMIT - ms(1)), []);
        bench.dispatcher.reply(lanes[0], 1, Reply::Chunk, bench.now);
    }
    bench.dispatcher.lane_paused(lanes[0], bench.now);
    assert_eq!(bench.pass(LIMIT * 10), []);
    bench.dispatcher.lane_resumed(lanes[0], bench.now);
    assert_eq!(bench.pass(LIMIT - ms(1)), []);
    assert_eq!(bench.pass(ms(1))[0], fail(1, Failure::ActionTimeout { limit: LIMIT }));
}

#[test]
fn a_stalled_lane_gives_back_what_waits_behind_in_order() {
    let (mut bench, lanes) = Bench::with_lanes(1, None);
    bench.learn("short", us(10));
    for _ in 0..4 {
        bench.call("short");
    }
    bench.actions();
    assert_eq!(bench.pass(us(999)), []);
    assert_eq!(bench.pass(us(1)), [Action::Revoke { lane: lanes[0], worker: worker(1), upto: 104 }]);
    bench.call("short");
    assert_eq!(bench.pass(ms(10)), [], "nothing more is handed to a stalled lane");
    bench.dispatcher.revoked(lanes[0], 102, bench.now);
    assert_eq!(bench.actions(), []);
    let other = bench.up(2, 1)[0];
    bench.dispatcher.lane_ready(other, bench.now);
    bench.actions();
    let served: Vec<_> =
        (1..=4).map(|seq| bench.dispatcher.lane(other).unwrap().handed(seq).unwrap().call.caller).collect();
    assert_eq!(served, [102, 103, 104, 105].map(|id| Some(caller(id))));
}

#[test]
fn a_worker_that_does_not_answer_a_revocation_is_condemned() {
    let (mut bench, _) = Bench::with_lanes(1, None);
    bench.learn("short", us(10));
    bench.call("short");
    bench.call("short");
    bench.actions();
    let actions = bench.pass(ms(1100));
    assert!(matches!(&actions[..], [Action::Revoke { .. }, Action::Condemn { .. }]), "{actions:?}");
}

#[test]
fn the_death_of_a_worker_fails_its_running_call_with_the_cause() {
    let (mut bench, lanes) = Bench::with_lanes(1, None);
    bench.call("x");
    bench.call("x");
    bench.dispatcher.lane_ended(lanes[0], 23, bench.now);
    assert_eq!(bench.actions(), [], "the cause is still to come");
    bench.now += ms(20);
    bench.dispatcher.worker_gone(worker(1), "was killed by SIGKILL".to_owned(), bench.now);
    let actions = bench.actions();
    assert_eq!(actions, [fail(1, lost("was killed by SIGKILL")), Action::CloseLane { lane: lanes[0] }]);
    let lane = bench.up(2, 1)[0];
    bench.dispatcher.lane_ready(lane, bench.now);
    assert_eq!(bench.actions(), [Action::Hand { lane, seq: 1 }], "who was not sent to it goes elsewhere");
}

#[test]
fn the_cause_may_come_before_the_end_of_the_connection() {
    let (mut bench, lanes) = Bench::with_lanes(2, None);
    bench.call("answered");
    bench.call("running");
    bench.dispatcher.worker_gone(worker(1), "exited".to_owned(), bench.now);
    assert_eq!(bench.actions(), []);
    assert_eq!(bench.reply(lanes[0], 1), [], "an answer that was still in the socket");
    bench.dispatcher.lane_ended(lanes[1], 23, bench.now);
    assert_eq!(bench.actions(), [fail(2, lost("exited")), Action::CloseLane { lane: lanes[1] }]);
    assert_eq!(bench.pass(ms(50)), [Action::CloseLane { lane: lanes[0] }]);
    assert_eq!(bench.dispatcher.workers(), []);
}

#[test]
fn a_connection_that_ends_without_a_reason_fails_its_call_and_is_opened_again() {
    let (mut bench, lanes) = Bench::with_lanes(1, None);
    bench.call("x");
    bench.dispatcher.lane_ended(lanes[0], 23, bench.now);
    assert_eq!(bench.pass(ms(49)), []);
    let actions = bench.pass(ms(1));
    assert_eq!(actions[0], fail(1, lost("can't be reached: connection to worker lost")));
    reopened(&actions, lanes[0]);
}

#[test]
fn calls_that_did_not_leave_the_router_whole_are_served_elsewhere() {
    let (mut bench, lanes) = Bench::with_lanes(1, None);
    bench.learn("short", us(10));
    for _ in 0..3 {
        bench.call("short");
    }
    bench.actions();
    // Frames of 23 bytes: the second of the three was cut.
    bench.dispatcher.lane_ended(lanes[0], 101 * 23 + 22, bench.now);
    bench.dispatcher.worker_gone(worker(1), "exited".to_owned(), bench.now);
    let failed: Vec<_> = bench.actions().into_iter().filter(|a| matches!(a, Action::Fail { .. })).collect();
    assert_eq!(failed, [fail(101, lost("exited"))]);
    assert_eq!(bench.dispatcher.apps[0].queue.len(), 2);
}

#[test]
fn a_cancelled_call_that_waits_is_dropped() {
    let mut bench = Bench::new(None);
    bench.call("x");
    bench.call("x");
    bench.dispatcher.cancel(caller(1), bench.now);
    let lane = bench.up(1, 1)[0];
    bench.dispatcher.lane_ready(lane, bench.now);
    bench.actions();
    assert_eq!(bench.dispatcher.caller(lane, 1).unwrap(), Some(caller(2)));
}

#[test]
fn a_cancelled_call_that_runs_loses_its_lane() {
    let (mut bench, lanes) = Bench::with_lanes(1, None);
    bench.call("x");
    bench.dispatcher.cancel(caller(1), bench.now);
    reopened(&bench.actions(), lanes[0]);
    assert_eq!(bench.dispatcher.caller(lanes[0], 1), Ok(None), "an answer that crosses it is dropped");
}

#[test]
fn a_client_that_leaves_takes_all_its_calls_along_and_no_others() {
    let (mut bench, lanes) = Bench::with_lanes(2, None);
    for _ in 0..6 {
        bench.call("x");
    }
    // Callers 1 and 4 belong to client 1, as 2 and 5 to client 2.
    bench.dispatcher.client_gone(ClientId(1), bench.now);
    reopened(&bench.actions(), lanes[0]);
    let waiting: Vec<_> =
        bench.dispatcher.apps[0].queue.iter().map(|call| call.caller.unwrap().request_id).collect();
    assert_eq!(waiting, [3, 5, 6]);
}

#[test]
fn who_waits_behind_a_cancelled_call_is_taken_back_before_the_lane_is_closed() {
    let (mut bench, lanes) = Bench::with_lanes(1, None);
    bench.learn("short", us(10));
    bench.call("short");
    bench.call("short");
    bench.actions();
    bench.dispatcher.cancel(caller(101), bench.now);
    assert_eq!(bench.actions(), [], "a short call is over sooner than a lane is replaced");
    assert_eq!(bench.pass(ms(1)), [Action::Revoke { lane: lanes[0], worker: worker(1), upto: 102 }]);
    bench.dispatcher.revoked(lanes[0], 102, bench.now);
    let actions = bench.actions();
    let lane = reopened(&actions, lanes[0]);
    bench.dispatcher.lane_ready(lane, bench.now);
    assert_eq!(bench.actions(), [Action::Hand { lane, seq: 1 }]);
    assert_eq!(bench.dispatcher.caller(lane, 1).unwrap(), Some(caller(102)));
}

#[test]
fn a_sender_that_stops_half_way_loses_its_lane_sooner_if_others_wait() {
    for (others, patience) in [(true, ms(1_000)), (false, ms(30_000))] {
        let (mut bench, lanes) = Bench::with_lanes(1, None);
        assert!(matches!(bench.upload(1 << 20), Admission::Hand { .. }));
        bench.pass(ms(10));
        bench.dispatcher.moved(lanes[0], bench.now);
        if others {
            bench.call("x");
        }
        assert_eq!(bench.pass(patience - ms(1)), []);
        let actions = bench.pass(ms(1));
        assert_eq!(actions[0], fail(1, Failure::UploadStalled { limit: patience }));
        reopened(&actions, lanes[0]);
    }
}

#[test]
fn a_reader_that_takes_nothing_loses_its_lane_once_another_call_starves() {
    let (mut bench, lanes) = Bench::with_lanes(1, None);
    bench.call("stream");
    bench.dispatcher.reply(lanes[0], 1, Reply::Chunk, bench.now);
    bench.dispatcher.lane_paused(lanes[0], bench.now);
    assert_eq!(bench.pass(ms(60_000)), [], "nobody minds");
    bench.call("x");
    assert_eq!(bench.pass(ms(999)), []);
    let actions = bench.pass(ms(1));
    assert_eq!(actions[0], fail(1, Failure::ReaderStalled { limit: ms(61_000) }));
    reopened(&actions, lanes[0]);
}

#[test]
fn a_slow_reader_keeps_its_lane_as_long_as_it_reads() {
    let (mut bench, lanes) = Bench::with_lanes(1, None);
    bench.call("stream");
    bench.dispatcher.reply(lanes[0], 1, Reply::Chunk, bench.now);
    bench.call("x");
    for _ in 0..10 {
        bench.dispatcher.lane_paused(lanes[0], bench.now);
        assert_eq!(bench.pass(ms(4_999)), []);
        bench.dispatcher.lane_resumed(lanes[0], bench.now);
        bench.dispatcher.reply(lanes[0], 1, Reply::Chunk, bench.now);
    }
}

#[test]
fn the_limit_runs_from_the_end_of_an_upload() {
    let (mut bench, lanes) = Bench::with_lanes(1, Some(LIMIT));
    bench.upload(1 << 20);
    for _ in 0..5 {
        assert_eq!(bench.pass(ms(20_000)), []);
        bench.dispatcher.moved(lanes[0], bench.now);
    }
    bench.dispatcher.upload_done(lanes[0], bench.now);
    assert_eq!(bench.pass(LIMIT - ms(1)), []);
    assert_eq!(bench.pass(ms(1))[0], fail(1, Failure::ActionTimeout { limit: LIMIT }));
}

#[test]
fn a_waiting_upload_is_granted_an_idle_lane_only() {
    let (mut bench, lanes) = Bench::with_lanes(1, None);
    bench.learn("short", us(10));
    bench.call("short");
    assert_eq!(bench.upload(1 << 20), Admission::Queued);
    bench.call("short");
    assert_eq!(bench.actions(), []);
    let grant = Action::Grant { lane: lanes[0], seq: 102, client: caller(102).client };
    assert_eq!(bench.reply(lanes[0], 101), [grant]);
}

#[test]
fn a_stopping_worker_gets_nothing_new_and_says_when_it_is_done() {
    let (mut bench, lanes) = Bench::with_lanes(2, None);
    bench.call("x");
    bench.dispatcher.worker_stopping(worker(1));
    assert_eq!(bench.actions(), []);
    assert_eq!(bench.call("x"), Admission::Queued);
    assert_eq!(bench.reply(lanes[0], 1), [Action::Drained { worker: worker(1) }]);
}

#[test]
fn an_idle_stopping_worker_is_done_at_once() {
    let (mut bench, _) = Bench::with_lanes(2, None);
    bench.dispatcher.worker_stopping(worker(1));
    assert_eq!(bench.actions(), [Action::Drained { worker: worker(1) }]);
}

#[test]
fn an_answer_out_of_order_is_a_violation() {
    let (mut bench, lanes) = Bench::with_lanes(1, None);
    let violation = bench.dispatcher.caller(lanes[0], 1).unwrap_err();
    assert_eq!((violation.found, violation.expected), (1, None));
    bench.call("x");
    let violation = bench.dispatcher.caller(lanes[0], 2).unwrap_err();
    assert_eq!((violation.found, violation.expected), (2, Some(1)));
}
