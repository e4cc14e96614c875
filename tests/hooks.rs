//! The hooks: when they run, in which process, and what becomes of a service whose hooks fail. The program is
//! `examples/hooks`, which notes every station in a journal.

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod support;

use std::path::Path;

use gunmetal::blocking::Client;
use support::Service;

const DIRTY_ONLY: [&str; 4] = ["--dirty-only", "--dirty-socket", "dirty.sock", "--dirty-workers"];

#[test]
fn each_station_is_reached_in_order_and_in_its_process() {
    let mut service = start(1, &[]);
    let worker = worker_pid(&service);
    service.signal(libc::SIGTERM);
    assert!(service.wait().success());

    let (journal, arbiter) = (journal(&service), service.pid());
    assert_eq!(
        journal,
        [
            format!("on_dirty_starting {arbiter} with 1 workers"),
            format!("dirty_post_fork {worker} worker 1 of {arbiter}"),
            format!("load {worker} what every worker needs"),
            format!("init {worker} hooks:First"),
            format!("init {worker} hooks:Second"),
            format!("dirty_worker_init {worker} hooks:First,hooks:Second"),
            format!("call {worker} hooks:First"),
            format!("close {worker} hooks:Second"),
            format!("close {worker} hooks:First"),
            format!("dirty_worker_exit {arbiter} worker {worker} exited with code 0"),
        ]
    );
}

#[test]
fn a_killed_worker_is_told_of_and_its_replacement_goes_the_same_way() {
    let service = start(1, &[]);
    let worker = worker_pid(&service);
    support::kill(worker, libc::SIGKILL);
    let next = service.wait_for("the replacement", || {
        Client::at(service.socket())
            .execute::<u32>("hooks:First", "pid", ())
            .ok()
            .filter(|pid| *pid != worker)
    });

    let (journal, arbiter) = (journal(&service), service.pid());
    let exit = format!("dirty_worker_exit {arbiter} worker {worker} was killed by signal 9 (SIGKILL)");
    let exit_at = position(&journal, &exit);
    let fork_at = position(&journal, &format!("dirty_post_fork {next} worker 2 of {arbiter}"));
    assert!(exit_at < fork_at, "{journal:#?}");
    position(&journal, &format!("dirty_worker_init {next} hooks:First,hooks:Second"));
}

#[test]
fn a_worker_that_fails_to_start_is_told_of_too() {
    let mut service = begin(1, &[("JOURNAL_PANIC", "init")]);
    assert_eq!(service.wait().code(), Some(3));
    let (journal, arbiter) = (journal(&service), service.pid());
    let exit = journal.last().unwrap();
    assert!(exit.starts_with(&format!("dirty_worker_exit {arbiter} worker ")), "{journal:#?}");
    assert!(exit.ends_with(" exited with code 3"), "{journal:#?}");
    assert!(!journal.iter().any(|line| line.starts_with("dirty_worker_init ")), "{journal:#?}");
}

#[test]
fn a_hook_that_panics_in_a_worker_is_a_failed_start_with_its_words() {
    for hook in ["dirty_post_fork", "dirty_worker_init"] {
        let mut service = begin(1, &[("JOURNAL_PANIC", hook)]);
        assert_eq!(service.wait().code(), Some(3), "{hook}");
        let last = last_words(&service);
        let expected = format!("dirty worker failed to start: {hook} panicked: asked to panic");
        assert!(last.contains(&expected), "{last}");
        assert!(service.descendants().is_empty());
    }
}

#[test]
fn a_hook_that_panics_in_the_arbiter_is_logged_and_survived() {
    for hook in ["on_dirty_starting", "dirty_worker_exit"] {
        let service = start(1, &[("JOURNAL_PANIC", hook)]);
        let worker = worker_pid(&service);
        support::kill(worker, libc::SIGKILL);
        service.wait_for("the replacement", || {
            let pid = Client::at(service.socket()).execute::<u32>("hooks:First", "pid", ()).ok()?;
            (pid != worker).then_some(())
        });
        let expected = format!("[ERROR] {hook} panicked: asked to panic");
        service.wait_for("the log line", || {
            service.log().iter().any(|line| line.contains(&expected)).then_some(())
        });
    }
}

#[test]
fn a_hook_that_leaves_a_thread_in_the_arbiter_is_named() {
    let mut service = begin(1, &[("JOURNAL_THREAD", "on_dirty_starting")]);
    assert_eq!(service.wait().code(), Some(3));
    let last = last_words(&service);
    assert!(
        last.contains("refusing to fork: this process has 2 threads") && last.contains("stray"),
        "{last}"
    );
    let log = service.log().join("\n");
    assert!(log.contains("on_dirty_starting left a thread behind, no worker can be forked"), "{log}");
}

#[test]
fn a_hook_may_start_a_thread_in_a_worker() {
    for hook in ["dirty_post_fork", "dirty_worker_init"] {
        let mut service = start(1, &[("JOURNAL_THREAD", hook)]);
        let worker = worker_pid(&service);
        // Not the thread of the hook takes it, but the worker, which ends in order.
        service.signal(libc::SIGTERM);
        assert!(service.wait().success(), "{hook}");
        let end = format!("dirty_worker_exit {} worker {worker} exited with code 0", service.pid());
        position(&journal(&service), &end);
    }
}

#[test]
fn under_a_master_the_hooks_run_in_the_dirty_arbiter() {
    let mut service = Service::start("hooks", &["--dirty-workers", "2", "--workers", "0"], &[]);
    let arbiter = service.process("dirty arbiter").pid;
    service.wait_for("the workers", || {
        let journal = read(&service.socket().with_file_name("journal.txt"))?;
        (journal.iter().filter(|line| line.starts_with("dirty_worker_init ")).count() == 2).then_some(())
    });
    service.wait_for("the log", || {
        service.log().iter().any(|line| line.contains("Dirty arbiter ready")).then_some(())
    });
    service.signal(libc::SIGTERM);
    assert!(service.wait().success());
    let journal = journal(&service);
    position(&journal, &format!("on_dirty_starting {arbiter} with 2 workers"));
    let exits = format!("dirty_worker_exit {arbiter} worker ");
    assert_eq!(journal.iter().filter(|line| line.starts_with(&exits)).count(), 2, "{journal:#?}");
}

fn begin(workers: u32, environment: &[(&str, &str)]) -> Service {
    let count = workers.to_string();
    let flags: Vec<&str> = DIRTY_ONLY.into_iter().chain([count.as_str()]).collect();
    Service::start("hooks", &flags, environment)
}

fn start(workers: u32, environment: &[(&str, &str)]) -> Service {
    let service = begin(workers, environment);
    service.wait_for("the dirty socket", || std::os::unix::net::UnixStream::connect(service.socket()).ok());
    service
}

/// The pid of the only worker, as it says itself.
fn worker_pid(service: &Service) -> u32 {
    Client::at(service.socket()).execute("hooks:First", "pid", ()).unwrap()
}

fn journal(service: &Service) -> Vec<String> {
    read(&service.socket().with_file_name("journal.txt")).unwrap_or_default()
}

fn read(path: &Path) -> Option<Vec<String>> {
    Some(std::fs::read_to_string(path).ok()?.lines().map(str::to_owned).collect())
}

fn position(journal: &[String], line: &str) -> usize {
    journal.iter().position(|other| other == line).unwrap_or_else(|| panic!("no {line:?} in {journal:#?}"))
}

fn last_words(service: &Service) -> String {
    service.wait_for("the last words", || {
        service.log().into_iter().rev().find(|line| line.starts_with("gunmetal: "))
    })
}
