//! What happens to everyone else when a process dies, hangs, panics or is talked to in garbage. Real processes, real
//! signals; the app is the probe (`examples/probe`).

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod support;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use gunmetal::blocking::Client;
use gunmetal::client::{CallError, ClientConfig};
use gunmetal::protocol::{Segments, encode_request};
use gunmetal::{Args, Bytes, Value, args, value};
use support::Service;

const APP: &str = "bench_app:BenchApp";
const LIMITED: &str = "bench_app:LimitedApp";

#[test]
fn a_worker_killed_while_idle_is_replaced_with_the_same_apps() {
    let service = probe(2, &["--dirty-app", APP, "--dirty-app", "bench_app:LimitedApp:1"]);
    let client = client(&service);
    let before: u32 = client.execute(LIMITED, "pid", ()).unwrap();

    support::kill(before, libc::SIGKILL);

    // The only worker that holds the app is gone: the call waits for the replacement instead of failing.
    let after: u32 = service.wait_for("the replacement", || match client.execute(LIMITED, "pid", ()) {
        Ok(pid) => Some(pid),
        // Handed to the lane before the router saw the death: answered at once, and told so.
        Err(CallError::Worker { .. }) => None,
        Err(other) => panic!("{other}"),
    });
    assert_ne!(before, after);
    let status = client.status().unwrap();
    let replacement = status.workers.iter().find(|worker| worker.pid == i64::from(after)).unwrap();
    assert!(replacement.apps.iter().any(|app| app == APP), "{:?}", replacement.apps);
}

#[test]
fn a_caller_knows_at_once_that_its_worker_was_killed() {
    let service = probe(1, &["--dirty-timeout", "60"]);
    let client = client(&service);
    let pid: u32 = client.execute(APP, "pid", ()).unwrap();
    let call = {
        let client = self::client(&service);
        thread::spawn(move || (client.execute::<Value>(APP, "sleep", args![30]), Instant::now()))
    };
    wait_until_running(&service, &client, 1);

    let killed = Instant::now();
    support::kill(pid, libc::SIGKILL);
    let (outcome, answered) = call.join().unwrap();

    let Err(CallError::Worker { message, worker_id, .. }) = outcome else { panic!("{outcome:?}") };
    assert_eq!(worker_id.as_deref(), Some(pid.to_string().as_str()), "{message}");
    assert!(message.contains("SIGKILL"), "the cause is missing: {message}");
    assert!(answered - killed < Duration::from_secs(5), "answered {:?} later", answered - killed);
    assert_ne!(client.execute::<u32>(APP, "pid", ()).unwrap(), pid);
}

#[test]
fn a_reader_knows_at_once_that_its_stream_was_killed() {
    let service = probe(1, &[]);
    let client = client(&service);
    let pid: u32 = client.execute(APP, "pid", ()).unwrap();
    let mut stream = client.stream::<u64>(APP, "stream_slow", args![1000, 0.01]);
    assert_eq!(stream.next().unwrap().unwrap(), 0);

    support::kill(pid, libc::SIGKILL);

    let error = stream.find_map(Result::err).expect("the stream ended as if it were whole");
    assert!(matches!(error, CallError::Worker { .. }), "{error:?}");
    assert_ne!(client.execute::<u32>(APP, "pid", ()).unwrap(), pid);
}

#[test]
fn a_hanging_action_times_out_and_costs_its_worker_only() {
    let service = probe(2, &["--dirty-timeout", "1"]);
    let client = client(&service);
    let pids = worker_pids(&client);
    let start = Instant::now();
    let hang = {
        let client = self::client(&service);
        thread::spawn(move || (client.execute::<Value>(APP, "hang", ()), Instant::now()))
    };
    wait_until_running(&service, &client, 1);
    for i in 0..200 {
        assert_eq!(client.execute::<i64>(APP, "echo", args![i]).unwrap(), i);
    }

    let (outcome, answered) = hang.join().unwrap();
    let Err(CallError::Timeout { timeout, .. }) = outcome else { panic!("{outcome:?}") };
    assert_eq!(timeout, Some(Duration::from_secs(1)));
    assert!(answered - start >= Duration::from_millis(990), "too early: {:?}", answered - start);

    service.wait_for("the replacement of the hanging worker", || {
        let now = worker_pids(&client);
        (now.len() == 2 && now != pids).then_some(())
    });
    let survivors = worker_pids(&client).into_iter().filter(|pid| pids.contains(pid)).count();
    assert_eq!(survivors, 1, "the other worker lives on");
}

