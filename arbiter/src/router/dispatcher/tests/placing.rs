//! Which lane a call gets.

use super::*;

fn hand(lane: LaneId, seq: u64) -> Action {
    Action::Hand { lane, seq }
}

#[test]
fn an_idle_lane_takes_a_call_at_once() {
    let (mut bench, lanes) = Bench::with_lanes(2, None);
    assert_eq!(bench.call("x"), Admission::Hand { lane: lanes[0], seq: 1 });
    assert_eq!(bench.call("x"), Admission::Hand { lane: lanes[1], seq: 1 });
    assert_eq!(bench.call("x"), Admission::Queued);
    assert_eq!(bench.actions(), []);
    assert_eq!(bench.reply(lanes[1], 1), [hand(lanes[1], 2)]);
    assert_eq!(bench.dispatcher.body(lanes[1], 2), Some(&b"payload"[..]));
}

#[test]
fn calls_that_come_one_by_one_go_round() {
    let (mut bench, lanes) = Bench::with_lanes(3, None);
    let mut taken = Vec::new();
    for _ in 0..6 {
        let Admission::Hand { lane, seq } = bench.call("x") else { panic!("no lane is idle") };
        bench.reply(lane, seq);
        taken.push(lane);
    }
    assert_eq!(taken, [&lanes[..], &lanes[..]].concat());
}

#[test]
fn a_call_waits_while_its_worker_is_being_started() {
    let mut bench = Bench::new(None);
    assert_eq!(bench.call("x"), Admission::Queued);
    let lanes = bench.up(1, 1);
    bench.dispatcher.lane_ready(lanes[0], bench.now);
    assert_eq!(bench.actions(), [hand(lanes[0], 1)]);
}

#[test]
fn apps_that_cannot_be_served_are_refused_at_once() {
    let mut bench = Bench::new(None);
    let refused = |admission| match admission {
        Admission::Refused(failure) => failure,
        other => panic!("{other:?}"),
    };
    let unknown = refused(bench.request(1, "no:No", "x", Payload::Whole(b"")));
    let configured = ["a:A", "b:B", "off:Off"].map(str::to_owned).to_vec();
    assert_eq!(unknown, Failure::AppNotConfigured { app_path: "no:No".to_owned(), configured });
    let off = refused(bench.request(1, "off:Off", "x", Payload::Whole(b"")));
    assert!(matches!(off, Failure::AppUnavailable { .. }), "{off:?}");
}

#[test]
fn an_app_that_becomes_unavailable_answers_those_who_wait() {
    let mut bench = Bench::new(None);
    bench.call("x");
    bench.dispatcher.app_unavailable("a:A", "init fails".to_owned());
    let failure = Failure::AppUnavailable { app_path: "a:A".to_owned(), reason: "init fails".to_owned() };
    assert_eq!(bench.actions(), [Action::Fail { caller: caller(1), failure }]);
    assert!(matches!(bench.call("x"), Admission::Refused(_)));
    bench.up(1, 1);
    assert_eq!(bench.call("x"), Admission::Queued);
}

#[test]
fn a_worker_that_has_had_its_share_is_told_of_once_and_serves_on() {
    let mut bench = Bench::new(None);
    bench.max_calls = Some(2);
    let lanes = bench.up(1, 1);
    bench.dispatcher.lane_ready(lanes[0], bench.now);
    let mut serve = |seq| {
        assert_eq!(bench.call("x"), Admission::Hand { lane: lanes[0], seq });
        bench.reply(lanes[0], seq)
    };
    assert_eq!(serve(1), []);
    assert_eq!(serve(2), [Action::Served { worker: worker(1), calls: 2 }]);
    assert_eq!(serve(3), []);
}

#[test]
fn a_full_queue_answers_at_once() {
    let mut bench = Bench::new(None);
    for _ in 0..10 {
        assert_eq!(bench.call("x"), Admission::Queued);
    }
    let full = Failure::QueueFull { app_path: "a:A".to_owned(), limit: 10 };
    assert_eq!(bench.call("x"), Admission::Refused(full));
    assert_eq!(bench.request(99, "b:B", "x", Payload::Whole(b"")), Admission::Queued);
}

#[test]
fn all_queues_together_hold_a_bounded_number_of_bytes() {
    let mut bench =
        Bench::with(Limits { dirty_timeout: None, queue_len: 10, queued_bytes: 1000, max_wait: us(200) });
    assert_eq!(bench.request(1, "a:A", "x", Payload::Whole(&[0; 600])), Admission::Queued);
    let full = Failure::MemoryFull { limit: 1000 };
    assert_eq!(bench.request(2, "b:B", "x", Payload::Whole(&[0; 600])), Admission::Refused(full));
    bench.dispatcher.cancel(caller(1), bench.now);
    assert_eq!(bench.request(3, "b:B", "x", Payload::Whole(&[0; 600])), Admission::Queued);
}

#[test]
fn an_action_without_a_measured_time_is_alone_on_its_lane() {
    let (mut bench, lanes) = Bench::with_lanes(1, None);
    bench.learn("short", us(10));
    assert!(matches!(bench.call("new"), Admission::Hand { .. }));
    assert_eq!(bench.call("short"), Admission::Queued);
    assert_eq!(bench.actions(), [], "nothing behind an action without a measured time");
    let seq = bench.dispatcher.lane(lanes[0]).unwrap().last_seq;
    assert_eq!(bench.reply(lanes[0], seq), [hand(lanes[0], seq + 1)]);
    bench.call("newer");
    assert_eq!(bench.actions(), [], "no action without a measured time behind others");
}

