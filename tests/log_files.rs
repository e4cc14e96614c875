//! The log file and its rotation: `errorlog` and SIGUSR1. Real processes; the programs are `examples/small`, which has HTTP
//! workers, and `examples/hooks`, whose app writes log lines.

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use gunmetal::args;
use gunmetal::blocking::Client;
use support::Service;

const DIRTY_ONLY: [&str; 3] = ["--dirty-only", "--dirty-socket", "dirty.sock"];

#[test]
fn every_process_goes_on_in_the_new_file() {
    let service = Service::start(
        "small",
        &["--bind", "127.0.0.1:0", "--log-file", "app.log", "--log-level", "debug", "--workers", "2"],
        &[],
    );
    let log = in_directory(&service, "app.log");
    service.wait_for("the start", || (count(&log, "Booting worker with pid") == 2).then_some(()));
    service.wait_for("the dirty workers", || (service.processes("dirty worker").len() == 2).then_some(()));
    let http = service.wait_for("the HTTP workers", || {
        Some(service.processes("http worker")).filter(|workers| workers.len() == 2)
    });

    let moved = in_directory(&service, "app.log.1");
    fs::rename(&log, &moved).unwrap();
    service.signal(libc::SIGUSR1);

    let mut pids: BTreeSet<u32> = service.descendants().iter().map(|process| process.pid).collect();
    pids.insert(service.pid());
    assert_eq!(pids.len(), 7, "master, 2 HTTP workers, dirty arbiter, router, 2 dirty workers");
    service.wait_for("a line of every process", || {
        let heard: BTreeSet<u32> = lines(&log).iter().filter_map(|line| pid_of(line)).collect();
        (heard == pids).then_some(())
    });
    assert_eq!(service.processes("http worker"), http, "a log rotation cost a worker");
    assert!(service.log().is_empty(), "standard error was written to: {:?}", service.log());
}

#[test]
fn no_line_is_lost_or_torn_when_the_file_is_moved_under_load() {
    let mut flags = DIRTY_ONLY.to_vec();
    flags.extend(["--dirty-workers", "2", "--dirty-threads", "2", "--error-logfile", "app.log"]);
    let service = start(&flags);
    let (log, writers, count) = (in_directory(&service, "app.log"), 4, 20_000);
    let socket = service.socket();
    let threads: Vec<_> = (0..writers)
        .map(|name| {
            let client = Client::at(&socket);
            let call = move || client.execute::<()>("hooks:First", "log", args![format!("w{name}"), count]);
            thread::spawn(move || call().unwrap())
        })
        .collect();
    let mut files = vec![log.clone()];
    while threads.iter().any(|thread| !thread.is_finished()) {
        let moved = in_directory(&service, &format!("app.log.{}", files.len()));
        fs::rename(&log, &moved).unwrap();
        service.signal(libc::SIGUSR1);
        service.wait_for("the new file", || log.exists().then_some(()));
        files.push(moved);
    }
    threads.into_iter().for_each(|thread| thread.join().unwrap());

    let all: Vec<String> = files.iter().flat_map(|file| lines(file)).collect();
    let torn: Vec<&String> = all.iter().filter(|line| pid_of(line).is_none()).collect();
    assert!(torn.is_empty(), "{torn:?}");
    let mut found: Vec<&str> =
        all.iter().filter_map(|line| line.split_once("[INFO] w")).map(|(_, rest)| rest).collect();
    found.sort_unstable();
    let mut expected: Vec<String> = (0..writers)
        .flat_map(|name| (0..count).map(move |number| format!("{name} {number} of {count}")))
        .collect();
    expected.sort_unstable();
    assert!(files.len() > 2, "the file was moved only {} times", files.len() - 1);
    assert!(found == expected, "{} lines of {} in {} files", found.len(), expected.len(), files.len());
}

