//! How long a client may take for its next request, and what does not count.

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use support::http::{Client, HttpService};
use support::http2::{
    ACK, DATA, Frames, GOAWAY, PING, PREFACE, SETTINGS, WINDOW_UPDATE, frame, request_frame,
};

/// What the services of these tests are told.
const LIMIT: Duration = Duration::from_secs(1);

/// A second for the limit, another for the ticks it is counted in, and two in which a last request may still come: who is not
/// closed by now is not closed.
const OVERDUE: Duration = Duration::from_secs(5);

/// Whoever is to be closed is, on the slowest of machines.
const LATEST: Duration = Duration::from_secs(30);

fn start(example: &str, flags: &[&str]) -> HttpService {
    let mut all = vec!["--keep-alive", "1", "--bind", "unix:http.sock"];
    all.extend_from_slice(flags);
    HttpService::start(example, &all)
}

/// A client that has been accepted and says nothing: over TCP the kernel would keep it to itself for a while.
fn silent(http: &HttpService) -> Client<UnixStream> {
    let stream = UnixStream::connect(http.file("http.sock")).unwrap();
    stream.set_read_timeout(Some(support::PATIENCE)).unwrap();
    Client::new(stream)
}

/// Waits for the end of a connection whose wait has begun after `start`.
fn assert_closed(client: &mut Client<impl Read + Write>, start: Instant, who: &str) {
    assert_eq!(client.rest().unwrap(), b"", "{who}");
    assert_duration(start, who);
}

fn assert_duration(start: Instant, who: &str) {
    let took = start.elapsed();
    assert!(took >= LIMIT && took < LATEST, "{who}: {took:?}");
}

#[test]
fn silent_clients_and_half_heads_are_closed_in_an_orderly_way() {
    for example in ["hello", "blocking"] {
        let http = start(example, &[]);
        thread::scope(|scope| {
            scope.spawn(|| {
                let start = Instant::now();
                assert_closed(&mut silent(&http), start, "a silent client");
            });
            scope.spawn(|| {
                let (start, mut client) = (Instant::now(), http.connect());
                client.send(b"GET /pid HTTP/1.1\r\nho").unwrap();
                assert_closed(&mut client, start, "half a first head");
            });
            scope.spawn(|| {
                let mut client = http.connect();
                let start = Instant::now();
                assert_eq!(client.get("/pid").unwrap().status, 200);
                assert_closed(&mut client, start, "an idle client");
            });
            scope.spawn(|| {
                let mut client = http.connect();
                let start = Instant::now();
                assert_eq!(client.get("/pid").unwrap().status, 200);
                client.send(b"GET /pid HTTP/1.1\r\nho").unwrap();
                assert_closed(&mut client, start, "half a second head");
            });
        });
    }
}

#[test]
fn a_byte_at_a_time_is_no_request() {
    let http = start("hello", &[]);
    let drip = |before: &[u8], drop: &[u8]| {
        let (start, mut client) = (Instant::now(), http.connect());
        client.send(before).unwrap();
        client.stream().set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        // The end, or a reset for what was sent after it.
        loop {
            let sent = client.send(drop);
            match client.rest() {
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock && sent.is_ok() => {}
                _ => break,
            }
            assert!(start.elapsed() < LATEST, "{}", String::from_utf8_lossy(before));
        }
        assert_duration(start, "a dripping client");
    };
    thread::scope(|scope| {
        scope.spawn(|| drip(b"GET / HTTP/1.1\r\nhost: here\r\nx: ", b"x"));
        // Not HTTP/2 yet.
        scope.spawn(|| drip(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r", b""));
        // Frames are no requests either.
        scope.spawn(|| {
            drip(&[PREFACE, &frame(SETTINGS, 0, 0, b"")].concat(), &frame(PING, 0, 0, b"as often"))
        });
    });
}

#[test]
fn the_time_of_an_answer_does_not_count() {
    let http = start("hello", &[]);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut client = http.connect();
            let answer = client.get("/sleep/5000").unwrap();
            assert_eq!((answer.body.as_str(), answer.closes), ("slept 5000 ms", false));
        });
        scope.spawn(|| {
            let mut client = http.connect();
            client.send(b"POST /length HTTP/1.1\r\nhost: here\r\ncontent-length: 20\r\n\r\n").unwrap();
            for _ in 0..20 {
                thread::sleep(OVERDUE / 20);
                client.send(b"x").unwrap();
            }
            assert_eq!(client.answer().unwrap().body, "20");
        });
        scope.spawn(|| {
            let mut client = http.connect();
            // More than the kernel keeps for a client that does not read.
            let len = 32 << 20;
            client.send(format!("GET /zeros/{len} HTTP/1.1\r\nhost: here\r\n\r\n").as_bytes()).unwrap();
            thread::sleep(OVERDUE);
            let answer = client.answer().unwrap();
            assert_eq!((answer.status, answer.body.len(), answer.closes), (200, len, false));
        });
    });
}

