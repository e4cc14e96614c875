//! A whole service with real processes and real requests: `examples/small` under its master.

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use gunmetal::Value;
use gunmetal::blocking::Client;
use gunmetal::client::{CallError, ClientConfig};
use libc::{SIGCONT, SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGSTOP, SIGTERM, SIGTTIN, SIGTTOU};
use support::{PATIENCE, Process, Service};

/// A running service and the port it listens on.
struct Small {
    service: Service,
    port: u16,
}

impl Small {
    /// Starts the service on a port of its own and waits until it answers.
    fn start(flags: &[&str]) -> Small {
        Small::of("small", flags)
    }

    /// The same for another example that greets.
    fn of(example: &str, flags: &[&str]) -> Small {
        let mut all = vec!["--bind", "127.0.0.1:0"];
        all.extend_from_slice(flags);
        let service = Service::start(example, &all, &[]);
        let port = service.wait_for("the line with the port", || {
            let log = service.log();
            let line = log.iter().find(|line| line.contains("Listening at: http://"))?;
            line.split("127.0.0.1:").nth(1)?.split(' ').next()?.parse().ok()
        });
        let small = Small { service, port };
        small
            .service
            .wait_for("the first answer", || small.greet().ok().filter(|text| text.ends_with("World!")));
        small
    }

    fn greet(&self) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(b"GET /World HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n")?;
        answer(stream)
    }

    /// The answers that come until one is right: a service that is being repaired may be a moment away from it.
    fn greets_again(&self) {
        self.service
            .wait_for("a good answer", || self.greet().ok().filter(|text| text == "Good day, World!"));
    }

    fn pids(&self, part: &str) -> BTreeSet<u32> {
        self.service.processes(part).into_iter().map(|process| process.pid).collect()
    }

    /// Kills one process of a kind and waits for its replacement.
    fn kill_one(&self, part: &str) {
        let before = self.service.processes(part);
        before[0].signal(SIGKILL);
        self.service.wait_for("the replacement", || {
            let now = self.pids(part);
            (now.len() == before.len() && !now.contains(&before[0].pid)).then_some(())
        });
    }

    /// Waits for the end of the service, which must leave nothing, and returns its exit code.
    fn ends_without_trace(mut self, below: &[Process]) -> Option<i32> {
        let code = self.service.wait().code();
        for process in below {
            self.service.wait_for("the end of every process", || (!process.is_alive()).then_some(()));
        }
        assert_eq!(self.service.leftovers(), Vec::<std::path::PathBuf>::new());
        code
    }
}

#[test]
fn a_request_reaches_a_dirty_worker_and_comes_back() {
    let small = Small::start(&["--workers", "2"]);
    assert_eq!(small.greet().unwrap(), "Good day, World!");
    let titles: Vec<String> = small.service.descendants().into_iter().map(|process| process.title).collect();
    let count = |part: &str| titles.iter().filter(|title| title.contains(part)).count();
    let counts = ["dirty arbiter", "router", "dirty worker", "http worker"].map(count);
    assert_eq!(counts, [1, 1, 2, 2], "{titles:?}");
    let log = small.service.log().join("\n");
    for line in ["Starting gunmetal ", "Listening at: http://127.0.0.1:", "Booting worker with pid: "] {
        assert!(log.contains(line), "{line:?} is missing in:\n{log}");
    }
}

#[test]
fn whoever_is_killed_is_replaced_and_the_service_goes_on() {
    let small = Small::start(&["--workers", "2"]);
    for part in ["dirty worker 0", "router", "http worker"] {
        small.kill_one(part);
        small.greets_again();
    }
}

#[test]
fn a_killed_dirty_arbiter_is_replaced_on_the_same_socket_and_keeps_its_workers() {
    let small = Small::start(&[]);
    let sockets = || -> Vec<_> {
        let paths = small.service.leftovers().into_iter();
        paths.filter(|path| path.extension().is_some_and(|extension| extension == "sock")).collect()
    };
    let (before, http, dirty) = (sockets(), small.pids("http worker"), small.pids("dirty worker"));
    let arbiter = small.service.process("dirty arbiter");
    small.kill_one("dirty arbiter");
    small.greets_again();
    assert_eq!(sockets(), before);
    assert_eq!(small.pids("http worker"), http, "HTTP workers have nothing to do with it");
    assert_eq!(small.pids("dirty worker"), dirty, "the next arbiter has adopted them");
    assert!(arbiter.is_reaped());
}

