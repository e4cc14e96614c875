//! Signals to the whole process group of a service, as a terminal, a shell's `kill %1` and some supervisors send them: they are
//! the master's to pass on.

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod support;

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use libc::{SIGCONT, SIGHUP, SIGSTOP, SIGTERM};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use support::http::HttpService;
use support::{Service, example_binary};

#[test]
fn term_to_the_group_lets_a_request_finish_with_the_dirty_arbiter_that_there_is() {
    let mut http = start("small", &["--dirty-workers", "1"]);
    // The router has found the worker: a call is given to it, stopped or not.
    assert_eq!(http.body("/World"), "Good day, World!");
    let dirty_worker = http.service.process("dirty worker");
    dirty_worker.signal(SIGSTOP);
    let mut client = http.connect();
    client.send(b"GET /World HTTP/1.1\r\nhost: here\r\n\r\n").unwrap();
    let dirty = gunmetal::blocking::Client::at(dirty_socket(&http));
    support::probe::wait_until_running(&http.service, &dirty, 1);
    signal_group(&http, SIGTERM);
    http.service.line("Handling signal: term");
    dirty_worker.signal(SIGCONT);
    assert_eq!(client.answer().unwrap().body, "Good day, World!");
    assert!(http.service.wait().success());
    assert_eq!(http.service.count("Booting dirty arbiter"), 1, "{:#?}", http.service.lines());
}

#[test]
fn hup_to_the_group_is_a_reload_and_costs_no_request() {
    let http = start("hello", &[]);
    let mut client = http.connect();
    let before = http.workers();
    client.send(b"GET /sleep/700 HTTP/1.1\r\nhost: here\r\n\r\n").unwrap();
    http.service.wait_for("the request to be read", || has_been_read(&mut client));
    signal_group(&http, SIGHUP);
    http.service.line("reload done");
    assert_eq!(client.answer().unwrap().body, "slept 700 ms");
    http.service.wait_for("new workers", || http.workers().is_disjoint(&before).then_some(()));
}

/// A service in a group of its own.
fn start(example: &str, flags: &[&str]) -> HttpService {
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new(example_binary(example));
    command.args(["--bind", "127.0.0.1:0"]).args(flags).env("TMPDIR", directory.path());
    command.current_dir(directory.path()).stderr(Stdio::piped()).process_group(0);
    let http = HttpService::of(Service::of(command, directory));
    http.service.wait_for("the workers", || (!http.workers().is_empty()).then_some(()));
    http
}

fn signal_group(http: &HttpService, signal: i32) {
    let group = Pid::from_raw(http.service.pid().try_into().unwrap());
    killpg(group, Signal::try_from(signal).unwrap()).unwrap();
}

fn dirty_socket(http: &HttpService) -> std::path::PathBuf {
    http.file(&format!("gunmetal-dirty-{}.sock", http.service.pid()))
}

/// Whether the kernel has nothing left of what the client has sent.
fn has_been_read(client: &mut support::http::Client<std::net::TcpStream>) -> Option<()> {
    let port = format!(":{:04X}", client.stream().local_addr().unwrap().port());
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let mut rows = table.lines().map(|row| row.split_whitespace().collect::<Vec<_>>());
    // The server's end: its peer is this client; "tx_queue:rx_queue" in hexadecimal.
    rows.find(|row| row.get(2).is_some_and(|peer| peer.ends_with(&port)) && row[4].ends_with(":00000000"))
        .map(drop)
}