#[test]
fn the_dirty_arbiter_forwards_what_it_is_told_itself() {
    let mut flags = DIRTY_ONLY.to_vec();
    flags.extend(["--dirty-workers", "2", "--error-logfile", "app.log", "--log-level", "debug"]);
    let service = start(&flags);
    let log = in_directory(&service, "app.log");
    fs::rename(&log, in_directory(&service, "app.log.1")).unwrap();
    service.signal(libc::SIGUSR1);
    let pids: BTreeSet<u32> =
        service.descendants().iter().map(|process| process.pid).chain([service.pid()]).collect();
    assert_eq!(pids.len(), 4);
    service.wait_for("a line of every process", || {
        let heard: BTreeSet<u32> = lines(&log).iter().filter_map(|line| pid_of(line)).collect();
        (heard == pids).then_some(())
    });
}

#[test]
fn a_worker_that_is_adopted_is_told_what_it_missed() {
    let flags = [
        "--workers",
        "0",
        "--dirty-socket",
        "dirty.sock",
        "--dirty-workers",
        "2",
        "--log-file",
        "app.log",
        "--log-level",
        "debug",
    ];
    let service = start(&flags);
    let log = in_directory(&service, "app.log");
    service.wait_for("the start", || (count(&log, "Dirty arbiter ready") == 1).then_some(()));
    let workers: BTreeSet<u32> = service.processes("dirty worker").iter().map(|worker| worker.pid).collect();
    // When the master goes on, its arbiter is dead: it can forward the signal to nobody.
    service.signal(libc::SIGSTOP);
    service.process("dirty arbiter").signal(libc::SIGKILL);
    fs::rename(&log, in_directory(&service, "app.log.1")).unwrap();
    service.signal(libc::SIGUSR1);
    service.signal(libc::SIGCONT);
    service.wait_for("a line of every worker", || {
        let heard: BTreeSet<u32> = lines(&log).iter().filter_map(|line| pid_of(line)).collect();
        heard.is_superset(&workers).then_some(())
    });
    assert_eq!(count(&log, "Adopted dirty worker"), 2);
}

#[test]
fn lines_are_appended_to_what_is_there() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("app.log");
    fs::write(&log, "what was before\n").unwrap();
    let mut flags = DIRTY_ONLY.to_vec();
    flags.extend(["--error-logfile", log.to_str().unwrap()]);
    let mut service = start(&flags);
    service.signal(libc::SIGTERM);
    assert!(service.wait().success());
    let lines = lines(&log);
    assert_eq!(lines[0], "what was before");
    assert!(lines.last().unwrap().contains("Shutting down"), "{lines:?}");
}

#[test]
fn the_new_master_of_an_upgrade_has_the_standard_error_of_the_old_one_and_no_second_log_file() {
    let service = Service::start("hello", &["--bind", "127.0.0.1:0", "--log-file", "app.log"], &[]);
    let log = in_directory(&service, "app.log");
    service.wait_for("the start", || (count(&log, "Booting worker with pid") == 1).then_some(()));
    service.signal(libc::SIGUSR2);
    service.wait_for("the upgrade", || (count(&log, "New master is in service") == 1).then_some(()));
    let new = service.process("master.2");
    let descriptors = fs::read_dir(format!("/proc/{}/fd", new.pid)).unwrap();
    let open = descriptors.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
    let logs: Vec<_> = open.filter(|path| path.ends_with("app.log")).collect();
    assert_eq!(logs.len(), 1, "{logs:?}");
}

#[test]
fn a_file_that_cannot_be_opened_stops_the_start() {
    let mut service = Service::start("small", &["--error-logfile", "no/such/directory/app.log"], &[]);
    assert_eq!(service.wait().code(), Some(1));
    let last = last_words(&service);
    let expected =
        "gunmetal: the log file no/such/directory/app.log cannot be opened: No such file or directory";
    assert!(last.starts_with(expected), "{last}");
}

#[test]
fn a_file_that_cannot_be_opened_anew_is_kept() {
    let mut flags = DIRTY_ONLY.to_vec();
    flags.extend(["--dirty-workers", "1", "--error-logfile", "app.log"]);
    let service = start(&flags);
    let (log, moved) = (in_directory(&service, "app.log"), in_directory(&service, "app.log.1"));
    fs::rename(&log, &moved).unwrap();
    fs::create_dir(&log).unwrap();
    service.signal(libc::SIGUSR1);
    // The arbiter, the router and the worker.
    service.wait_for("all complaints", || {
        (count(&moved, "app.log cannot be opened anew, lines still go to the old one: Is a directory") == 3)
            .then_some(())
    });
    Client::at(service.socket()).execute::<()>("hooks:First", "log", args!["still", 1]).unwrap();
    service.wait_for("the line", || (count(&moved, "still 0 of 1") == 1).then_some(()));
}

