//! What clients of an HTTP worker see when it is replaced: no request fails, and connections are closed politely.

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod support;

use std::fs;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use support::http::{Client, HttpService};
use support::http2::{ACK, DATA, Frames, GOAWAY, HEADERS, PING, PREFACE, SETTINGS, frame, request_frame};
use support::{PATIENCE, Service, example_binary};

#[test]
fn ten_reloads_under_keep_alive_load_fail_no_request() {
    for (example, mode) in
        [("hello", "shared"), ("hello", "fair"), ("blocking", "shared"), ("blocking", "fair")]
    {
        let http = HttpService::start(example, &["--workers", "2", "--accept-mode", mode]);
        let (stop, answered, closed) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let mut client = http.connect();
                    while !stop.load(Ordering::Relaxed) {
                        let answer = client.get("/pid").unwrap();
                        assert_eq!(answer.status, 200);
                        answered.fetch_add(1, Ordering::Relaxed);
                        if answer.closes {
                            assert_eq!(client.rest().unwrap(), b"");
                            closed.fetch_add(1, Ordering::Relaxed);
                            client = http.connect();
                        }
                    }
                });
            }
            (0..10).for_each(|_| http.reload());
            stop.store(true, Ordering::Relaxed);
        });
        let (answered, closed) = (answered.into_inner(), closed.into_inner());
        // Most clients have seen each of the reloads.
        assert!(answered > 1000 && closed >= 40, "{example}, {mode}: {answered} answered, {closed} closed");
    }
}

#[test]
fn the_accept_mode_may_change_with_a_reload() {
    for example in ["hello", "blocking"] {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("gunmetal.toml");
        let write = |mode| fs::write(&file, format!("accept_mode = \"{mode}\"\nworkers = 2\n")).unwrap();
        write("shared");
        let mut command = Command::new(example_binary(example));
        command.args(["--bind", "127.0.0.1:0"]).env("TMPDIR", directory.path());
        command.current_dir(directory.path()).stderr(Stdio::piped());
        let http = HttpService::of(Service::of(command, directory));
        for mode in ["fair", "shared", "fair"] {
            write(mode);
            http.reload();
        }
        let below = http.service.descendants();
        http.service.signal(libc::SIGTERM);
        for process in below {
            http.service.wait_for("the end", || (!process.is_alive()).then_some(()));
        }
        assert!(http.logged("SIGKILL").is_none(), "{:#?}", http.service.log());
    }
}

#[test]
fn a_request_over_an_idle_connection_to_a_draining_worker_is_answered_and_the_last() {
    for example in ["hello", "blocking"] {
        let http = HttpService::start(example, &[]);
        let mut client = http.connect();
        let first = client.get("/pid").unwrap();
        assert!(!first.closes);
        http.reload();
        let last = client.get("/pid").unwrap();
        assert_eq!((last.status, last.closes), (200, true), "{example}");
        assert_eq!(last.body, first.body);
        assert_eq!(client.rest().unwrap(), b"");
    }
}

#[test]
fn a_connection_that_was_accepted_and_has_not_asked_yet_is_answered() {
    for example in ["hello", "blocking"] {
        let http = HttpService::start(example, &["--bind", "unix:http.sock"]);
        // Over a unix socket nothing keeps a silent connection from being accepted.
        let connect = || Client::new(UnixStream::connect(http.file("http.sock")).unwrap());
        let mut clients: Vec<_> = (0..10).map(|_| connect()).collect();
        http.reload();
        for client in &mut clients {
            client.stream().set_read_timeout(Some(PATIENCE)).unwrap();
            assert_eq!(client.get("/pid").unwrap().status, 200, "{example}");
        }
    }
}

#[test]
fn a_request_that_has_half_arrived_is_answered() {
    let http = HttpService::start("hello", &[]);
    let mut client = http.connect();
    client.get("/").unwrap();
    client.send(b"GET / HTTP/1.1\r\nho").unwrap();
    http.reload();
    client.send(b"st: here\r\n\r\n").unwrap();
    let answer = client.answer().unwrap();
    assert_eq!((answer.status, answer.closes), (200, true));
}

#[test]
fn an_answer_that_takes_its_time_is_waited_for() {
    let http = HttpService::start("hello", &[]);
    let mut client = http.connect();
    client.send(b"GET /sleep/4000 HTTP/1.1\r\nhost: here\r\n\r\n").unwrap();
    http.reload();
    let answer = client.answer().unwrap();
    assert_eq!((answer.body.as_str(), answer.closes), ("slept 4000 ms", true));
    assert_eq!(client.rest().unwrap(), b"");
}

#[test]
fn idle_connections_are_closed_in_an_orderly_way_and_do_not_hold_up_the_end() {
    for example in ["hello", "blocking"] {
        let mut http = HttpService::start(example, &["--workers", "2"]);
        let mut clients: Vec<_> = (0..20).map(|_| http.connect()).collect();
        clients.iter_mut().for_each(|client| assert_eq!(client.get("/pid").unwrap().status, 200));
        let start = Instant::now();
        http.service.signal(libc::SIGTERM);
        clients.iter_mut().for_each(|client| assert_eq!(client.rest().unwrap(), b""));
        assert_eq!(http.service.wait().code(), Some(0));
        let took = start.elapsed();
        assert!(took < Duration::from_secs(15), "{example}: {took:?}, of a graceful timeout of 30 s");
    }
}

#[test]
fn an_answer_that_comes_before_the_end_of_the_request_is_not_lost() {
    let http = HttpService::start("hello", &[]);
    let mut client = http.connect();
    let len = 8 << 20;
    let head = format!("POST /nowhere HTTP/1.1\r\nhost: here\r\ncontent-length: {len}\r\n\r\n");
    client.send(head.as_bytes()).unwrap();
    // The server answers and closes; what it has not read must not reset the connection.
    for _ in 0..len / (64 << 10) {
        if client.send(&[b'x'; 64 << 10]).is_err() {
            break;
        }
        thread::yield_now();
    }
    assert_eq!(client.answer().unwrap().status, 404);
}

#[test]
fn http2_clients_are_told_at_once_and_their_streams_are_answered() {
    let http = HttpService::start("hello", &[]);
    let mut client = http.connect();
    client.send(PREFACE).unwrap();
    client.send(&frame(SETTINGS, 0, 0, b"")).unwrap();
    client.send(&request_frame(1, "/sleep/1500")).unwrap();
    let mut frames = Frames(client);
    // The request has come when the settings that were sent before it are acknowledged.
    while frames.next().unwrap() != (SETTINGS, 0, vec![]) {}
    http.reload();
    let mut seen = Vec::new();
    loop {
        let (kind, stream, payload) = frames.next().unwrap();
        seen.push((kind, stream));
        if kind == PING {
            frames.0.send(&frame(PING, ACK, 0, &payload)).unwrap();
        }
        if (kind, stream) == (DATA, 1) && payload == b"slept 1500 ms" {
            break;
        }
    }
    let position = |wanted| seen.iter().position(|found| *found == wanted);
    assert!(position((GOAWAY, 0)).unwrap() < position((HEADERS, 1)).unwrap(), "{seen:?}");
    frames.0.stream().shutdown(Shutdown::Write).unwrap();
    frames.0.rest().unwrap();
}