#[test]
fn term_lets_a_request_in_flight_finish_and_leaves_nothing() {
    let small = Small::start(&["--dirty-workers", "1"]);
    let below = small.service.descendants();
    let worker = small.service.process("dirty worker");
    worker.signal(SIGSTOP);
    let waiting = request_in_flight(&small);
    small.service.signal(SIGTERM);
    small.service.wait_for("the stop to begin", || logged(&small.service, "Handling signal: term"));
    worker.signal(SIGCONT);
    assert_eq!(waiting.join().unwrap(), "Good day, World!");
    assert_eq!(small.ends_without_trace(&below), Some(0));
}

#[test]
fn a_blocking_worker_serves_and_finishes_in_the_same_way() {
    let small = Small::of("blocking", &["--workers", "2", "--dirty-workers", "1"]);
    let below = small.service.descendants();
    let worker = small.service.process("dirty worker");
    worker.signal(SIGSTOP);
    let waiting = request_in_flight(&small);
    small.service.signal(SIGTERM);
    small.service.wait_for("the stop to begin", || logged(&small.service, "Handling signal: term"));
    worker.signal(SIGCONT);
    assert_eq!(waiting.join().unwrap(), "Hello, World!");
    assert_eq!(small.ends_without_trace(&below), Some(0));
}

#[test]
fn graceful_timeout_ends_the_patience() {
    let flags = ["--dirty-workers", "1", "--graceful-timeout", "0.2", "--dirty-graceful-timeout", "0.2"];
    let small = Small::start(&flags);
    let below = small.service.descendants();
    small.service.process("dirty worker").signal(SIGSTOP);
    let waiting = request_in_flight(&small);
    small.service.signal(SIGTERM);
    assert_eq!(small.ends_without_trace(&below), Some(0));
    waiting.join().unwrap();
}

#[test]
fn a_second_term_ends_the_patience_too() {
    let small = Small::start(&["--dirty-workers", "1"]);
    let below = small.service.descendants();
    small.service.process("dirty worker").signal(SIGSTOP);
    let waiting = request_in_flight(&small);
    small.service.signal(SIGTERM);
    small.service.wait_for("the stop to begin", || logged(&small.service, "Handling signal: term"));
    let start = Instant::now();
    small.service.signal(SIGTERM);
    assert_eq!(small.ends_without_trace(&below), Some(0));
    assert!(start.elapsed() < Duration::from_secs(25), "the graceful timeout was waited for");
    waiting.join().unwrap();
}

#[test]
fn int_and_quit_end_at_once() {
    for signal in [SIGINT, SIGQUIT] {
        let small = Small::start(&["--workers", "2"]);
        let below = small.service.descendants();
        small.service.signal(signal);
        assert_eq!(small.ends_without_trace(&below), Some(0));
    }
}

#[test]
fn a_killed_master_takes_everything_with_it() {
    let small = Small::start(&["--workers", "2"]);
    let below = small.service.descendants();
    small.service.signal(SIGKILL);
    assert_eq!(small.ends_without_trace_later(&below), None);
}

#[test]
fn an_http_worker_that_hangs_is_replaced() {
    let small = Small::start(&["--timeout", "2"]);
    let worker = small.service.process("http worker");
    worker.signal(SIGSTOP);
    small.service.wait_for("the hanging worker's end", || (!worker.is_alive()).then_some(()));
    small.greets_again();
}

