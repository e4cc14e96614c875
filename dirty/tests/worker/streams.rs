//! Streams and their readers.

use gunmetal_dirty::prelude::*;
use gunmetal_protocol::args;

use crate::app::{App, counter};
use crate::router::{Reply, Worker};

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