#[test]
fn the_reason_of_a_failed_start_is_on_standard_error_all_the_same() {
    let mut flags = DIRTY_ONLY.to_vec();
    flags.extend(["--dirty-workers", "1", "--error-logfile", "app.log"]);
    let mut service = Service::start("hooks", &flags, &[("JOURNAL_PANIC", "init")]);
    assert_eq!(service.wait().code(), Some(3));
    let expected =
        "gunmetal: dirty worker failed to start: init of hooks:First failed: panicked: asked to panic";
    assert_eq!(last_words(&service), expected);
    assert_eq!(lines(&in_directory(&service, "app.log")).last().unwrap(), expected);
}

#[test]
fn a_dash_is_standard_error() {
    let mut flags = DIRTY_ONLY.to_vec();
    flags.extend(["--error-logfile", "-"]);
    let service = start(&flags);
    service.wait_for("a log line", || (!service.log().is_empty()).then_some(()));
    service.signal(libc::SIGUSR1);
    service.wait_for("the next one", || {
        service.log().iter().any(|line| line.contains("Handling signal: usr1")).then_some(())
    });
    assert!(!in_directory(&service, "-").exists());
}

/// From the first moment on: a worker is most easily killed by a signal before it has set its handlers.
#[test]
fn nobody_dies_of_a_log_rotation() {
    let mut service =
        Service::start("small", &["--bind", "127.0.0.1:0", "--log-file", "app.log", "--workers", "2"], &[]);
    let log = in_directory(&service, "app.log");
    service.wait_for("the master's first words", || (count(&log, "Starting gunmetal") == 1).then_some(()));
    service.wait_for("the start", || {
        service.signal(libc::SIGUSR1);
        // And past the parents, as a careless script does.
        service.descendants().iter().for_each(|process| process.signal(libc::SIGUSR1));
        (count(&log, "Booting worker with pid") >= 2 && service.descendants().len() == 6).then_some(())
    });
    service.signal(libc::SIGTERM);
    assert!(service.wait().success());
    let deaths: Vec<String> = lines(&log).into_iter().filter(|line| line.contains("SIGUSR1)")).collect();
    assert!(deaths.is_empty(), "{deaths:#?}");
}

fn start(flags: &[&str]) -> Service {
    let service = Service::start("hooks", flags, &[]);
    service.wait_for("the dirty socket", || std::os::unix::net::UnixStream::connect(service.socket()).ok());
    Client::at(service.socket()).execute::<u32>("hooks:First", "pid", ()).unwrap();
    service
}

fn in_directory(service: &Service, name: &str) -> PathBuf {
    service.socket().with_file_name(name)
}

fn lines(file: &Path) -> Vec<String> {
    fs::read_to_string(file).unwrap_or_default().lines().map(str::to_owned).collect()
}

fn count(file: &Path, part: &str) -> usize {
    lines(file).iter().filter(|line| line.contains(part)).count()
}

/// Of a whole line: `[time] [pid] [LEVEL] …`.
fn pid_of(line: &str) -> Option<u32> {
    let (time, rest) = line.strip_prefix('[')?.split_once("] [")?;
    let (pid, rest) = rest.split_once("] [")?;
    let (level, _) = rest.split_once("] ")?;
    let is_whole = time.len() == "2026-11-20T22:27:10.088450Z".len()
        && ["DEBUG", "INFO", "WARNING", "ERROR"].contains(&level)
        && line.matches("Z] [").count() == 1;
    pid.parse().ok().filter(|_| is_whole)
}

fn last_words(service: &Service) -> String {
    service.wait_for("the last words", || {
        service.log().into_iter().rev().find(|line| line.starts_with("gunmetal: "))
    })
}
