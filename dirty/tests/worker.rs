//! The worker runtime over real sockets, with the test as its router.
#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use gunmetal_dirty::AppFactory;
use gunmetal_dirty::link::{FromWorker, Hello, ToWorker};
use gunmetal_dirty::prelude::*;
use gunmetal_dirty::worker::{Heartbeat, WorkerExit};
use gunmetal_protocol::{
    Args, ErrorType, Header, MAX_PAYLOAD_LEN, MessageType, Segments, args, encode_frame, encode_request,
};
use support::{Counter, PATIENCE, Reply, Worker};

/// Counters that a test and the actions it calls share, by a name of the test's own.
fn counter(name: &str) -> Counter {
    static ALL: LazyLock<Mutex<HashMap<String, Counter>>> = LazyLock::new(Mutex::default);
    ALL.lock().unwrap().entry(name.to_owned()).or_default().clone()
}

struct App {
    calls: Counter,
    closed: Option<String>,
}

/// Counts when it is dropped.
struct CountDrop(Counter);

impl Drop for CountDrop {
    fn drop(&mut self) {
        self.0.add();
    }
}

#[dirty_app]
impl App {
    fn init(ctx: &InitContext) -> Result<Self> {
        assert_eq!((ctx.slot(), ctx.generation()), (1, 2));
        Ok(App { calls: Counter::default(), closed: None })
    }

    fn close(&mut self) {
        if let Some(name) = &self.closed {
            counter(name).add();
        }
        counter("closed").add();
    }

    #[action]
    fn echo(&self, x: Value) -> Value {
        self.calls.add();
        x
    }

    #[action]
    fn calls(&self) -> u64 {
        self.calls.count()
    }

    /// Says that it runs, and waits to be let go.
    #[action]
    fn wait(&self, name: &str) -> String {
        counter(name).add();
        counter(&format!("{name}.go")).wait_for(1);
        name.to_owned()
    }

    #[action]
    fn until_cancelled(&self, name: &str, cancel: &CancelToken) -> bool {
        counter(name).add();
        let cancelled = cancel.wait_timeout(PATIENCE);
        counter(&format!("{name}.cancelled")).add();
        cancelled
    }

    #[action]
    async fn sleep(&self, name: String) {
        let _dropped = CountDrop(counter(&format!("{name}.dropped")));
        counter(&name).add();
        std::future::pending().await
    }

    #[action]
    async fn nap(&self) -> Result<String> {
        tokio::time::sleep(Duration::from_millis(1)).await;
        Ok(tokio::spawn(async { "awake".to_owned() }).await?)
    }

    #[action]
    fn panic(&self, message: String) {
        panic!("{message}")
    }

    #[action]
    fn fail(&self) -> Result<()> {
        let inner = std::io::Error::other("the disk is full");
        Err(anyhow::Error::new(inner).context("cannot save"))?
    }

    #[action]
    fn blob(&self, size: usize) -> Vec<u8> {
        vec![7; size]
    }

    #[action]
    fn stream(&self, n: u64, size: usize, name: String) -> impl Iterator<Item = Vec<u8>> {
        let dropped = CountDrop(counter(&format!("{name}.dropped")));
        (0..n).map(move |_| {
            let _ = &dropped;
            counter(&name).add();
            vec![b'x'; size]
        })
    }

    /// A burst, and then nothing until it is let go.
    #[action]
    fn stream_stall(&self, n: u64, name: String) -> impl Iterator<Item = u64> {
        (0..=n).inspect(move |i| {
            if *i == n {
                counter(&format!("{name}.go")).wait_for(1);
            }
        })
    }

    #[action]
    fn stream_fail(&self, n: u64) -> impl Iterator<Item = Result<u64>> {
        (0..=n).map(move |i| if i < n { Ok(i) } else { Err(format!("stream failed after {n}"))? })
    }

    #[action]
    fn stream_panic(&self, n: u64) -> impl Iterator<Item = u64> {
        (0..=n).inspect(move |i| assert!(*i < n, "panicked after {n}"))
    }

    #[action]
    fn astream(&self, n: u64) -> impl Stream<Item = u64> {
        Ticks { n, next: 0, timer: Box::pin(tokio::time::sleep(Duration::ZERO)) }
    }
}