#[test]
fn calls_are_refused_at_once_while_no_worker_of_their_app_can_start() {
    let directory = tempfile::tempdir().unwrap();
    let obstacle = directory.path().join("obstacle");
    let environment = [("BENCH_INIT_FAIL_FILE", obstacle.to_str().unwrap())];
    let service = Service::probe(&["--dirty-app", "bench_app:BenchApp"], &environment);
    let client = Client::new(ClientConfig::new(service.socket()));
    let noop = || client.execute::<Value>("bench_app:BenchApp", "noop", ());
    service.wait_for("the first answer", || noop().ok());
    fs::write(&obstacle, "").unwrap();
    service.process("dirty worker").signal(SIGKILL);
    let error = service.wait_for("the refusal", || match noop() {
        Err(CallError::NoWorkersAvailable { message, .. }) => Some(message),
        Ok(_) | Err(_) => None,
    });
    assert!(error.contains("init told to fail"), "{error}");
    fs::remove_file(&obstacle).unwrap();
    service.wait_for("the next attempt", || noop().ok());
}

#[test]
fn hup_replaces_the_workers_and_keeps_the_router() {
    let small = Small::start(&["--workers", "2"]);
    let parts = ["http worker", "dirty worker"];
    let (before, router) = (parts.map(|part| small.pids(part)), small.pids("router"));
    small.service.signal(SIGHUP);
    small.service.wait_for("the new generation", || {
        // Every request on the way is answered.
        assert_eq!(small.greet().unwrap(), "Good day, World!");
        let now = parts.map(|part| small.pids(part));
        let is_new =
            |(now, before): (&BTreeSet<u32>, &BTreeSet<u32>)| now.len() == 2 && now.is_disjoint(before);
        now.iter().zip(&before).all(is_new).then_some(())
    });
    assert_eq!(small.pids("router"), router);
}

#[test]
fn a_client_that_has_not_asked_yet_is_answered_after_a_reload() {
    for example in ["small", "blocking"] {
        let small = Small::of(example, &["--workers", "2"]);
        let before = small.pids("http worker");
        let connect = || TcpStream::connect(("127.0.0.1", small.port)).unwrap();
        let clients: Vec<_> = (0..20).map(|_| connect()).collect();
        small.service.signal(SIGHUP);
        small.service.wait_for("two new workers and no other", || {
            let now = small.pids("http worker");
            (now.len() == 2 && now.is_disjoint(&before)).then_some(())
        });
        for mut client in clients {
            client.set_read_timeout(Some(PATIENCE)).unwrap();
            client.write_all(b"GET /World HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n").unwrap();
            assert!(answer(client).unwrap().ends_with("World!"));
        }
    }
}

#[test]
fn ttin_and_ttou_change_the_number_of_workers_but_not_beyond_what_the_app_asks_for() {
    let small = Small::start(&[]);
    let arbiter = small.service.process("dirty arbiter");
    let has = |part: &'static str, count: usize| {
        small.service.wait_for(part, || (small.pids(part).len() == count).then_some(()));
    };
    small.service.signal(SIGTTIN);
    has("http worker", 2);
    small.service.signal(SIGTTOU);
    has("http worker", 1);
    // The app asks for two workers, no more and no less.
    arbiter.signal(SIGTTIN);
    let refusal = || logged(&small.service, "All apps have reached their worker limits");
    small.service.wait_for("the first refusal", refusal);
    arbiter.signal(SIGTTOU);
    small.service.wait_for("the refusal", || logged(&small.service, "Cannot decrease below 2 workers"));
    has("dirty worker", 2);
    small.greets_again();
}

#[test]
fn ttin_and_ttou_during_a_reload_count_from_what_the_reload_ends_with() {
    let small = Small::start(&["--workers", "2"]);
    let reloads_with = |signal: i32, count: usize, reloads: usize| {
        // The second one comes long before the new workers are ready. (SIGSTOP would make sure of that, but SIGCONT takes
        // away a TTIN that waits.)
        small.service.signal(SIGHUP);
        small.service.signal(signal);
        small.service.wait_for("the reload", || {
            let log = small.service.log();
            (log.iter().filter(|line| line.contains("HTTP worker: reload done")).count() == reloads)
                .then_some(())
        });
        small.service.wait_for("the workers", || (small.pids("http worker").len() == count).then_some(()));
        let log = small.service.log();
        let resized = log.iter().rev().find(|line| line.contains("resized"));
        assert!(resized.unwrap().contains(&format!("to={count}")), "{resized:?}");
    };
    reloads_with(SIGTTIN, 3, 1);
    // A reload begins with what is configured.
    reloads_with(SIGTTOU, 1, 2);
    small.greets_again();
}