#[test]
fn a_panic_is_an_app_error_and_the_worker_lives_on() {
    let service = probe(1, &[]);
    let client = client(&service);
    let pid: u32 = client.execute(APP, "pid", ()).unwrap();

    let error = client.execute::<Value>(APP, "panic", args!["out of luck"]).unwrap_err();

    let CallError::App { app_path, action, message, traceback } = error else { panic!("{error:?}") };
    assert_eq!((app_path.as_str(), action.as_str()), (APP, "panic"));
    assert!(message.contains("out of luck"), "{message}");
    assert!(traceback.is_some_and(|trace| trace.contains("app.rs")), "the traceback names no place");
    assert_eq!(client.execute::<u32>(APP, "pid", ()).unwrap(), pid);
}

#[test]
fn init_failing_at_the_first_boot_stops_everything_with_the_reason_last() {
    let directory = tempfile::tempdir().unwrap();
    let told = directory.path().join("fail");
    std::fs::write(&told, "").unwrap();
    let flags = ["--dirty-only", "--dirty-socket", "dirty.sock", "--dirty-workers", "2"];

    let mut service = Service::start("probe", &flags, &[("BENCH_INIT_FAIL_FILE", told.to_str().unwrap())]);

    assert_eq!(service.wait().code(), Some(3));
    let last = service.wait_for("the last words", || service.log().last().cloned());
    assert!(last.contains("init told to fail"), "{:#?}", service.log());
    assert_eq!(service.leftovers(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn a_killed_router_costs_its_calls_and_nothing_else() {
    let service = probe(1, &[]);
    let client = client(&service);
    for _ in 0..3 {
        client.execute::<u64>(APP, "counter", ()).unwrap();
    }
    let waiting = {
        let client = self::client(&service);
        thread::spawn(move || client.execute::<Value>(APP, "sleep", args![1]))
    };
    wait_until_running(&service, &client, 1);

    service.process("router").signal(libc::SIGKILL);

    assert!(matches!(waiting.join().unwrap(), Err(CallError::Connection { .. })));
    // The same client, without being told anything. Its own connection may not have ended yet: the kernel closes those of
    // a killed process one after the other.
    let count = service.wait_for("the next router", || match client.execute::<u64>(APP, "counter", ()) {
        Ok(count) => Some(count),
        Err(CallError::Connection { .. }) => None,
        Err(other) => panic!("{other}"),
    });
    assert_eq!(count, 4, "the worker kept its state");
}

#[test]
fn a_producer_stops_when_its_reader_leaves() {
    let service = probe(1, &[]);
    let client = client(&service);
    let mut stream = client.stream::<Bytes>(APP, "stream", args![1_000_000_000, 1024]);
    stream.next().unwrap().unwrap();

    drop(stream);

    service.wait_for("the end of the producer", || peek(&client, "closed_generators"));
    let produced = peek(&client, "produced").unwrap();
    assert!(produced < 1_000_000_000);
    assert_eq!(peek(&client, "produced").unwrap(), produced, "it goes on producing");
}

#[test]
fn a_slow_reader_costs_no_memory_and_no_one_else() {
    let service = probe(2, &[]);
    let client = client(&service);
    let router = service.process("router");
    let before = router.resident_kib();
    // 4 GiB in chunks of 1 MiB, of which nobody reads more than the first.
    let mut stream = client.stream::<Bytes>(APP, "stream", args![4096, 1 << 20]);
    stream.next().unwrap().unwrap();

    for i in 0..500 {
        assert_eq!(client.execute::<i64>(APP, "echo", args![i]).unwrap(), i);
    }

    let grown = router.resident_kib().saturating_sub(before);
    assert!(grown < 32 * 1024, "the router grew by {grown} KiB");
}

#[test]
fn readers_that_read_nothing_cannot_keep_every_lane() {
    let service = probe(2, &[]);
    let client = client(&service);
    // As many as there are lanes, and not one of them reads its answer.
    let stuck: Vec<UnixStream> = (0..2)
        .map(|_| {
            let mut socket = UnixStream::connect(service.socket()).unwrap();
            socket.write_all(&request("stream", args![1_000_000_000, 60_000])).unwrap();
            socket
        })
        .collect();
    wait_until_running(&service, &client, 2);

    assert_eq!(client.execute::<i64>(APP, "echo", args![1]).unwrap(), 1);
    drop(stuck);
}

#[test]
fn garbage_is_answered_with_what_is_wrong_and_hurts_no_one() {
    let service = probe(1, &[]);
    let client = client(&service);
    let frames: [(&[u8], &str); 4] = [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "magic"),
        (b"GD\x02\x01\0\0\0\0\0\0\0\0\0\0\0\x01", "version"),
        (b"GD\x01\x77\0\0\0\0\0\0\0\0\0\0\0\x01", "type"),
        (b"GD\x01\x01\xff\xff\xff\xff\0\0\0\0\0\0\0\x01", "67108864"),
    ];
    for (frame, word) in frames {
        let answer = exchange(&service, frame);
        let text = String::from_utf8_lossy(&answer);
        assert!(text.contains("DirtyProtocolError") && text.contains(word), "{word}: {text}");
        assert_eq!(client.execute::<i64>(APP, "echo", args![1]).unwrap(), 1);
    }
}

#[test]
fn half_a_frame_then_silence_holds_up_no_one() {
    let service = probe(1, &[]);
    let client = client(&service);
    let router = service.process("router");
    let before = router.resident_kib();
    let mut half = request("size", args![Bytes::from(vec![7; 32 << 20])]);
    half.truncate(16 << 20);
    // Eight clients, half a frame of 32 MiB each, as far as the router takes it.
    let halves: Vec<UnixStream> = (0..8)
        .map(|_| {
            let mut socket = UnixStream::connect(service.socket()).unwrap();
            socket.set_write_timeout(Some(Duration::from_millis(100))).unwrap();
            let _ = socket.write_all(&half);
            socket
        })
        .collect();

    for i in 0..50 {
        assert_eq!(client.execute::<i64>(APP, "echo", args![i]).unwrap(), i);
    }
    let grown = router.resident_kib().saturating_sub(before);
    assert!(grown < 32 * 1024, "the router grew by {grown} KiB");
    drop(halves);
}

#[test]
fn the_largest_call_and_the_largest_answer_fit() {
    let service = probe(1, &[]);
    let client = client(&service);
    // 64 MiB is the payload's limit; what is not the bytes themselves is the dictionary around them.
    let request = (64 << 20) - REQUEST_OVERHEAD;
    let image = Bytes::from(vec![7; request]);
    assert_eq!(client.execute::<usize>(APP, "size", args![image]).unwrap(), request);
    let answer = (64 << 20) - RESPONSE_OVERHEAD;
    assert_eq!(
        client.execute::<Bytes>(APP, "blob", args![i64::try_from(answer).unwrap()]).unwrap().len(),
        answer
    );

    let error = client.execute::<Bytes>(APP, "blob", args![64 << 20]).unwrap_err();
    assert!(matches!(error, CallError::App { .. }), "{error:?}");
    assert!(error.to_string().contains("67108864"), "{error}");
    assert_eq!(client.execute::<i64>(APP, "echo", args![1]).unwrap(), 1);
}

#[test]
fn short_calls_never_wait_for_a_busy_worker() {
    let service = probe(2, &[]);
    let client = client(&service);
    let start = Instant::now();
    let long = {
        let client = self::client(&service);
        thread::spawn(move || client.execute::<Value>(APP, "sleep", args![3]))
    };
    wait_until_running(&service, &client, 1);

    let mut slowest = Duration::ZERO;
    let mut count = 0;
    while start.elapsed() < Duration::from_secs(2) {
        let called = Instant::now();
        client.execute::<Value>(APP, "noop", ()).unwrap();
        slowest = slowest.max(called.elapsed());
        count += 1;
    }

    assert!(slowest < Duration::from_secs(1), "one of {count} short calls took {slowest:?}");
    assert_eq!(long.join().unwrap().unwrap(), value!(3));
}

#[test]
fn term_lets_running_calls_finish_and_leaves_nothing_behind() {
    let mut service = probe(3, &[]);
    let client = client(&service);
    let processes = service.descendants();
    assert!(processes.len() >= 4, "a router and three workers: {processes:#?}");
    let running = {
        let client = self::client(&service);
        thread::spawn(move || client.execute::<Value>(APP, "sleep", args![1]))
    };
    wait_until_running(&service, &client, 1);

    service.signal(libc::SIGTERM);

    assert_eq!(running.join().unwrap().unwrap(), value!(1));
    assert_eq!(service.wait().code(), Some(0));
    let alive: Vec<_> = processes.iter().filter(|process| process.is_alive()).collect();
    assert!(alive.is_empty(), "left behind: {alive:#?}");
    assert_eq!(service.leftovers(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn term_to_the_whole_process_group_lets_running_calls_finish_too() {
    let mut service = probe(1, &[]);
    let client = client(&service);
    let running = {
        let client = self::client(&service);
        thread::spawn(move || client.execute::<Value>(APP, "sleep", args![1]))
    };
    wait_until_running(&service, &client, 1);

    for process in service.descendants() {
        process.signal(libc::SIGTERM);
    }
    service.signal(libc::SIGTERM);

    assert_eq!(running.join().unwrap().unwrap(), value!(1));
    assert_eq!(service.wait().code(), Some(0));
}

#[test]
fn a_log_that_cannot_be_written_costs_the_log_only() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("dirty.sock");
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = std::process::Command::new(support::example_binary("probe"));
    command.args(["--dirty-only", "--dirty-workers", "1", "--dirty-socket"]).arg(&socket);
    command.env("TMPDIR", directory.path()).stderr(full);
    let service = Service::of(command, directory);
    service.wait_for("the dirty socket", || UnixStream::connect(&socket).ok());
    let client = Client::at(&socket);
    let pid: u32 = client.execute(APP, "pid", ()).unwrap();

    support::kill(pid, libc::SIGKILL);

    service
        .wait_for("the replacement", || client.execute::<u32>(APP, "pid", ()).ok().filter(|now| *now != pid));
}

/// The bytes of a `size` request beside those of its one argument; of a response beside those of its result.
const REQUEST_OVERHEAD: usize =
    5 + (5 + 8) + (5 + APP.len()) + (5 + 6) + (5 + 4) + (5 + 4) + (5 + 5) + (5 + 6) + 5;
const RESPONSE_OVERHEAD: usize = 5 + (5 + 6) + 5;

/// The probe with `worker_count` workers, all of them ready.
fn probe(worker_count: usize, flags: &[&str]) -> Service {
    let count = worker_count.to_string();
    let mut all = vec!["--dirty-workers", &count];
    all.extend_from_slice(flags);
    let service = Service::probe(&all, &[]);
    let client = client(&service);
    service.wait_for("the workers", || (worker_pids(&client).len() == worker_count).then_some(()));
    service
}

fn client(service: &Service) -> Client {
    Client::new(ClientConfig::new(service.socket()))
}

fn worker_pids(client: &Client) -> Vec<i64> {
    client.status().unwrap().workers.iter().map(|worker| worker.pid).collect()
}

/// Waits until `count` workers are inside an action, which `/proc` cannot tell and the router can.
fn wait_until_running(service: &Service, client: &Client, count: u64) {
    service.wait_for("the call to run", || {
        let status = client.status().unwrap();
        (status.workers.iter().filter_map(|worker| worker.running).sum::<u64>() >= count).then_some(())
    });
}

/// A number of the probe's `peek`, unless it is 0.
fn peek(client: &Client, key: &str) -> Option<i64> {
    let value: Value = client.execute(APP, "peek", ()).ok()?;
    let number = value.as_dict()?.get(key)?.as_int()?;
    (number > 0).then_some(number)
}

/// A whole REQUEST frame to the probe.
fn request(action: &str, args: Args) -> Vec<u8> {
    let mut frame = Segments::new();
    encode_request(1, APP, action, &args, &mut frame).unwrap();
    frame.into_iter().flatten().collect()
}

/// Sends `bytes` on a connection of its own and reads what comes until the other side closes.
fn exchange(service: &Service, bytes: &[u8]) -> Vec<u8> {
    let mut socket = UnixStream::connect(service.socket()).unwrap();
    socket.set_read_timeout(Some(support::PATIENCE)).unwrap();
    socket.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).unwrap();
    answer
}
