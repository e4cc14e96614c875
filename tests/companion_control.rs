//! The control socket of a running service, and clients that mean no good or know no better.

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod support;

use std::fs::{self, Permissions};
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::thread;

use libc::SIGTERM;
use serde_json::{Value, json};
use support::http::HttpService;
use support::master::start_configured;
use support::python::python_command;
use support::troupe::{LEFT, Operator, SETTINGS, ask, companion, companion_with, directory_of, start};

const STATUS: &str = r#"{"cmd":"status"}"#;

#[test]
fn what_is_no_request_is_answered_with_what_is_wrong_and_the_next_one_is_heard() {
    let http = start(&companion("a", "obeys"), &["a"]);
    let (mut operator, a) = (Operator::connect(&socket(&http)), http.service.begins("a", 1));
    for garbage in ["", "hello", "\u{0}\u{1}\u{2}", "{", "[]", "{\"cmd\": 7}", "{\"cmd\": \"halt\"}"] {
        let answer = operator.ask(garbage);
        assert_eq!(answer["ok"], false, "{garbage:?}: {answer}");
    }
    operator.send(b"\xff\xfe\n");
    assert_eq!(operator.hear().unwrap()["ok"], false);
    assert_eq!(operator.ask(STATUS)["companions"][0]["pid"], a);
    // A line in two halves is one, and so is one whose end is the end of all.
    operator.send(&STATUS.as_bytes()[..9]);
    assert_eq!(ask(&socket(&http), STATUS)["ok"], true);
    operator.send(&STATUS.as_bytes()[9..]);
    operator.0.get_mut().shutdown(Shutdown::Write).unwrap();
    assert_eq!(operator.hear().unwrap()["ok"], true);
    assert_eq!(operator.hear(), None);
    http.ends(SIGTERM, &LEFT);
}

#[test]
fn a_line_without_an_end_is_refused_and_so_is_all_that_follows() {
    let http = start(&companion("a", "obeys"), &["a"]);
    let mut stream = UnixStream::connect(socket(&http)).unwrap();
    let error = loop {
        // It is refused long before this has an end.
        if let Err(error) = stream.write_all(&[b'['; 64 << 10]) {
            break error.kind();
        }
    };
    assert!(matches!(error, ErrorKind::BrokenPipe | ErrorKind::ConnectionReset), "{error}");
    assert!(http.service.manager().resident_kib() < 100 << 10);
    works(&http);
    http.ends(SIGTERM, &LEFT);
}

#[test]
fn who_never_reads_or_leaves_in_the_middle_of_an_answer_hurts_nobody() {
    let companions: String = (0..50)
        .map(|number| companion_with(&format!("idle-{number}"), "obeys", "autostart = false"))
        .collect();
    let http = start(&format!("{companions}{}", companion("a", "obeys")), &["a"]);
    let manager = http.service.manager();
    let requests = format!("{STATUS}\n").repeat(2_000);
    // Its answers are far more than the kernel keeps for it.
    let mute = || {
        let mut stream = UnixStream::connect(socket(&http)).unwrap();
        stream.set_nonblocking(true).unwrap();
        let mut sent = 0;
        while let Ok(len) = stream.write(&requests.as_bytes()[sent..]) {
            sent += len;
            if sent == requests.len() {
                break;
            }
        }
        stream
    };
    let mutes: Vec<UnixStream> = (0..20).map(|_| mute()).collect();
    works(&http);
    for mut leaver in (0..20).map(|_| mute()) {
        leaver.set_nonblocking(false).unwrap();
        leaver.read_exact(&mut [0; 100]).unwrap();
    }
    works(&http);
    drop(mutes);
    works(&http);
    assert_eq!(http.service.manager(), manager);
    assert!(manager.resident_kib() < 100 << 10, "{} KiB", manager.resident_kib());
    http.ends(SIGTERM, &LEFT);
}

