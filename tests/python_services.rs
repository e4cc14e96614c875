//! Whole services: real gunicorn with Flask and with FastAPI, whose dirty calls go to `examples/studio`.

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod support;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Stdio;

use gunmetal::blocking::Client;
use libc::{SIGHUP, SIGKILL};
use support::{PATIENCE, Service, example_binary, python};

/// Which of the Python examples runs, and in which of gunicorn's workers.
#[derive(Clone, Copy)]
enum Framework {
    Flask,
    FlaskInThreads,
    FastApi,
}

macro_rules! with_each_framework {
    ($($test:ident),* $(,)?) => {
        mod flask {
            $(#[test] fn $test() { super::$test(super::Framework::Flask); })*
        }
        mod flask_in_threads {
            $(#[test] fn $test() { super::$test(super::Framework::FlaskInThreads); })*
        }
        mod fastapi {
            $(#[test] fn $test() { super::$test(super::Framework::FastApi); })*
        }
    };
}

with_each_framework!(
    a_call_goes_to_a_dirty_worker_and_back,
    a_picture_goes_up_and_a_small_one_comes_down,
    words_arrive_as_they_are_told,
    a_story_ends_when_its_reader_leaves,
    each_kind_of_failure_has_its_status,
    a_killed_worker_ends_its_story_with_an_error_and_the_next_one_is_told,
    the_stash_outlives_a_reload_of_gunicorn,
    without_an_arbiter_requests_fail_until_it_is_back,
    requests_at_the_same_time_get_their_own_answers,
);

fn a_call_goes_to_a_dirty_worker_and_back(framework: Framework) {
    let web = Web::start(framework);
    let answer = web.post("/statistics", "ten green bottles, Jürgen".as_bytes());
    assert_eq!(answer.status, 200, "{}", answer.text());
    let statistics = answer.json();
    assert_eq!((&statistics["words"], &statistics["characters"]), (&4.into(), &25.into()));
    let workers: Vec<_> =
        web.dirty.processes("dirty worker").iter().map(|worker| worker.pid.into()).collect();
    assert!(workers.contains(&statistics["worker"]), "{statistics} is not by one of {workers:?}");
}

fn a_picture_goes_up_and_a_small_one_comes_down(framework: Framework) {
    let web = Web::start(framework);
    let picture = std::fs::read(repository().join("examples/gallery/samples/marbles.png")).unwrap();
    let answer = web.post("/thumbnail?size=40", &picture);
    assert_eq!((answer.status, answer.header("content-type")), (200, "image/png"));
    let small = image::load_from_memory(&answer.body).unwrap();
    assert_eq!(small.width().max(small.height()), 40);
}

fn words_arrive_as_they_are_told(framework: Framework) {
    let web = Web::start(framework);
    let answer = web.get("/story?prompt=once+upon+the&words=5");
    assert_eq!(answer.status, 200);
    assert!(answer.header("content-type").starts_with("text/event-stream"));
    let words = events(&answer.text());
    assert_eq!((words.len(), words[0].as_str()), (5, "the"));

    // This one takes hours, and its first words are here.
    let mut story = web.open("/story?words=1000000");
    let first: Vec<String> = (0..5).map(|_| next_event(&mut story)).collect();
    assert_eq!(first, words);
}

fn a_story_ends_when_its_reader_leaves(framework: Framework) {
    let web = Web::start(framework);
    let mut story = web.open("/story?words=1000000");
    next_event(&mut story);
    assert!(web.running() > 0);
    drop(story);
    web.dirty.wait_for("the story to end", || (web.running() == 0).then_some(()));
}

fn each_kind_of_failure_has_its_status(framework: Framework) {
    let web = Web::start(framework);
    let answer = web.post("/thumbnail", b"no picture at all");
    assert_eq!((answer.status, &answer.json()["error"]), (422, &"DirtyAppError".into()));
    assert_ne!(answer.json()["message"], "");

    let answer = web.get("/story?prompt=zebra");
    assert!(
        answer.text().contains("event: error\ndata: DirtyAppError: no story begins with 'zebra'"),
        "{}",
        answer.text()
    );

    assert_eq!(web.post("/statistics", b"fine").status, 200);
}

fn a_killed_worker_ends_its_story_with_an_error_and_the_next_one_is_told(framework: Framework) {
    let web = Web::start(framework);
    let mut story = web.open("/story?words=1000000");
    next_event(&mut story);
    let killed: BTreeSet<_> = web.dirty.processes("dirty worker").iter().map(|worker| worker.pid).collect();
    for &worker in &killed {
        support::kill(worker, SIGKILL);
    }
    let mut rest = String::new();
    story.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("event: error\ndata: DirtyWorkerError: Worker"), "{rest}");

    web.dirty.wait_for("a story by a replacement", || {
        let words = events(&web.get("/story?words=3").text());
        (words.len() == 3).then_some(())
    });
    assert!(web.dirty.processes("dirty worker").iter().all(|worker| !killed.contains(&worker.pid)));
}

fn the_stash_outlives_a_reload_of_gunicorn(framework: Framework) {
    let web = Web::start(framework);
    let mut count = 0;
    let mut visit = || {
        let visit = web.get("/visits");
        assert_eq!(visit.status, 200, "{}", visit.text());
        count += 1;
        let visit = visit.json();
        assert_eq!(visit["visits"], count);
        visit["worker"].as_u64().unwrap()
    };
    let old: BTreeSet<u64> = (0..10).map(|_| visit()).collect();

    let before: BTreeSet<_> = web.gunicorn.descendants().into_iter().map(|process| process.pid).collect();
    web.gunicorn.signal(SIGHUP);
    web.gunicorn.wait_for("new HTTP workers alone", || {
        let now = web.gunicorn.descendants();
        (now.len() == WORKER_COUNT && now.iter().all(|process| !before.contains(&process.pid))).then_some(())
    });
    web.gunicorn.wait_for("an answer after the reload", || web.try_get("/story?words=1").ok());
    let new: BTreeSet<u64> = (0..10).map(|_| visit()).collect();
    assert!(old.is_disjoint(&new), "{old:?} {new:?}");
}

fn without_an_arbiter_requests_fail_until_it_is_back(framework: Framework) {
    let mut web = Web::start(framework);
    assert_eq!(web.post("/statistics", b"here").status, 200);
    web.dirty.signal(libc::SIGTERM);
    assert!(web.dirty.wait().success());
    // A connection from before may have to break first.
    let failed = web.gunicorn.wait_for("the failure", || {
        let answer = web.post("/statistics", b"gone");
        (answer.json()["error"] == "DirtyConnectionError").then_some(answer)
    });
    assert_eq!(failed.status, 503);
    web.dirty = studio(web.sockets.path());
    web.gunicorn.wait_for("an answer", || (web.post("/statistics", b"back").status == 200).then_some(()));
}

fn requests_at_the_same_time_get_their_own_answers(framework: Framework) {
    let web = Web::start(framework);
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let web = &web;
            scope.spawn(move || {
                for count in 1..10 {
                    let answer = web.post("/statistics", "word ".repeat(thread * 10 + count).as_bytes());
                    assert_eq!(answer.json()["words"], thread * 10 + count);
                }
            });
        }
    });
}

