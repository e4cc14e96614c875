//! Companions and signals, in processes of their own: this program once more, as [`process`].

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Instant;

use gunmetal_supervise::Signal;
use nix::sys::signal::kill;
use nix::unistd::Pid;

use super::*;

#[test]
fn a_companion_that_never_asks_dies_of_any_signal() {
    // And of SIGQUIT, with a core dump.
    for signal in [Signal::SIGTERM, Signal::SIGINT, STOP_SIGNAL] {
        let status = Process::start("deaf").end_by(signal);
        assert_eq!(status.signal(), Some(signal as i32), "{status}");
    }
}

#[test]
fn a_companion_that_has_asked_is_told_and_ends_by_itself() {
    for way in ["looking", "blocking", "async"] {
        for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGQUIT, STOP_SIGNAL] {
            let status = Process::start(way).end_by(signal);
            assert_eq!(status.code(), Some(0), "{way}, {signal}: {status}");
        }
    }
}

#[test]
fn a_companion_that_was_told_and_does_not_end_is_ended_when_its_patience_is_over() {
    let status = Process::start("stubborn").end_by(Signal::SIGTERM);
    assert_eq!(status.code(), Some(1), "{status}");
}

/// No test, but what the tests here start.
#[test]
#[ignore = "the process of other tests"]
fn process() {
    let Ok(way) = std::env::var(WAY) else { return };
    let mut functions = Functions::default();
    functions.register("deaf", blocking(|_| park())).unwrap();
    functions.register("looking", blocking(look)).unwrap();
    functions.register("blocking", blocking(block)).unwrap();
    functions.register("async", on_runtime(wait)).unwrap();
    functions.register("stubborn", blocking(resist)).unwrap();
    let patience = if way == "stubborn" { Duration::ZERO } else { Duration::from_secs(600) };
    let body = functions.body(&way, StopTerms { signal: STOP_SIGNAL, patience }).unwrap();
    std::process::exit(body(&way));
}

fn look(companion: Companion) {
    assert!(!companion.shutdown_requested());
    say_up();
    while !companion.shutdown_requested() {
        thread::yield_now();
    }
}

fn block(companion: Companion) {
    assert!(!companion.wait_for_shutdown(Duration::ZERO));
    say_up();
    while !companion.wait_for_shutdown(Duration::from_secs(600)) {}
}

async fn wait(companion: Companion) {
    let wish = companion.shutdown();
    say_up();
    wish.await;
    // It is there for every clone, and for ever.
    companion.clone().shutdown().await;
}

fn resist(companion: Companion) {
    companion.shutdown_requested();
    park();
}

fn park() {
    say_up();
    loop {
        thread::park();
    }
}

fn say_up() {
    let mut output = std::io::stdout();
    writeln!(output, "{UP}").and_then(|()| output.flush()).unwrap();
}

/// A companion that is up. Killed if a test ends before it does.
struct Process(Child);

impl Process {
    fn start(way: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "companion::tests::process", "--ignored", "--nocapture"])
            .env(WAY, way)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let process = Self(child);
        let is_up = lines.map_while(Result::ok).any(|line| line.ends_with(UP));
        assert!(is_up, "{way} has ended before it was up");
        process
    }

    fn end_by(mut self, signal: Signal) -> ExitStatus {
        kill(Pid::from_raw(self.0.id().try_into().unwrap()), signal).unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "it does not end");
            thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const STOP_SIGNAL: Signal = Signal::SIGUSR2;

/// The variable that says what [`process`] is to do.
const WAY: &str = "TEST_COMPANION";

const UP: &str = "companion is up";
