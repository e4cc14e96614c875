//! Clients that come, leave within a frame, give up calls and streams, all the while.

use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use futures_util::StreamExt as _;
use gunmetal::client::{CallError, Client};
use gunmetal::protocol::{Segments, encode_request};
use gunmetal::{Bytes, Value, args, blocking};
use tokio::runtime::Builder;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::duration;
use crate::support::probe::APP;
use crate::unrest::Restless;

/// They cost whoever stays nothing, under HUP, TTIN and TTOU, and leave nothing.
#[test]
fn clients_that_leave_at_any_moment_cost_the_others_nothing() {
    let restless = Restless::start(&["--dirty-threads", "2"]);
    let socket = restless.service.socket();
    let stop = Arc::new(AtomicBool::new(false));
    let go_on = |stop: &Arc<AtomicBool>| {
        let stop = stop.clone();
        move || !stop.load(Relaxed)
    };
    let mut threads = Vec::new();
    for seed in 0..2 {
        let (socket, go_on) = (socket.clone(), go_on(&stop));
        threads.push(thread::spawn(move || {
            let frames =
                [request("echo", 10), request("size", 300_000), request("sleep", 0), request("stream", 0)];
            for i in seed.. {
                if !go_on() {
                    return Vec::new();
                }
                let frame = &frames[i % frames.len()];
                let cut = frame.len().min(1 + i * 7919 % (frame.len() + 40));
                let mut socket = UnixStream::connect(&socket).unwrap();
                socket.set_write_timeout(Some(Duration::from_millis(20))).unwrap();
                let _ = socket.write_all(&frame[..cut]);
            }
            Vec::new()
        }));
    }
    let (asynchronous, giving_up) = (Client::at(&socket), go_on(&stop));
    threads.push(thread::spawn(move || {
        Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(give_up_while(giving_up, asynchronous));
        Vec::new()
    }));
    for _ in 0..4 {
        let (client, go_on) = (blocking::Client::at(&socket), go_on(&stop));
        threads.push(thread::spawn(move || {
            let mut errors: Vec<CallError> = Vec::new();
            let mut i = 0;
            while go_on() {
                i += 1;
                match client.execute::<i64>(APP, "echo", args![i]) {
                    Ok(found) => assert_eq!(found, i),
                    Err(error) => errors.push(error),
                }
            }
            errors
        }));
    }

    restless.signals(duration());

    stop.store(true, Relaxed);
    let errors: Vec<CallError> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
    assert!(errors.is_empty(), "{errors:?}");
    restless.ends_without_traces(64 << 10);
}

/// Calls and streams that are dropped after a moment, or not.
async fn give_up_while(go_on: impl Fn() -> bool, client: Client) {
    let mut tasks = JoinSet::new();
    let mut i = 0_u64;
    while go_on() {
        while tasks.len() < 32 {
            i += 1;
            let (client, patience) = (client.clone(), Duration::from_micros(i * 977 % 5000));
            tasks.spawn(async move {
                match i % 4 {
                    0 => {
                        let mut stream = client.stream::<Bytes>(APP, "stream", args![100, 20_000]);
                        timeout(patience, async { while stream.next().await.is_some() {} }).await.is_err()
                    }
                    1 => {
                        let large = Bytes::from(vec![1; 300_000]);
                        timeout(patience, client.execute::<Bytes>(APP, "echo", args![large])).await.is_err()
                    }
                    2 => timeout(patience, client.execute::<f64>(APP, "sleep", args![0.003])).await.is_err(),
                    _ => timeout(patience, client.execute::<Value>(APP, "noop", args![])).await.is_err(),
                }
            });
        }
        tasks.join_next().await;
    }
    while tasks.join_next().await.is_some() {}
}

fn request(action: &str, len: usize) -> Vec<u8> {
    let args = match action {
        "sleep" => args![0.002],
        "stream" => args![1_000_000, 1000],
        _ => args![Bytes::from(vec![7; len])],
    };
    let mut frame = Segments::new();
    encode_request(1, APP, action, &args, &mut frame).unwrap();
    frame.into_iter().flatten().collect()
}
