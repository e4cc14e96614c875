//! What happens at the limits of descriptors, queues and memory: who is beyond them is told or waits, and who is within them
//! notices nothing.

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod support;

use std::process::{Command, Stdio};
use std::time::Duration;

use gunmetal::blocking::Client;
use gunmetal::client::{CallError, ClientConfig};
use gunmetal::{Bytes, Value, args, client as asynchronous};
use libc::{SIGHUP, SIGKILL};
use support::Service;
use support::probe::{APP, client, probe, wait_until_running, worker_pids};
use support::traces::Traces;
use tokio::runtime::{Builder, Runtime};

#[test]
fn clients_beyond_the_routers_descriptors_wait_and_workers_can_still_be_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 64; exec \"$0\" \"$@\""]).arg(support::example_binary("probe"));
    command.args(["--dirty-only", "--dirty-workers", "2", "--dirty-socket", "dirty.sock"]);
    command.env("TMPDIR", directory.path()).current_dir(directory.path()).stderr(Stdio::piped());
    let service = Service::of(command, directory);
    service.wait_for("the dirty socket", || std::os::unix::net::UnixStream::connect(service.socket()).ok());
    let served = client(&service);
    service.wait_for("the workers", || (worker_pids(&served).len() == 2).then_some(()));
    let before = worker_pids(&served);

    let crowd: Vec<_> =
        (0..100).map(|_| std::os::unix::net::UnixStream::connect(service.socket()).unwrap()).collect();
    service.wait_for("the router to be full", || {
        service.log().iter().any(|line| line.contains("cannot accept a client")).then_some(())
    });
    // Whoever is in goes on, and so does the service.
    for i in 0..20 {
        assert_eq!(served.execute::<i64>(APP, "echo", args![i]).unwrap(), i);
    }
    service.signal(SIGHUP);
    service.wait_for("the new workers", || {
        let now = worker_pids(&served);
        (now.len() == 2 && now.iter().all(|pid| !before.contains(pid))).then_some(())
    });
    support::kill(u32::try_from(worker_pids(&served)[0]).unwrap(), SIGKILL);
    for i in 0..20 {
        let outcome = served.execute::<i64>(APP, "echo", args![i]);
        assert!(matches!(outcome, Ok(_) | Err(CallError::Worker { .. })), "{outcome:?}");
    }
    service.wait_for("the replacement", || (worker_pids(&served).len() == 2).then_some(()));
    let lines = service.log().len();
    assert!(lines < 400, "{lines} lines of log");

    // Whoever waited gets in when there is room.
    let waiting = Client::new(ClientConfig::new(service.socket()));
    drop(crowd);
    assert_eq!(waiting.execute::<i64>(APP, "echo", args![1]).unwrap(), 1);
}

#[test]
fn calls_beyond_the_queue_are_refused_at_once_and_the_memory_comes_back() {
    let service = probe(1, &[]);
    let traces = Traces::of(&service);
    let client = client(&service);
    // 12,000 calls of 10 kB: more than may wait. Then 6,000 of 60 kB: more bytes than may wait.
    for (count, len) in [(12_000, 10_000), (6_000, 60_000)] {
        let busy = {
            let client = client.clone();
            std::thread::spawn(move || client.execute::<Value>(APP, "sleep", args![3]))
        };
        wait_until_running(&service, &client, 1);
        let (refused, answered) = flood(&service, count, len);
        assert!(refused > 1000 && answered > 1000, "{refused} refused, {answered} answered");
        assert_eq!(refused + answered, count);
        busy.join().unwrap().unwrap();
    }
    drop(client);
    traces.are_all_that_is_left(&service, 96 << 10);
}

/// Makes `count` calls at once: how many were refused, and how many answered.
fn flood(service: &Service, count: usize, len: usize) -> (usize, usize) {
    let config = ClientConfig::new(service.socket())
        .with_max_in_flight(count)
        .with_call_timeout(Duration::from_secs(60));
    let client = asynchronous::Client::new(config);
    let bytes = Bytes::from(vec![7; len]);
    let calls = (0..count).map(|_| client.execute::<usize>(APP, "size", args![bytes.clone()]));
    let calls: Vec<_> = calls.collect();
    let outcomes = runtime().block_on(futures_util::future::join_all(calls));
    let mut refused = 0;
    for outcome in outcomes {
        match outcome {
            Ok(size) => assert_eq!(size, len),
            Err(CallError::NoWorkersAvailable { .. }) => refused += 1,
            Err(error) => panic!("{error:?}"),
        }
    }
    (refused, count - refused)
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}