#[test]
fn a_worker_that_is_full_of_silent_clients_serves_others_again() {
    for (example, mode) in [("hello", "shared"), ("hello", "fair"), ("blocking", "shared")] {
        let http = start(example, &["--worker-connections", "20", "--accept-mode", mode]);
        let first = Instant::now();
        let crowd: Vec<_> = (0..20).map(|_| silent(&http)).collect();
        let mut other = silent(&http);
        assert_eq!(other.get("/pid").unwrap().status, 200, "{example}, {mode}");
        assert_duration(first, "the client that had to wait");
        drop(crowd);
    }
}

#[test]
fn without_a_limit_a_client_may_be_idle() {
    for example in ["hello", "blocking"] {
        let http = HttpService::start(example, &["--keep-alive", "0", "--bind", "unix:http.sock"]);
        let (mut idle, mut silent) = (http.connect(), silent(&http));
        assert_eq!(idle.get("/pid").unwrap().status, 200);
        thread::sleep(OVERDUE);
        assert_eq!(idle.get("/pid").unwrap().status, 200, "{example}");
        assert_eq!(silent.get("/pid").unwrap().status, 200, "{example}");
    }
}

#[test]
fn idle_http2_clients_get_goaway_and_the_end() {
    let http = start("hello", &[]);
    // One reacts to GOAWAY, the other has left without a word.
    for reacts in [true, false] {
        let start = Instant::now();
        let mut frames = begin_http2(&http);
        frames.0.send(&request_frame(1, "/pid")).unwrap();
        while frames.next().unwrap().0 != DATA {}
        while frames.next().unwrap().0 != GOAWAY {}
        assert_duration(start, "GOAWAY");
        while let Ok((kind, _, payload)) = frames.next() {
            if kind == PING && reacts {
                frames.0.send(&frame(PING, ACK, 0, &payload)).unwrap();
            }
        }
        assert_duration(start, "the end");
    }
}

#[test]
fn http2_streams_that_are_answered_are_not_idle() {
    let http = start("hello", &[]);
    let mut frames = begin_http2(&http);
    frames.0.send(&request_frame(1, "/sleep/5000")).unwrap();
    loop {
        match frames.next().unwrap() {
            (DATA, 1, payload) => break assert_eq!(payload, b"slept 5000 ms"),
            (kind, ..) => assert_ne!(kind, GOAWAY),
        }
    }
}

#[test]
fn an_http2_client_may_read_slowly() {
    let http = start("hello", &[]);
    let mut frames = begin_http2(&http);
    // Three times what a client lets come at first, RFC 9113, section 6.9.2.
    const WINDOW: usize = 65_535;
    frames.0.send(&request_frame(1, &format!("/zeros/{}", 3 * WINDOW))).unwrap();
    let mut received = 0;
    for part in 1..=3 {
        while received < part * WINDOW {
            let (kind, _, payload) = frames.next().unwrap();
            assert_ne!(kind, GOAWAY, "after {received} bytes");
            received += if kind == DATA { payload.len() } else { 0 };
        }
        if part < 3 {
            thread::sleep(OVERDUE);
            let more = u32::try_from(WINDOW).unwrap().to_be_bytes();
            frames.0.send(&frame(WINDOW_UPDATE, 0, 0, &more)).unwrap();
            frames.0.send(&frame(WINDOW_UPDATE, 0, 1, &more)).unwrap();
        }
    }
    assert_eq!(received, 3 * WINDOW);
}

#[test]
fn a_worker_without_connections_sleeps() {
    // Many looks a second while there is a connection.
    let http = HttpService::start("hello", &["--keep-alive", "0.1"]);
    let mut client = http.connect();
    assert_eq!(client.get("/pid").unwrap().status, 200);
    assert_eq!(client.rest().unwrap(), b"");
    drop(client);
    let worker = http.service.process("http worker").pid;
    http.service.wait_for("a second of sleep", || {
        let before = switches(worker);
        thread::sleep(Duration::from_secs(1));
        (switches(worker) < before + 10).then_some(())
    });
}

/// How often the threads of a process have gone to sleep.
fn switches(pid: u32) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let statuses = tasks.filter_map(|task| fs::read_to_string(task.unwrap().path().join("status")).ok());
    let counts = statuses.map(|status| {
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        line.unwrap().trim().parse::<u64>().unwrap()
    });
    counts.sum()
}

fn begin_http2(http: &HttpService) -> Frames<TcpStream> {
    let mut client = http.connect();
    client.send(PREFACE).unwrap();
    client.send(&frame(SETTINGS, 0, 0, b"")).unwrap();
    Frames(client)
}
