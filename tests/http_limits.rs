//! How many connections an HTTP worker has, which worker gets them, and how many requests it serves.

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod support;

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use libc::{SIGCONT, SIGSTOP};
use support::Service;
use support::http::HttpService;

#[test]
fn in_fair_mode_every_worker_has_its_share_of_the_connections() {
    for example in ["hello", "blocking"] {
        let http = HttpService::start(example, &["--workers", "4", "--accept-mode", "fair"]);
        http.service.wait_for("all workers", || (http.workers().len() == 4).then_some(()));
        http.service.wait_for("every worker's first answer", || {
            let pids = (0..8).map(|_| http.connect().get("/pid").unwrap().body);
            (pids.collect::<std::collections::BTreeSet<_>>().len() == 4).then_some(())
        });
        let mut counts = BTreeMap::new();
        let mut held = Vec::new();
        for _ in 0..200 {
            let mut client = http.connect();
            *counts.entry(client.get("/pid").unwrap().body).or_insert(0) += 1;
            held.push(client);
        }
        assert_eq!(counts.len(), 4, "{example}: {counts:?}");
        assert!(counts.values().all(|count| (40..=60).contains(count)), "{example}: {counts:?}");
    }
}

#[test]
fn connections_beyond_the_limit_wait_for_the_end_of_another() {
    for (example, mode) in
        [("hello", "shared"), ("hello", "fair"), ("blocking", "shared"), ("blocking", "fair")]
    {
        let http = HttpService::start(example, &["--worker-connections", "2", "--accept-mode", mode]);
        let mut held: Vec<_> = (0..2).map(|_| http.connect()).collect();
        held.iter_mut().for_each(|client| assert_eq!(client.get("/pid").unwrap().status, 200));
        let mut beyond = http.connect();
        beyond.send(b"GET /pid HTTP/1.1\r\nhost: here\r\n\r\n").unwrap();
        beyond.stream().set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        let early = beyond.answer();
        assert!(early.is_err(), "{example}, {mode}: {early:?}");
        // Who is in is served meanwhile.
        assert_eq!(held[1].get("/pid").unwrap().status, 200);
        drop(held.remove(0));
        beyond.stream().set_read_timeout(Some(support::PATIENCE)).unwrap();
        assert_eq!(beyond.answer().unwrap().status, 200, "{example}, {mode}");
    }
}

#[test]
fn a_worker_that_had_its_share_is_replaced_and_no_request_fails() {
    for example in ["hello", "blocking"] {
        let http = HttpService::start(example, &["--max-requests", "50", "--max-requests-jitter", "10"]);
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    // Connections of the blocking runner count as one request each.
                    let asks = if example == "blocking" { 1 } else { 10 };
                    while !stop.load(Ordering::Relaxed) {
                        let mut client = http.connect();
                        for _ in 0..asks {
                            if client.get("/pid").unwrap().closes {
                                break;
                            }
                        }
                    }
                });
            }
            let replacements = || http.service.log().iter().filter(|line| line.contains("served 5")).count();
            http.service.wait_for("three replacements", || (replacements() >= 3).then_some(()));
            stop.store(true, Ordering::Relaxed);
        });
    }
}

#[test]
fn a_worker_without_descriptors_says_so_once_a_second_and_goes_on() {
    for mode in ["shared", "fair"] {
        let directory = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -n 40; exec \"$0\" \"$@\""]).arg(support::example_binary("hello"));
        command.args(["--bind", "127.0.0.1:0", "--accept-mode", mode]);
        command.env("TMPDIR", directory.path()).current_dir(directory.path()).stderr(Stdio::piped());
        let http = HttpService::of(Service::of(command, directory));
        let mut crowd: Vec<_> = (0..60).map(|_| http.connect()).collect();
        for client in &mut crowd {
            client.send(b"GET /pid HTTP/1.1\r\nhost: here\r\n\r\n").unwrap();
        }
        let full = || http.logged("connections cannot be accepted");
        http.service.wait_for("the worker to be full", full);
        assert_eq!(crowd[0].answer().unwrap().status, 200);
        let lines = http.service.log().len();
        assert!(lines < 30, "{lines} lines of log");
        let mut last = crowd.pop().unwrap();
        drop(crowd);
        assert_eq!(last.answer().unwrap().status, 200, "{mode}");
    }
}

#[test]
fn a_handler_that_panics_costs_its_connection_only() {
    let http = HttpService::start("blocking", &[]);
    let mut other = http.connect();
    let worker = other.get("/pid").unwrap().body;
    let mut unlucky = http.connect();
    unlucky.get("/panic").unwrap_err();
    assert_eq!(other.get("/pid").unwrap().body, worker);
    http.service.wait_for("the line", || http.logged("the handler of a connection panicked"));
}

#[test]
fn a_blocking_worker_that_hangs_is_replaced_and_one_with_a_slow_handler_is_not() {
    let http = HttpService::start("blocking", &["--timeout", "1"]);
    let mut client = http.connect();
    let worker = client.get("/pid").unwrap().body;
    // Three seconds, in which only the handler's thread hangs.
    assert_eq!(client.get("/nap").unwrap().body, "rested");
    assert_eq!(client.get("/pid").unwrap().body, worker);
    let process = http.service.process("http worker");
    process.signal(SIGSTOP);
    http.service.wait_for("the end of the hanging worker", || (!process.is_alive()).then_some(()));
    process.signal(SIGCONT);
    assert_ne!(http.connect().get("/pid").unwrap().body, worker);
}