/// gunicorn with one of the examples, and the studio as its dirty arbiter.
struct Web {
    gunicorn: Service,
    dirty: Service,
    port: u16,
    /// Where the dirty socket is.
    sockets: tempfile::TempDir,
}

/// gunicorn's workers.
const WORKER_COUNT: usize = 2;

impl Web {
    fn start(framework: Framework) -> Web {
        let sockets = tempfile::tempdir().unwrap();
        let dirty = studio(sockets.path());
        let directory = tempfile::tempdir().unwrap();
        let (example, worker, threads) = match framework {
            Framework::Flask => ("flask", "sync", "1"),
            Framework::FlaskInThreads => ("flask", "gthread", "4"),
            Framework::FastApi => ("fastapi", "asgi", "1"),
        };
        let mut command = python::python_command();
        command.args([
            "-m",
            "gunicorn",
            "--bind",
            "127.0.0.1:0",
            "--no-control-socket",
            "--graceful-timeout",
            "5",
        ]);
        command.args([
            "--workers",
            &WORKER_COUNT.to_string(),
            "--worker-class",
            worker,
            "--threads",
            threads,
            "app:app",
        ]);
        command.current_dir(repository().join("examples").join(example)).env("TMPDIR", directory.path());
        command.env("GUNICORN_DIRTY_SOCKET", sockets.path().join("dirty.sock")).stderr(Stdio::piped());
        let gunicorn = Service::of(command, directory);
        let port = gunicorn.wait_for("the line with the port", || {
            let log = gunicorn.log();
            let line = log.iter().find(|line| line.contains("Listening at: http://"))?;
            line.split("127.0.0.1:").nth(1)?.split(' ').next()?.parse().ok()
        });
        let web = Web { gunicorn, dirty, port, sockets };
        web.gunicorn.wait_for("the first answer", || web.try_get("/story?words=1").ok());
        web
    }

