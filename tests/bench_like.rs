//! `examples/bench-like`: a web tier, with a scheduler, queue workers and a Python script as its companions.

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use libc::{SIGHUP, SIGKILL, SIGTERM};
use support::http::{Answer, Client};
use support::{PATIENCE, Process, Service, example_binary, python};

#[test]
fn a_job_is_queued_done_and_told() {
    let bench = Bench::start(0);
    let answer = bench.post("/jobs", "600851475143");
    assert_eq!(answer.status, 202, "{}", answer.body);
    let path = format!("/jobs/{}", answer.body.trim());
    let result = bench.service.wait_for("the result", || {
        let answer = bench.get(&path);
        (answer.status == 200).then_some(answer.body)
    });
    assert_eq!(result, "600851475143 = 71 x 839 x 1471 x 6857\n");

    assert_eq!(bench.post("/jobs", "no number").status, 400);
    for unknown in ["/jobs/1-1", "/jobs/..%2fgunmetal.toml", "/jobs/%2e%2e"] {
        assert_eq!(bench.get(unknown).status, 404, "{unknown}");
    }
}

#[test]
fn the_scheduler_asks_for_jobs_and_python_tells_how_many_are_done() {
    let bench = Bench::start(1);
    bench.service.wait_for("jobs that the scheduler has asked for", || (bench.done() >= 2).then_some(()));
    // Python may still be at its start, and then not have asked the web tier yet.
    let line = bench.service.wait_for("a live event", || {
        let mut stream = TcpStream::connect((bench.address.as_str(), 8001)).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").ok()?;
        let lines = BufReader::new(stream).lines().map_while(Result::ok);
        lines.into_iter().find_map(|line| line.strip_prefix("data: ").map(str::to_owned))
    });
    let counts: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert!(counts["done"].as_u64() >= Some(2), "{counts}");
    let log = fs::read_to_string(bench.path("log/scheduler.log")).unwrap();
    assert!(log.contains(" queued, 0 old results thrown away"), "{log}");
}

#[test]
fn whoever_is_killed_is_back_after_the_delay_and_the_web_tier_answers_throughout() {
    let bench = Bench::start(2);
    for title in COMPANIONS {
        let before = bench.process(title);
        let killed = Instant::now();
        let answers = bench.while_it_answers(|| {
            before.signal(SIGKILL);
            bench.service.wait_for("its successor", || {
                bench.service.processes(title).into_iter().find(|process| process.pid != before.pid)
            });
        });
        assert!(killed.elapsed() >= Duration::from_secs(1), "{title} was back after {:?}", killed.elapsed());
        assert!(answers > 0);
    }
}

#[test]
fn a_killed_manager_comes_back_with_all_companions_and_the_web_tier_answers_throughout() {
    let bench = Bench::start(3);
    let before = bench.companions();
    bench.while_it_answers(|| {
        bench.process("companion manager").signal(SIGKILL);
        bench.service.wait_for("new companions", || {
            let now = bench.companions();
            (now.len() == COMPANIONS.len() && now.is_disjoint(&before)).then_some(())
        });
    });
}

#[test]
fn no_job_is_lost_when_workers_are_killed() {
    let bench = Bench::start(4);
    let mut paths = BTreeSet::new();
    for _ in 0..4 {
        for number in 0..10 {
            let answer = bench.post("/jobs", &(999_999_999_000_u64 + number).to_string());
            paths.insert(format!("/jobs/{}", answer.body.trim()));
        }
        bench.process("worker-1").signal(SIGKILL);
        bench.process("worker-2").signal(SIGKILL);
    }
    assert_eq!(paths.len(), 40);
    bench.service.wait_for("the results", || {
        paths.retain(|path| bench.get(path).status != 200);
        paths.is_empty().then_some(())
    });
}

#[test]
fn a_reload_gives_the_web_tier_new_workers_and_leaves_the_companions() {
    let bench = Bench::start(5);
    let (companions, workers) = (bench.companions(), bench.web_workers());
    bench.while_it_answers(|| {
        bench.service.signal(SIGHUP);
        bench.service.wait_for("new HTTP workers", || {
            let now = bench.web_workers();
            (now.len() == 2 && now.is_disjoint(&workers)).then_some(())
        });
    });
    assert_eq!(bench.companions(), companions);
}

