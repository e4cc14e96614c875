//! Streams whose readers stop reading.

use std::thread;

use gunmetal::{Bytes, args, value};

use crate::support::probe::{APP, client, probe, wait_until_running};
use crate::support::raw::Raw;
use crate::support::traces::Traces;

/// With gunicorn every other caller of that worker waits as long as the reader does. Ours: only that stream waits.
#[test]
fn a_streams_reader_stops_reading() {
    let service = probe(1, &["--dirty-threads", "2"]);
    let traces = Traces::of(&service);
    let client = client(&service);
    let mut stream = client.stream::<Bytes>(APP, "stream", args![64, 1 << 20]);
    assert_eq!(stream.next().unwrap().unwrap().len(), 1 << 20);

    let others: Vec<_> = (0..4)
        .map(|_| {
            let client = client.clone();
            thread::spawn(move || {
                (0..100).all(|i| client.execute::<i64>(APP, "echo", args![i]).unwrap() == i)
            })
        })
        .collect();
    assert!(others.into_iter().all(|other| other.join().unwrap()));

    // The reader was only slow: it has lost nothing.
    assert_eq!(stream.map(|chunk| chunk.unwrap().len()).sum::<usize>(), 63 << 20);
    drop(client);
    traces.are_all_that_is_left(&service, 48 << 10);
}

/// A worker's only thread is not the reader's for ever either.
#[test]
fn a_reader_that_never_reads_on_does_not_keep_the_only_thread() {
    let service = probe(1, &[]);
    let client = client(&service);
    let mut stuck = Raw::connect(&service);
    stuck.call(1, "stream", value!([1_000_000_000, 60_000]));
    wait_until_running(&service, &client, 1);

    assert_eq!(client.execute::<i64>(APP, "echo", args![1]).unwrap(), 1);
    drop(stuck);
}
