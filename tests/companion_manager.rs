//! The companion manager's place in a service: when it comes, when it goes, and what it has in its hands meanwhile.

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod support;

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Stdio};

use libc::{SIGINT, SIGKILL, SIGQUIT, SIGSTOP, SIGTERM, SIGUSR1};
use support::Service;
use support::http::HttpService;
use support::master::{begin_configured, daemon_in, lines, start_configured};
use support::troupe::{LEFT, SETTINGS, ask, companion, companion_with, directory_of, start, start_example};

#[test]
fn it_comes_after_the_dirty_arbiter_and_together_with_the_http_workers() {
    let settings = format!("{SETTINGS}dirty_socket = \"dirty.sock\"\n{}", companion("a", "obeys"));
    let http = start_configured(
        directory_of("hooks", &settings),
        &[("JOURNAL", "/dev/null"), ("JOURNAL_HANG", "on_dirty_starting")],
    );
    http.service.process("dirty arbiter");
    // What would come too early has all the time until the dirty arbiter is let go.
    assert_eq!(http.service.processes("companion manager"), []);
    assert!(http.workers().is_empty());
    fs::write(http.file("go"), "").unwrap();
    http.service.begins("a", 1);
    http.service.line("Booting worker with pid");
    let lines = http.service.lines();
    let at = |part: &str| lines.iter().position(|line| line.contains(part)).unwrap();
    assert!(at("Booting dirty arbiter") < at("Booting companion manager").min(at("Booting worker")));
    http.ends(SIGTERM, &[&LEFT[..], &["go"]].concat());
}

#[test]
fn a_control_socket_that_cannot_be_bound_ends_the_start_with_code_3_and_a_reason() {
    for (path, reason) in [
        ("missing/c.sock", "missing/c.sock: its directory does not exist"),
        ("app.toml", "app.toml exists and is not a socket"),
    ] {
        let settings = format!(
            "bind = [\"127.0.0.1:0\"]\ncompanion_control_socket = {path:?}\n{}",
            companion("a", "obeys")
        );
        let mut service = begin_configured(directory_of("hello", &settings), &[]);
        assert_eq!(service.wait().code(), Some(3));
        let last = service
            .wait_for("last words", || service.log().pop().filter(|line| line.starts_with("gunmetal: ")));
        assert!(last.starts_with("gunmetal: Companion manager failed to start: "), "{last}");
        assert!(last.ends_with(reason), "{last}");
        assert_eq!(service.notes(), []);
        assert_eq!(fs::read_to_string(service.file("app.toml")).unwrap(), settings);
        service.leaves_nothing_but(&LEFT);
    }
}

#[test]
fn a_socket_that_nobody_listens_at_is_replaced() {
    let directory = directory_of("hello", &format!("{SETTINGS}{}", companion("a", "obeys")));
    drop(UnixListener::bind(directory.path().join("c.sock")).unwrap());
    let http = start_configured(directory, &[]);
    http.service.begins("a", 1);
    assert!(http.service.status_of("a")["pid"].is_u64());
    http.ends(SIGTERM, &LEFT);
}

#[test]
fn whoever_else_listens_at_the_control_socket_is_waited_for_and_nothing_is_left_there() {
    let directory = directory_of("hello", &format!("{SETTINGS}{}", companion("a", "obeys")));
    let _stranger = UnixListener::bind(directory.path().join("c.sock")).unwrap();
    let mut http = start_configured(directory, &[]);
    http.service.line("Another companion manager listens at");
    http.answers();
    http.service.signal(SIGTERM);
    assert_eq!(http.service.wait().code(), Some(0));
    assert_eq!(http.service.notes(), []);
    http.service.leaves_nothing_but(&[&LEFT[..], &["c.sock"]].concat());
}

#[test]
fn a_control_socket_that_somebody_removes_is_made_anew() {
    let http = start(&companion("a", "obeys"), &["a"]);
    let a = http.service.begins("a", 1);
    fs::remove_file(http.file("c.sock")).unwrap();
    http.service.line("was gone and has been made anew");
    assert_eq!(http.service.status_of("a")["pid"], a);
    http.ends(SIGTERM, &LEFT);
}

