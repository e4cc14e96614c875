//! From `init` to `close`.

use std::io;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use gunmetal_dirty::AppFactory;
use gunmetal_dirty::link::{FromWorker, ToWorker};
use gunmetal_dirty::prelude::*;
use gunmetal_dirty::worker::{Fate, Heartbeat, Lifeline, Station, WorkerExit};
use gunmetal_protocol::args;

use crate::app::{App, counter};
use crate::router::{Counter, Reply, Worker};

#[test]
fn a_failing_init_is_reported_and_exits_with_3() {
    struct Broken;
    #[dirty_app]
    impl Broken {
        fn init() -> Result<Self> {
            Err("no such model")?
        }
    }
    let mut worker = Worker::start::<Broken>(1);
    assert_eq!(worker.readiness(), "Einit of tests:App failed: no such model");
    assert_eq!(worker.exit().code(), 3);
}

#[test]
fn a_panicking_init_is_reported_and_closes_the_apps_before_it() {
    struct Panicking;
    #[dirty_app]
    impl Panicking {
        fn init() -> Self {
            panic!("out of luck")
        }
    }
    let before = counter("closed").count();
    let apps = vec![
        ("tests:App".to_owned(), AppFactory::of::<App>()),
        ("tests:Panicking".to_owned(), AppFactory::of::<Panicking>()),
    ];
    let mut worker = Worker::with(1, apps, |_| ());
    assert_eq!(worker.readiness(), "Einit of tests:Panicking failed: panicked: out of luck");
    assert_eq!(worker.exit().code(), 3);
    assert!(counter("closed").count() > before);
}

#[test]
fn a_stop_during_init_does_not_wait_for_it() {
    struct Slow;
    #[dirty_app]
    impl Slow {
        fn init() -> Self {
            counter("slow init").add();
            counter("slow init.go").wait_for(1);
            Slow
        }
    }
    let mut worker = Worker::start::<Slow>(1);
    counter("slow init").wait_for(1);
    worker.stop().drain();
    assert_eq!(worker.exit(), WorkerExit::Immediate);
    counter("slow init.go").add();
}

#[test]
fn draining_finishes_what_runs_and_takes_back_the_rest() {
    let mut worker = Worker::start::<App>(2);
    let (mut control, mut busy, mut idle) = (worker.control(), worker.lane(1), worker.lane(2));
    busy.request(&[(1, "echo", args![1]), (2, "wait", args!["drain"]), (3, "echo", args![3])]);
    counter("drain").wait_for(1);
    worker.stop().drain();
    let mut revoked = [control.message::<FromWorker>(), control.message()];
    revoked.sort_by_key(|FromWorker::Revoked { lane, .. }| *lane);
    assert_eq!(
        revoked,
        [FromWorker::Revoked { lane: 1, first: 3 }, FromWorker::Revoked { lane: 2, first: 1 }]
    );
    assert_eq!(idle.frame(), None);
    assert_eq!(busy.reply().0, 1);
    counter("drain.go").add();
    assert_eq!(busy.reply(), (2, Reply::Result(Value::from("drain"))));
    assert_eq!(busy.frame(), None);
    assert_eq!(worker.exit(), WorkerExit::Drained);
}

#[test]
fn a_drained_worker_closes_its_apps() {
    let before = counter("closed").count();
    let mut worker = Worker::start::<App>(1);
    let mut control = worker.control();
    control.tell(&ToWorker::Drain);
    assert_eq!(worker.exit(), WorkerExit::Drained);
    assert!(counter("closed").count() > before);
}

#[test]
fn quitting_waits_for_nothing() {
    let mut worker = Worker::start::<App>(1);
    let mut lane = worker.lane(1);
    lane.request(&[(1, "wait", args!["quit"])]);
    counter("quit").wait_for(1);
    worker.stop().drain();
    worker.stop().quit();
    assert_eq!(worker.exit(), WorkerExit::Immediate);
    counter("quit.go").add();
}

#[test]
fn the_heart_beats_while_every_lane_is_busy() {
    let beats = Counter::default();
    let beat = beats.clone();
    let apps = vec![("tests:App".to_owned(), AppFactory::of::<App>())];
    let worker = Worker::with(1, apps, |config| {
        let beat = Box::new(move || {
            beat.add();
        });
        config.heartbeat = Some(Heartbeat { interval: Duration::from_millis(1), beat });
    });
    let mut lane = worker.lane(1);
    lane.request(&[(1, "wait", args!["heart"])]);
    counter("heart").wait_for(1);
    beats.wait_for(beats.count() + 3);
    counter("heart.go").add();
}

#[test]
fn state_outlives_the_router() {
    let worker = Worker::start::<App>(1);
    let (control, mut lane) = (worker.control(), worker.lane(1));
    assert_eq!(lane.call(1, "echo", args![1]), Reply::Result(Value::Int(1)));
    drop((control, lane));
    // The next router uses the same names.
    let (_control, mut lane) = (worker.control(), worker.lane(1));
    assert_eq!(lane.call(1, "calls", args![]), Reply::Result(Value::Int(1)));
}

/// A lifeline whose stations are reported to the test; its parent lives until the writer is dropped.
fn lifeline(orphaned: Fate) -> (Lifeline, io::PipeWriter, Receiver<Station>) {
    let (parent, alive) = io::pipe().unwrap();
    let (report, stations) = mpsc::channel();
    let at = move |station| {
        report.send(station).unwrap();
        if station == Station::Orphaned { orphaned } else { Fate::GoOn }
    };
    (Lifeline { parent: parent.into(), at: Box::new(at) }, alive, stations)
}

#[test]
fn an_orphan_that_may_go_on_serves_the_next_router() {
    let (lifeline, alive, stations) = lifeline(Fate::GoOn);
    let apps = vec![("tests:App".to_owned(), AppFactory::of::<App>())];
    let mut worker = Worker::with(1, apps, |config| config.lifeline = Some(lifeline));
    assert_eq!(stations.recv().unwrap(), Station::Ready);
    drop(alive);
    assert_eq!(stations.recv().unwrap(), Station::Orphaned);
    assert_eq!(worker.lane(1).call(1, "echo", args![1]), Reply::Result(Value::Int(1)));
    worker.stop().drain();
    assert_eq!(worker.exit(), WorkerExit::Drained);
    assert_eq!(stations.iter().collect::<Vec<_>>(), [Station::Draining]);
}

#[test]
fn an_orphan_without_anybody_ends_at_once() {
    let (lifeline, alive, _stations) = lifeline(Fate::End);
    let apps = vec![("tests:App".to_owned(), AppFactory::of::<App>())];
    let mut worker = Worker::with(1, apps, |config| config.lifeline = Some(lifeline));
    let mut lane = worker.lane(1);
    lane.request(&[(1, "wait", args!["orphan"])]);
    counter("orphan").wait_for(1);
    drop(alive);
    assert_eq!(worker.exit(), WorkerExit::Immediate);
    counter("orphan.go").add();
}