#[test]
fn a_hundred_silent_clients_leave_room_for_one_with_a_question() {
    let http = start(&companion("a", "obeys"), &["a"]);
    let mut silent: Vec<Operator> = (0..100).map(|_| Operator::connect(&socket(&http))).collect();
    let mut last = Operator::connect(&socket(&http));
    assert_eq!(last.ask(STATUS)["ok"], true);
    // The first ones had to go, not the last.
    assert_eq!(silent[0].hear(), None);
    assert_eq!(silent[99].ask(STATUS)["ok"], true);
    works(&http);
    http.ends(SIGTERM, &LEFT);
}

#[test]
fn many_are_answered_while_companions_end_as_fast_as_they_are_started() {
    let ends = |name: &str| {
        format!("[[companion_workers]]\nname = {name:?}\ncommand = [\"false\"]\nrestart_delay = 0\n")
    };
    let http = start(&[ends("x"), ends("y"), companion("a", "obeys")].concat(), &["a"]);
    let (manager, worker, a) = (http.service.manager(), http.answers(), http.service.begins("a", 1));
    let path = socket(&http);
    let clients = (0..20).map(|_| {
        let path = path.clone();
        thread::spawn(move || {
            let mut operator = Operator::connect(&path);
            (0..20).map(|_| operator.ask(STATUS)).collect::<Vec<Value>>()
        })
    });
    let clients: Vec<_> = clients.collect();
    for client in clients {
        for answer in client.join().unwrap() {
            let companions = answer["companions"].as_array().unwrap();
            let names: Vec<&Value> = companions.iter().map(|companion| &companion["name"]).collect();
            assert_eq!(names, ["x", "y", "a"]);
            assert_eq!(companions[2]["pid"], a);
        }
    }
    let count = |name: &str| http.service.status_of(name)["exit_count"].as_u64().unwrap();
    let before = count("x");
    http.service.wait_for("more ends", || (count("x") > before + 10).then_some(()));
    for name in ["x", "y"] {
        ask(&path, &json!({"cmd": "stop", "name": name}).to_string());
        http.service
            .wait_for("its stop", || (http.service.status_of(name)["state"] == "STOPPED").then_some(()));
    }
    assert_eq!(http.service.manager(), manager);
    assert_eq!(http.answers(), worker);
    http.ends(SIGTERM, &LEFT);
}

#[test]
fn another_user_is_kept_out_by_the_mode_of_the_socket_and_if_not_by_the_manager() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: only root may become another user");
        return;
    }
    for (mode, settings) in [(0o600, ""), (0o666, "companion_control_socket_mode = \"666\"\n")] {
        let settings = format!("{SETTINGS}{settings}{}", companion("a", "obeys"));
        let directory = directory_of("hello", &settings);
        fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
        let http = start_configured(directory, &[]);
        let a = http.service.begins("a", 1);
        assert_eq!(fs::metadata(socket(&http)).unwrap().mode() & 0o7777, mode);
        let output = python_command().args(["-c", STRANGER]).arg(socket(&http)).output().unwrap();
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        if mode == 0o600 {
            assert!(said.contains("PermissionError"), "{said}");
        } else {
            let answer: Value = serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said}"));
            assert_eq!(answer["ok"], false, "{said}");
            let reason = answer["error"].as_str().unwrap();
            assert!(reason.starts_with("user 65534 may not control these companions"), "{reason}");
            http.service.line("a user who may not control the companions has tried to");
        }
        assert_eq!(http.service.status_of("a")["pid"], a);
        works(&http);
        http.ends(SIGTERM, &LEFT);
    }
}

fn socket(http: &HttpService) -> PathBuf {
    http.file("c.sock")
}

/// Whether the manager still does what it is asked for.
fn works(http: &HttpService) {
    let begun = http.service.noted("a", "begins").len();
    let answer = ask(&socket(http), r#"{"cmd":"restart","name":"a"}"#);
    assert_eq!(answer["ok"], true, "{answer}");
    http.service.begins("a", begun + 1);
}

/// Gives a command as user 65534.
const STRANGER: &str = r#"
import os, socket, sys
os.setgid(65534)
os.setuid(65534)
stranger = socket.socket(socket.AF_UNIX)
stranger.connect(sys.argv[1])
try:
    stranger.sendall(b'{"cmd":"stop","name":"a"}\n')
except BrokenPipeError:
    pass  # It has been answered already.
sys.stdout.write(stranger.makefile().readline())
"#;