#[test]
fn a_unix_socket_is_bound_and_goes_with_the_service() {
    let small = Small::start(&["--bind", "unix:http.sock"]);
    let files = small.service.leftovers();
    let socket = files.iter().find(|path| path.ends_with("http.sock")).unwrap();
    UnixStream::connect(socket).unwrap();
    let below = small.service.descendants();
    small.service.signal(SIGTERM);
    assert_eq!(small.ends_without_trace(&below), Some(0));
}

#[test]
fn nobody_but_http_workers_has_the_http_socket() {
    let small = Small::start(&[]);
    let descriptors = |process: &Process| -> BTreeSet<String> {
        let links = fs::read_dir(format!("/proc/{}/fd", process.pid)).unwrap().flatten();
        links
            .filter_map(|link| Some(fs::read_link(link.path()).ok()?.to_string_lossy().into_owned()))
            .collect()
    };
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let port = format!(":{:04X}", small.port);
    let row = table.lines().find(|row| {
        let fields: Vec<&str> = row.split_whitespace().collect();
        fields[1].ends_with(&port) && fields[3] == LISTENING
    });
    let socket = format!("socket:[{}]", row.unwrap().split_whitespace().nth(9).unwrap());
    assert!(descriptors(&small.service.process("http worker")).contains(&socket));
    for part in ["dirty arbiter", "router", "dirty worker"] {
        for process in small.service.processes(part) {
            assert!(!descriptors(&process).contains(&socket), "{} has {socket}", process.title);
        }
    }
}

#[test]
fn an_idle_service_does_nothing() {
    let small = Small::start(&["--workers", "2"]);
    let switches = || -> Vec<(String, String)> {
        let all = small.service.descendants().into_iter();
        all.map(|process| {
            let status = fs::read_to_string(format!("/proc/{}/status", process.pid)).unwrap();
            let line = status.lines().find(|line| line.starts_with("voluntary_ctxt_switches")).unwrap();
            (process.title, line.to_owned())
        })
        .collect()
    };
    // What the start left to do is done when two looks in a row find the same; a loop that polls never gets there.
    small.service.wait_for("a second without a wake-up", || {
        let before = switches();
        std::thread::sleep(Duration::from_secs(1));
        (switches() == before).then_some(())
    });
}

impl Small {
    /// As [`ends_without_trace`](Self::ends_without_trace), for a master that could not clear up after itself.
    fn ends_without_trace_later(mut self, below: &[Process]) -> Option<i32> {
        let code = self.service.wait().code();
        for process in below {
            self.service.wait_for("the end of every process", || (!process.is_alive()).then_some(()));
        }
        self.service.wait_for("an empty directory", || self.service.leftovers().is_empty().then_some(()));
        code
    }
}

/// Sends a request on a thread, and returns once it waits for its stopped dirty worker.
fn request_in_flight(small: &Small) -> std::thread::JoinHandle<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", small.port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"GET /World HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n").unwrap();
    // The server has read the request when the kernel has nothing left of it to hand over.
    let port = format!(":{:04X}", stream.local_addr().unwrap().port());
    small.service.wait_for("the server to read the request", || {
        let table = fs::read_to_string("/proc/net/tcp").unwrap();
        let mut rows = table.lines().map(|row| row.split_whitespace().collect::<Vec<_>>());
        // The server's end of the connection: its peer is us; "tx_queue:rx_queue" in hexadecimal.
        rows.find(|row| row.get(2).is_some_and(|peer| peer.ends_with(&port)) && row[4].ends_with(":00000000"))
            .map(drop)
    });
    std::thread::spawn(move || answer(stream).unwrap_or_default())
}

/// The body of an answer after which the server closes.
fn answer(mut stream: impl Read) -> std::io::Result<String> {
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let body = text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
    body.ok_or_else(|| std::io::Error::other("no answer"))
}

fn logged(service: &Service, text: &str) -> Option<()> {
    service.log().iter().any(|line| line.contains(text)).then_some(())
}

/// `TCP_LISTEN`, as `/proc/net/tcp` shows it.
const LISTENING: &str = "0A";