    fn get(&self, path: &str) -> Answer {
        self.try_get(path).unwrap()
    }

    fn try_get(&self, path: &str) -> std::io::Result<Answer> {
        Answer::read(self.send(&format!("GET {path}"), &[])?)
    }

    fn post(&self, path: &str, body: &[u8]) -> Answer {
        Answer::read(self.send(&format!("POST {path}"), body).unwrap()).unwrap()
    }

    /// A request whose answer is read as it comes.
    fn open(&self, path: &str) -> BufReader<TcpStream> {
        BufReader::new(self.send(&format!("GET {path}"), &[]).unwrap())
    }

    /// HTTP/1.0, so that a stream comes as it is, without the framing of chunks, and ends with its connection.
    fn send(&self, request: &str, body: &[u8]) -> std::io::Result<TcpStream> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let head = format!("{request} HTTP/1.0\r\nhost: here\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)?;
        Ok(stream)
    }

    /// How many calls the dirty workers have.
    fn running(&self) -> u64 {
        let status = Client::at(self.sockets.path().join("dirty.sock")).status().unwrap();
        status.workers.iter().filter_map(|worker| worker.running).sum()
    }
}

/// An HTTP answer.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn read(mut stream: TcpStream) -> std::io::Result<Answer> {
        let mut all = Vec::new();
        stream.read_to_end(&mut all)?;
        let end =
            all.windows(4).position(|four| four == b"\r\n\r\n").ok_or(std::io::ErrorKind::UnexpectedEof)?;
        let head = String::from_utf8_lossy(&all[..end]).to_lowercase();
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .ok_or(std::io::ErrorKind::InvalidData)?;
        Ok(Answer { status, head, body: all.split_off(end + 4) })
    }

    fn header(&self, name: &str) -> &str {
        let line = self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        line.unwrap_or_default()
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }
}

/// The dirty arbiter that hosts the studio's apps, at `dirty.sock` in that directory.
fn studio(sockets: &Path) -> Service {
    let directory = tempfile::tempdir().unwrap();
    let socket = sockets.join("dirty.sock");
    let mut command = std::process::Command::new(example_binary("studio"));
    command.args(["--dirty-only", "--dirty-workers", "2", "--dirty-socket"]).arg(&socket);
    command.env("TMPDIR", directory.path()).current_dir(directory.path()).stderr(Stdio::piped());
    let studio = Service::of(command, directory);
    studio.wait_for("the dirty socket", || UnixStream::connect(&socket).ok());
    studio
}

/// The data of the events in a stream that has ended.
fn events(stream: &str) -> Vec<String> {
    stream.lines().filter_map(|line| Some(line.strip_prefix("data: ")?.to_owned())).collect()
}

/// The data of the next event of a stream.
fn next_event(stream: &mut BufReader<TcpStream>) -> String {
    let mut line = String::new();
    loop {
        line.clear();
        assert_ne!(stream.read_line(&mut line).unwrap(), 0, "the stream has ended");
        if let Some(data) = line.strip_prefix("data: ") {
            return data.trim_end().to_owned();
        }
    }
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