#[test]
fn a_stop_ends_everybody() {
    let mut bench = Bench::start(6);
    let log = || fs::read_to_string(bench.path("log/worker-1.log")).unwrap();
    // Until it has looked for the first time whether it is to end, the signal just ends it.
    bench.service.wait_for("a job done by the first worker", || {
        bench.post("/jobs", "6");
        log().contains(" done\n").then_some(())
    });
    bench.service.signal(SIGTERM);
    assert!(bench.service.wait().success(), "{}", bench.service.log().join("\n"));
    assert_eq!(bench.service.strays(), []);
    let log = fs::read_to_string(bench.path("log/worker-1.log")).unwrap();
    assert!(log.ends_with("worker-1 ends\n"), "{log}");
}

/// The example in a directory of its own, with all its companions.
struct Bench {
    service: Service,
    address: String,
}

impl Bench {
    /// `number` is another one in each test.
    fn start(number: u32) -> Bench {
        // Everything from 127.0.0.0 to 127.255.255.255 is this machine: nobody else has this address, so the ports are free.
        let pid = std::process::id();
        let address = format!("127.{}.{}.{}", 10 + number, pid >> 8 & 0xff, pid & 0xff);
        let directory = tempfile::tempdir().unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/bench-like");
        fs::create_dir(directory.path().join("log")).unwrap();
        for name in ["gunmetal.toml", "live.py"] {
            let text = fs::read_to_string(source.join(name)).unwrap().replace("127.0.0.1", &address);
            fs::write(directory.path().join(name), text).unwrap();
        }
        // Not what else may be called `python3`, such as a script that starts one.
        let python = python::python();
        let path = [python.parent().unwrap().as_os_str().to_owned(), std::env::var_os("PATH").unwrap()];
        let mut command = Command::new(example_binary("bench-like"));
        command.env("PATH", path.join(":".as_ref()));
        command.env("TMPDIR", directory.path()).current_dir(directory.path()).stderr(Stdio::piped());
        let service = Service::of(command, directory);
        let bench = Bench { service, address };
        bench.service.wait_for("all companions", || {
            (bench.companions().len() == COMPANIONS.len() && bench.web_workers().len() == 2).then_some(())
        });
        bench
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.service.directory().join(name)
    }

    fn process(&self, title: &str) -> Process {
        self.service.process(title)
    }

    fn companions(&self) -> BTreeSet<u32> {
        let processes = COMPANIONS.iter().flat_map(|title| self.service.processes(title));
        processes.map(|process| process.pid).collect()
    }

    fn web_workers(&self) -> BTreeSet<u32> {
        self.service.processes("http worker").into_iter().map(|process| process.pid).collect()
    }

    fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path} HTTP/1.1\r\nhost: bench\r\n\r\n"))
    }

    fn post(&self, path: &str, body: &str) -> Answer {
        let len = body.len();
        self.ask(&format!("POST {path} HTTP/1.1\r\nhost: bench\r\ncontent-length: {len}\r\n\r\n{body}"))
    }

    /// Over a connection of its own.
    fn ask(&self, request: &str) -> Answer {
        let stream = TcpStream::connect((self.address.as_str(), 8000)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut client = Client::new(stream);
        client.send(request.as_bytes()).unwrap();
        client.answer().unwrap()
    }

    fn done(&self) -> u64 {
        let counts: serde_json::Value = serde_json::from_str(&self.get("/").body).unwrap();
        counts["done"].as_u64().unwrap()
    }

    /// Asks the web tier again and again during `body`, and fails if an answer is missing. Returns how many there were.
    fn while_it_answers(&self, body: impl FnOnce()) -> u64 {
        let (is_over, answers) = (AtomicBool::new(false), AtomicU64::new(0));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    assert_eq!(self.get("/").status, 200);
                    answers.fetch_add(1, Ordering::Relaxed);
                }
            });
            // Even if it panics, the other thread is told to end.
            struct Over<'a>(&'a AtomicBool);
            impl Drop for Over<'_> {
                fn drop(&mut self) {
                    self.0.store(true, Ordering::Relaxed);
                }
            }
            let _over = Over(&is_over);
            body();
        });
        answers.into_inner()
    }
}

/// What each of them is shown as.
const COMPANIONS: [&str; 4] = ["companion scheduler", "companion worker-1", "companion worker-2", "live.py"];