/// Yields 0 … n-1, with a timer before each.
struct Ticks {
    n: u64,
    next: u64,
    timer: std::pin::Pin<Box<tokio::time::Sleep>>,
}

impl Stream for Ticks {
    type Item = u64;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<u64>> {
        if self.next == self.n {
            return None.into();
        }
        std::task::ready!(self.timer.as_mut().poll(cx));
        self.timer = Box::pin(tokio::time::sleep(Duration::from_micros(100)));
        self.next += 1;
        Some(self.next - 1).into()
    }
}

#[test]
fn calls_are_answered_in_order() {
    let mut worker = Worker::start::<App>(1);
    assert_eq!(worker.readiness(), "R");
    let mut lane = worker.lane(1);
    let calls: Vec<_> = (1..=100u64).map(|id| (id, "echo", args![id.cast_signed()])).collect();
    lane.request(&calls);
    for id in 1..=100u64 {
        assert_eq!(lane.reply(), (id, Reply::Result(Value::Int(id.cast_signed()))));
    }
}

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
fn errors_have_gunicorns_classes_and_details() {
    let worker = Worker::start::<App>(1);
    let mut lane = worker.lane(1);

    let error = lane.call_error(1, "fail", args![]);
    assert_eq!((&error.error_type, &*error.message), (&ErrorType::App, "cannot save"));
    assert_eq!((error.app_path(), error.action()), (Some("tests:App"), Some("fail")));
    assert_eq!(error.traceback(), Some("error: cannot save\ncaused by: the disk is full\n"));

    let error = lane.call_error(2, "echo", args![]);
    assert_eq!(
        (&error.error_type, &*error.message),
        (&ErrorType::App, "echo() missing required argument: 'x'")
    );

    for (id, name) in [(3, "nothing"), (4, "_private"), (5, "init"), (6, "close")] {
        let error = lane.call_error(id, name, args![]);
        let start = format!("tests:App has no action '{name}'");
        assert!(error.error_type == ErrorType::App && error.message.starts_with(&*start), "{error:?}");
    }

    let mut out = Segments::new();
    encode_request(7, "tests:Other", "echo", &args![], &mut out).unwrap();
    lane.write(&out.into_contiguous());
    let (7, Reply::Error(error)) = lane.reply() else { panic!("an error") };
    assert_eq!(error.error_type, ErrorType::AppNotFound);
    assert_eq!(error.app_path(), Some("tests:Other"));

    assert_eq!(lane.call(8, "echo", args![1]), Reply::Result(Value::Int(1)), "the lane lives on");
}

#[test]
fn a_broken_payload_ends_its_call_only() {
    let worker = Worker::start::<App>(1);
    let mut lane = worker.lane(1);
    let mut out = Segments::new();
    encode_frame(MessageType::Request, 1, gunmetal_protocol::Bytes::from_static(b"\xff\0"), &mut out)
        .unwrap();
    encode_frame(MessageType::Status, 2, gunmetal_protocol::Bytes::new(), &mut out).unwrap();
    lane.write(&out.into_contiguous());
    for id in [1, 2] {
        let (answered, Reply::Error(error)) = lane.reply() else { panic!("an error") };
        assert_eq!((answered, error.error_type), (id, ErrorType::Protocol));
    }
    assert_eq!(lane.call(3, "echo", args![1]), Reply::Result(Value::Int(1)));
}

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
fn a_panic_is_an_app_error_and_the_worker_lives_on() {
    let worker = Worker::start::<App>(1);
    let mut lane = worker.lane(1);
    let error = lane.call_error(1, "panic", args!["oh no"]);
    assert_eq!((&error.error_type, &*error.message), (&ErrorType::App, "oh no"));
    assert_eq!((error.app_path(), error.action()), (Some("tests:App"), Some("panic")));
    let traceback = error.traceback().unwrap();
    assert!(traceback.contains("tests/worker.rs") && traceback.contains("stack backtrace"), "{traceback}");
    assert_eq!(lane.call(2, "calls", args![]), Reply::Result(Value::Int(0)));
}