#[test]
fn a_second_service_at_one_control_socket_waits_until_the_first_has_ended() {
    let mut first = start(&companion("a", "waits"), &["a"]);
    let a = first.service.begins("a", 1);
    let mut second = second_in(&first, &format!("{SETTINGS}{}", companion("a", "obeys")));
    // Its web tier has nothing to wait for.
    second.service.line("Another companion manager listens at");
    second.answers();
    first.service.signal(SIGTERM);
    first.service.comes_to("a", a, "waits");
    second.answers();
    assert_eq!(ask(&first.file("c.sock"), r#"{"cmd":"status"}"#)["companions"][0]["pid"], a);
    first.service.go();
    assert_eq!(first.service.wait().code(), Some(0));
    let next = first.service.begins("a", 2);
    second.service.line("Companions are controlled at");
    first.service.never_had_two();
    assert_eq!(first.service.status_of("a")["pid"], next);
    second.service.signal(SIGTERM);
    assert_eq!(second.service.wait().code(), Some(0));
    first.service.leaves_nothing_but(&[&LEFT[..], &["second.toml"]].concat());
}

#[test]
fn a_second_service_waits_for_what_a_first_one_has_left_that_was_killed() {
    let companions = [companion("waits", "waits"), companion_with("ignores", "ignores", "stop_timeout = 1")];
    let mut first = start(&companions.concat(), &["waits", "ignores"]);
    let (waits, manager) = (first.service.begins("waits", 1), first.service.manager());
    let second = second_in(&first, &format!("{SETTINGS}{}", companions.concat()));
    second.service.line("Another companion manager listens at");
    first.service.signal(SIGSTOP);
    manager.signal(SIGSTOP);
    manager.signal(SIGKILL);
    first.service.signal(SIGKILL);
    first.service.wait();
    second.service.line("Companion ignores was sent SIGKILL: it has not ended in time");
    first.service.begins("ignores", 2);
    assert_eq!(first.service.noted("waits", "begins"), [waits]);
    first.service.go();
    first.service.begins("waits", 2);
    first.service.never_had_two();
    second.service.signal(SIGTERM);
    first.service.leaves_nothing_but(&[&LEFT[..], &["app.pid", "second.toml"]].concat());
}

#[test]
fn companions_stop_while_http_drains_and_each_is_waited_for() {
    let http =
        start(&[companion("obeys", "obeys"), companion("waits", "waits")].concat(), &["obeys", "waits"]);
    let [obeys, waits] = ["obeys", "waits"].map(|name| http.service.begins(name, 1));
    let worker = http.service.process("http worker");
    // More than fits between the two: it is not answered before it is read.
    const LEN: usize = 64 << 20;
    let mut client = http.connect();
    client.send(format!("GET /zeros/{LEN} HTTP/1.0\r\n\r\n").as_bytes()).unwrap();
    let mut begin = [0; 64];
    client.read_exact(&mut begin).unwrap();
    http.service.signal(SIGTERM);
    http.service.comes_to("obeys", obeys, "ends by TERM");
    http.service.comes_to("waits", waits, "waits");
    assert!(worker.is_alive());
    let rest = client.rest().unwrap();
    assert!(begin.len() + rest.len() > LEN, "{} bytes", rest.len());
    http.service.wait_for("the end of the worker", || (!worker.is_alive()).then_some(()));
    assert!(http.service.noted("waits", "ends by TERM").is_empty());
    http.service.go();
    http.service.comes_to("waits", waits, "ends by TERM");
    assert_eq!(http.service.noted("obeys", "begins").len(), 1);
    http.service.leaves_nothing_but(&LEFT);
}

#[test]
fn the_dirty_arbiter_serves_until_the_last_companion_has_ended() {
    let settings = format!("dirty_socket = \"dirty.sock\"\n{}", companion("calls", "calls"));
    let http = start_example("hooks", &settings, &["calls"]);
    let companion = http.service.begins("calls", 1);
    let (worker, dirty) = (http.service.process("http worker"), http.service.process("dirty worker"));
    http.service.signal(SIGTERM);
    http.service.comes_to("calls", companion, "waits");
    http.service.wait_for("the end of the HTTP worker", || (!worker.is_alive()).then_some(()));
    assert!(dirty.is_alive());
    http.service.go();
    http.service.comes_to("calls", companion, &format!("called {}", dirty.pid));
    http.service.leaves_nothing_but(&[&LEFT[..], &["journal.txt"]].concat());
}

#[test]
fn companions_that_ignore_the_end_are_killed_when_their_time_is_up() {
    let http = start(&companion_with("a", "ignores", "stop_timeout = 0.5"), &["a"]);
    let service = &http.service;
    service.signal(SIGTERM);
    service.line("Companion a was sent SIGKILL: it has not ended in time");
    service.line("Companion a killed by signal 9 (SIGKILL), stopped");
    assert_eq!(service.noted("a", "begins").len(), 1);
    http.ends(SIGTERM, &LEFT);
}

#[test]
fn a_service_that_ends_at_once_does_not_wait_for_companions() {
    // However much time they have, it is longer than this test has.
    let companions = [companion("obeys", "obeys"), companion("ignores", "ignores")].concat();
    for signal in [SIGINT, SIGQUIT] {
        let http = start(&format!("companion_stop_timeout = 3600\n{companions}"), &["obeys", "ignores"]);
        let obeys = http.service.begins("obeys", 1);
        http.service.signal(signal);
        http.service.comes_to("obeys", obeys, "ends by TERM");
        http.ends(signal, &LEFT);
    }
}

#[test]
fn a_stop_that_takes_its_time_is_cut_short_by_another_signal() {
    for signal in [SIGTERM, SIGINT] {
        let http = start(&companion_with("a", "ignores", "stop_timeout = 3600"), &["a"]);
        http.service.signal(SIGTERM);
        http.service.line("Companion a stopping");
        http.ends(signal, &LEFT);
    }
}

#[test]
fn its_log_is_opened_anew_with_the_masters() {
    let settings = format!("{SETTINGS}errorlog = \"app.log\"\n{}", companion("a", "obeys"));
    let mut service = begin_configured(directory_of("hello", &settings), &[]);
    service.begins("a", 1);
    fs::rename(service.file("app.log"), service.file("old.log")).unwrap();
    service.signal(SIGUSR1);
    let manager = format!("[{}] ", service.manager().pid);
    // It may have the new file a moment later than the master.
    service.wait_for("its lines there", || {
        ask(&service.file("c.sock"), r#"{"cmd":"reread"}"#);
        lines(&service.file("app.log")).iter().any(|line| line.contains(&manager)).then_some(())
    });
    service.signal(SIGTERM);
    assert_eq!(service.wait().code(), Some(0));
    service.leaves_nothing_but(&[&LEFT[..], &["app.log", "old.log"]].concat());
}

#[test]
fn a_daemon_has_companions_too() {
    let settings = format!("companion_control_socket = \"c.sock\"\n{}", companion("a", "obeys"));
    let http = daemon_in(directory_of("hello", &settings), &["--config", "app.toml"], &[]);
    let a = http.service.begins("a", 1);
    assert_eq!(http.service.status_of("a")["pid"], a);
    http.service.signal(SIGTERM);
    http.service.comes_to("a", a, "ends by TERM");
    http.service.leaves_nothing_but(&[&LEFT[..], &["app.log"]].concat());
}

#[test]
fn a_dirty_arbiter_alone_has_no_companions_and_says_so() {
    let settings = format!("dirty_socket = \"dirty.sock\"\n{}", companion("a", "obeys"));
    let directory = directory_of("hooks", &settings);
    let mut command = Command::new("./app");
    command.args(["--dirty-only", "--config", "app.toml"]).env("JOURNAL", "/dev/null");
    command.env("TMPDIR", directory.path()).current_dir(directory.path()).stderr(Stdio::piped());
    let mut service = Service::of(command, directory);
    service.line("companion_workers does nothing with --dirty-only");
    service.process("dirty worker");
    assert_eq!(service.processes("companion"), []);
    service.signal(SIGTERM);
    assert_eq!(service.wait().code(), Some(0));
    assert_eq!(service.notes(), []);
    service.leaves_nothing_but(&LEFT);
}

/// The second manager: everything that a service has was there before it.
#[test]
fn it_has_in_its_hands_what_it_needs_and_nothing_else() {
    let settings = format!(
        "workers = 2\ndirty_socket = \"dirty.sock\"\n{}{}",
        companion("a", "obeys"),
        companion("b", "obeys")
    );
    let http = start_example("hooks", &settings, &["a", "b"]);
    let (service, first) = (&http.service, http.service.manager());
    first.signal(SIGKILL);
    let manager = service.next_manager(&first);
    service.begins("a", 2);
    service.begins("b", 2);
    let master = descriptors(service.pid());
    // A connection that has ended may be there for a moment.
    let held = service.wait_for("one socket", || {
        let held = descriptors(manager.pid);
        (held.iter().filter(|kind| kind.starts_with("socket:")).count() == 1).then_some(held)
    });
    let count = |of: &dyn Fn(&str) -> bool| held.iter().filter(|kind| of(kind)).count();
    assert_eq!(count(&|kind| kind == "anon_inode:[signalfd]"), 1, "{held:#?}");
    // The master's, and those of its companions.
    assert_eq!(count(&|kind| kind == "anon_inode:[pidfd]"), 3, "{held:#?}");
    // What its companions say.
    assert_eq!(count(&|kind| kind.starts_with("pipe:")), 2, "{held:#?}");
    assert_eq!(count(&|kind| kind.ends_with("c.sock.ledger")), 1, "{held:#?}");
    // Its own heartbeat, and no worker's.
    assert_eq!(count(&|kind| kind.ends_with(" (deleted)")), 1, "{held:#?}");
    assert_eq!(held.len(), 9, "{held:#?}");
    let shared = |kind: &&String| kind.starts_with("pipe:") || kind.starts_with("socket:");
    let shared: Vec<&String> = held.iter().filter(shared).filter(|kind| master.contains(kind)).collect();
    assert!(shared.is_empty(), "{shared:?}");
    http.ends(SIGTERM, &[&LEFT[..], &["journal.txt"]].concat());
}

#[test]
fn companions_run_as_the_services_user_and_lead_root_to_nothing_of_its_own() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: only root may be asked to run companions as another user");
        return;
    }
    let log = |name: &str| format!("stdout = \"notes/{name}.log\"\nstderr = \"stdout\"");
    let companions = ["a", "link", "new"].map(|name| companion_with(name, "obeys", &log(name)));
    let settings = format!("{SETTINGS}user = \"nobody\"\n{}", companions.concat());
    let directory = directory_of("hello", &settings);
    fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
    let file = |name: &str| directory.path().join(name);
    lchown(file("notes"), Some(NOBODY), Some(NOBODY)).unwrap();
    fs::write(file("precious"), "data").unwrap();
    fs::set_permissions(file("precious"), Permissions::from_mode(0o600)).unwrap();
    // As a companion could have planted them, into a file and to where there is none yet.
    for (name, target) in [("link", "precious"), ("new", "planted")] {
        symlink(format!("../{target}"), file(&format!("notes/{name}.log"))).unwrap();
        lchown(file(&format!("notes/{name}.log")), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let http = start_configured(directory, &[]);
    let a = http.service.begins("a", 1);
    for name in ["link", "new"] {
        let reason = http.service.wait_for("the refusal", || {
            let status = http.service.status_of(name);
            (status["state"] == "BACKOFF").then(|| status["description"].to_string())
        });
        assert!(reason.contains(&format!("notes/{name}.log: Permission denied")), "{reason}");
        assert!(http.service.noted(name, "begins").is_empty());
    }
    assert_eq!(fs::read_to_string(http.file("precious")).unwrap(), "data");
    assert!(!http.file("planted").exists());
    let owner = |path: &Path| fs::symlink_metadata(path).unwrap().uid();
    let ids = fs::read_to_string(format!("/proc/{a}/status")).unwrap();
    let id = |name: &str| {
        let line = ids.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().skip(1).map(|id| id.parse().unwrap()).collect::<Vec<u32>>()
    };
    assert_eq!((id("Uid:"), id("Gid:")), (vec![NOBODY; 4], vec![NOBODY; 4]));
    assert_eq!(owner(&http.file("notes/a.log")), NOBODY);
    assert_eq!(owner(Path::new(&format!("/proc/{}", http.service.manager().pid))), 0);
    assert_eq!(owner(&http.file("c.sock")), 0);
    assert_eq!(fs::metadata(http.file("c.sock")).unwrap().mode() & 0o7777, 0o600);
    http.service.signal(SIGTERM);
    http.service.comes_to("a", a, "ends by TERM");
    http.service.leaves_nothing_but(&[&LEFT[..], &["precious"]].concat());
}

/// Starts a second service in the directory of a first one.
fn second_in(first: &HttpService, settings: &str) -> HttpService {
    fs::write(first.file("second.toml"), settings.replace("app.pid", "second.pid")).unwrap();
    let mut command = Command::new("./app");
    command.args(["--config", "second.toml"]).current_dir(first.service.directory()).stderr(Stdio::piped());
    HttpService::of(Service::of(command, tempfile::tempdir().unwrap()))
}

/// What the descriptors of a process refer to, the standard streams left out.
fn descriptors(pid: u32) -> Vec<String> {
    let links = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    let others =
        links.filter(|link| link.file_name().to_string_lossy().parse().is_ok_and(|number: u32| number > 2));
    others.filter_map(|link| Some(fs::read_link(link.path()).ok()?.to_string_lossy().into_owned())).collect()
}

const NOBODY: u32 = 65_534;