#[test]
fn short_calls_wait_behind_others_up_to_the_limit() {
    let (mut bench, lanes) = Bench::with_lanes(1, None);
    bench.learn("short", us(30));
    let Admission::Hand { seq: first, .. } = bench.call("short") else { panic!("no lane is idle") };
    for _ in 0..10 {
        bench.call("short");
    }
    // 30 us for each before it: the seventh behind the first would wait for 210 us.
    let expected: Vec<_> = (1..=6).map(|behind| hand(lanes[0], first + behind)).collect();
    assert_eq!(bench.actions(), expected);
}

#[test]
fn no_lane_is_handed_more_than_its_bound() {
    let mut bench = Bench::with(Limits {
        dirty_timeout: None,
        queue_len: 1000,
        queued_bytes: 1 << 20,
        max_wait: us(200),
    });
    let lanes = bench.up(1, 1);
    bench.dispatcher.lane_ready(lanes[0], bench.now);
    bench.learn("short", Duration::ZERO);
    for _ in 0..200 {
        bench.call("short");
    }
    bench.actions();
    assert_eq!(bench.dispatcher.lane(lanes[0]).unwrap().handed.len(), 64);
}

#[test]
fn a_call_is_put_where_it_waits_least() {
    let (mut bench, lanes) = Bench::with_lanes(2, None);
    bench.learn("short", us(20));
    bench.learn("longer", us(90));
    let Admission::Hand { lane: long_lane, .. } = bench.call("longer") else { panic!("no lane is idle") };
    bench.call("short");
    let short_lane = *lanes.iter().find(|&&lane| lane != long_lane).unwrap();
    for _ in 0..4 {
        bench.call("short");
    }
    let on = |action: &Action, wanted| matches!(action, Action::Hand { lane, .. } if *lane == wanted);
    let actions = bench.actions();
    assert!(actions.len() == 4 && actions.iter().all(|action| on(action, short_lane)), "{actions:?}");
}

#[test]
fn long_actions_wait_for_an_idle_lane() {
    let (mut bench, _) = Bench::with_lanes(1, None);
    bench.learn("long", ms(5));
    bench.call("long");
    bench.call("long");
    assert_eq!(bench.actions(), []);
}

#[test]
fn the_oldest_call_of_all_apps_goes_first() {
    let (mut bench, lanes) = Bench::with_lanes(1, None);
    bench.call("x");
    for (request_id, app) in [(10, "b:B"), (11, "a:A"), (12, "b:B")] {
        bench.now += us(1);
        bench.request(request_id, app, "x", Payload::Whole(b""));
    }
    let mut served = Vec::new();
    for seq in 1..=3 {
        bench.reply(lanes[0], seq);
        served.push(bench.dispatcher.caller(lanes[0], seq + 1).unwrap().unwrap().request_id);
    }
    assert_eq!(served, [10, 11, 12]);
}

#[test]
fn answers_that_come_together_share_the_time() {
    let (mut bench, lanes) = Bench::with_lanes(1, None);
    bench.learn("short", us(20));
    for _ in 0..5 {
        bench.call("short");
    }
    bench.actions();
    bench.now += us(50);
    for seq in 101..=105 {
        bench.dispatcher.reply(lanes[0], seq, Reply::Whole, bench.now);
    }
    bench.actions();
    let action = bench.dispatcher.apps[0].actions.index("short");
    let expected = bench.dispatcher.apps[0].actions.expected(action).unwrap();
    assert!(expected > us(10) && expected < us(20), "{expected:?} after five in 50 us");
}

#[test]
fn a_stream_has_its_lane_for_itself() {
    let (mut bench, lanes) = Bench::with_lanes(1, None);
    bench.learn("both", us(20));
    bench.call("both");
    bench.call("both");
    bench.actions();
    bench.dispatcher.reply(lanes[0], 101, Reply::Chunk, bench.now);
    assert_eq!(bench.actions(), [Action::Revoke { lane: lanes[0], worker: worker(1), upto: 102 }]);
    bench.dispatcher.revoked(lanes[0], 102, bench.now);
    assert_eq!(bench.actions(), [], "it waits for the end of the stream");
    bench.dispatcher.reply(lanes[0], 101, Reply::End, bench.now);
    assert_eq!(bench.actions(), [hand(lanes[0], 103)]);
}

#[test]
fn a_drained_router_says_when_it_is_done() {
    let (mut bench, lanes) = Bench::with_lanes(1, None);
    bench.call("x");
    bench.call("x");
    bench.dispatcher.drain();
    assert_eq!(bench.actions(), []);
    assert_eq!(bench.call("x"), Admission::Refused(Failure::Stopping { app_path: "a:A".to_owned() }));
    assert_eq!(bench.reply(lanes[0], 1), [hand(lanes[0], 2)]);
    assert_eq!(bench.reply(lanes[0], 2), [Action::Finished]);
    assert_eq!(bench.actions(), []);
}