#[test]
fn a_result_over_the_limit_is_an_app_error_with_size_and_limit() {
    let worker = Worker::start::<App>(1);
    let mut lane = worker.lane(1);
    for (id, size) in [(1, MAX_PAYLOAD_LEN - 4), (2, MAX_PAYLOAD_LEN + 1)] {
        let error = lane.call_error(id, "blob", args![i64::from(size)]);
        assert_eq!(error.error_type, ErrorType::App);
        assert!(error.message.contains("67108864") && error.message.contains("bytes"), "{}", error.message);
    }
    assert_eq!(lane.call(3, "echo", args![1]), Reply::Result(Value::Int(1)));
}

#[test]
fn large_payloads_go_through_again_and_again() {
    let worker = Worker::start::<App>(1);
    let mut lane = worker.lane(1);
    for (id, len) in [(1, 70_000), (2, 5 << 20), (3, 5 << 20), (4, 10), (5, 20 << 20), (6, 100_000)] {
        let blob = Bytes::from(vec![u8::try_from(id).unwrap(); len]);
        // Written from another thread: the worker answers while it still reads nothing more.
        let mut writer = lane.stream.try_clone().unwrap();
        let mut out = Segments::new();
        encode_request(id, "tests:App", "echo", &args![blob.clone()], &mut out).unwrap();
        let writing = std::thread::spawn(move || {
            std::io::Write::write_all(&mut writer, &out.into_contiguous()).unwrap()
        });
        assert_eq!(lane.reply(), (id, Reply::Result(Value::Bytes(blob))), "{len} bytes");
        writing.join().unwrap();
    }
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
fn iterators_and_streams_travel_as_chunks() {
    let worker = Worker::start::<App>(1);
    let mut lane = worker.lane(1);
    for (id, action) in [(1, "astream"), (2, "stream_fail"), (3, "stream_panic")] {
        lane.request(&[(id, action, args![3])]);
        for chunk in 0..3 {
            assert_eq!(lane.reply(), (id, Reply::Chunk(Value::Int(chunk))), "{action}");
        }
        match (action, lane.reply()) {
            ("astream", last) => assert_eq!(last, (id, Reply::End)),
            (_, (_, Reply::Error(error))) => {
                assert!(error.message.ends_with("ed after 3"), "{error:?}");
                assert_eq!((error.app_path(), error.action()), (Some("tests:App"), Some(action)));
            }
            (_, other) => panic!("{action} ended with {other:?}"),
        }
    }
    assert_eq!(lane.call(4, "echo", args![1]), Reply::Result(Value::Int(1)));
}

#[test]
fn a_stream_waits_for_its_reader_and_ends_with_it() {
    const CHUNK: i64 = 1 << 16;
    let worker = Worker::start::<App>(1);
    let mut lane = worker.lane(1);
    lane.request(&[(1, "stream", args![1 << 20, CHUNK, "slow"])]);
    for _ in 0..3 {
        assert!(matches!(lane.reply(), (1, Reply::Chunk(_))));
    }
    // More than any socket buffer holds was never made: 16 MiB of 64 GiB.
    assert!(counter("slow").count() < 256, "{} chunks made, 3 read", counter("slow").count());
    drop(lane);
    counter("slow.dropped").wait_for(1);
    let mut lane = worker.lane(2);
    lane.request(&[(1, "stream", args![2, 3, "whole"])]);
    assert_eq!(lane.reply(), (1, Reply::Chunk(Value::Bytes(Bytes::from_static(b"xxx")))));
    assert_eq!(lane.reply().0, 1);
    assert_eq!(lane.reply(), (1, Reply::End));
    counter("whole.dropped").wait_for(1);
}

#[test]
fn no_chunk_waits_for_the_next() {
    let worker = Worker::start::<App>(1);
    let mut lane = worker.lane(1);
    for id in 1..20u64 {
        let (n, name) = (100 + id.cast_signed(), format!("stall {id}"));
        lane.request(&[(id, "stream_stall", args![n, name.as_str()])]);
        for chunk in 0..n {
            assert_eq!(lane.reply(), (id, Reply::Chunk(Value::Int(chunk))));
        }
        counter(&format!("{name}.go")).add();
        assert_eq!(lane.reply(), (id, Reply::Chunk(Value::Int(n))));
        assert_eq!(lane.reply(), (id, Reply::End));
    }
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
    let before = counter("closed").count();
    assert_eq!(worker.exit(), WorkerExit::Drained);
    assert!(counter("closed").count() >= before);
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
