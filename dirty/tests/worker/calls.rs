//! Calls, their results and their errors.

use gunmetal_dirty::prelude::*;
use gunmetal_protocol::{
    ErrorType, MAX_PAYLOAD_LEN, MessageType, Segments, args, encode_frame, encode_request,
};

use crate::app::App;
use crate::router::{Reply, Worker};

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
fn a_panic_is_an_app_error_and_the_worker_lives_on() {
    let worker = Worker::start::<App>(1);
    let mut lane = worker.lane(1);
    let error = lane.call_error(1, "panic", args!["oh no"]);
    assert_eq!((&error.error_type, &*error.message), (&ErrorType::App, "oh no"));
    assert_eq!((error.app_path(), error.action()), (Some("tests:App"), Some("panic")));
    let traceback = error.traceback().unwrap();
    assert!(
        traceback.contains("tests/worker/app.rs") && traceback.contains("stack backtrace"),
        "{traceback}"
    );
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
