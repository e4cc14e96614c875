//! The hooks of the master and of HTTP workers: when they run, in which process, with what, and what becomes of a service whose
//! hooks fail. The program is `examples/hooks`, which notes every station in a journal.

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod support;

use libc::{SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGTERM, SIGTTIN, SIGTTOU, SIGUSR2};
use support::Service;
use support::http::HttpService;
use support::master::{directory_with, lines, pid_in, start_in};

const ALONE: [&str; 4] = ["--bind", "127.0.0.1:0", "--dirty-workers", "0"];

#[test]
fn each_station_is_reached_in_order_and_in_its_process() {
    let mut http = start(&[]);
    let (master, address) = (http.service.pid(), format!("http://127.0.0.1:{}", http.port));
    let first = http.answers();
    http.service.signal(SIGHUP);
    let second = waits_for(&http.service, "child_exit", 1, || http.answers());
    http.service.signal(SIGTTIN);
    let two = http.has_workers(2);
    let third = *two.iter().find(|pid| **pid != second).unwrap();
    noted(&http.service, &format!("post_worker_init {third} worker 3 in slot 1"));
    http.service.signal(SIGTTOU);
    waits_for(&http.service, "child_exit", 2, || ());
    http.service.signal(SIGTERM);
    assert_eq!(http.service.wait().code(), Some(0));

    let expected = [
        format!("on_starting {master} Master with 1 workers"),
        format!("when_ready {master} Master at {address}"),
        format!("nworkers_changed {master} from none to 1"),
        format!("pre_fork {master} worker 1 of {master}"),
        format!("post_fork {first} worker 1 of {master}"),
        format!("load {first} what every worker needs"),
        format!("post_worker_init {first} worker 1 in slot 0"),
        format!("on_reload {master} Master with 1 workers"),
        format!("pre_fork {master} worker 2 of {master}"),
        format!("post_fork {second} worker 2 of {master}"),
        format!("load {second} what every worker needs"),
        format!("post_worker_init {second} worker 2 in slot 0"),
        format!("worker_exit {first} worker 1"),
        format!("child_exit {master} worker {first} exited with code 0"),
        format!("nworkers_changed {master} from 1 to 2"),
        format!("pre_fork {master} worker 3 of {master}"),
        format!("post_fork {third} worker 3 of {master}"),
        format!("load {third} what every worker needs"),
        format!("post_worker_init {third} worker 3 in slot 1"),
        format!("nworkers_changed {master} from 2 to 1"),
        format!("worker_exit {third} worker 3"),
        format!("child_exit {master} worker {third} exited with code 0"),
        format!("worker_exit {second} worker 2"),
        format!("child_exit {master} worker {second} exited with code 0"),
        format!("on_exit {master} Master"),
    ];
    assert_eq!(journal(&http.service), expected);
}

#[test]
fn the_new_master_of_an_upgrade_has_hooks_of_its_own() {
    let flags = ["--dirty-workers", "0", "--pid", "app.pid"];
    let mut http = start_in(directory_with("hooks"), &flags, &[]);
    let old = http.service.pid();
    http.service.signal(SIGUSR2);
    http.service.line("New master is in service");
    let new = pid_in(&http.file("app.pid.2")).unwrap();
    http.service.signal(SIGTERM);
    assert_eq!(http.service.wait().code(), Some(0));
    http.service.follow(new);
    http.service.line("promoted");
    http.service.signal(SIGTERM);
    noted(&http.service, &format!("on_exit {new} Master"));
    let journal = journal(&http.service);
    let at = |line: String| position(&journal, &line);
    let stations = [
        at(format!("pre_exec {new} child of {old}")),
        at(format!("on_starting {new} Master.2 with 1 workers")),
        at(format!("when_ready {new} Master.2 at http://127.0.0.1:{}", http.port)),
        at(format!("nworkers_changed {new} from none to 1")),
        at(format!("on_exit {old} Master")),
    ];
    assert!(stations.is_sorted(), "{journal:#?}");
}

#[test]
fn a_worker_that_hangs_is_aborted_with_a_last_word() {
    let http = start(&["--timeout", "2"]);
    let (master, worker) = (http.service.pid(), http.answers());
    let mut client = http.connect();
    client.send(b"GET /hang HTTP/1.1\r\nhost: here\r\n\r\n").unwrap();
    noted(&http.service, &format!("worker_abort {worker} worker 1"));
    let end = format!("child_exit {master} worker {worker} was killed by signal 6 (SIGABRT) (no heartbeat)");
    noted(&http.service, &end);
    assert!(!journal(&http.service).iter().any(|line| line.starts_with("worker_exit")));
    assert_ne!(http.answers(), worker);
}

#[test]
fn worker_exit_is_reached_however_a_worker_ends_but_not_if_it_is_killed() {
    for signal in [SIGTERM, SIGQUIT, SIGINT, SIGKILL] {
        let http = start(&[]);
        let (master, worker) = (http.service.pid(), http.answers());
        support::kill(worker, signal);
        waits_for(&http.service, "child_exit", 1, || ());
        let journal = journal(&http.service);
        let exit = journal.contains(&format!("worker_exit {worker} worker 1"));
        assert_eq!(exit, signal != SIGKILL, "{signal}: {journal:#?}");
        let cause = if signal == SIGKILL { "was killed by signal 9 (SIGKILL)" } else { "exited with code 0" };
        position(&journal, &format!("child_exit {master} worker {worker} {cause}"));
        assert_ne!(http.answers(), worker);
    }
    // One that had its share, and one of a service that ends at once.
    let mut http = start(&["--max-requests", "1"]);
    let worker = http.answers();
    waits_for(&http.service, "child_exit", 1, || ());
    noted(&http.service, &format!("worker_exit {worker} worker 1"));
    http.service.signal(SIGQUIT);
    assert_eq!(http.service.wait().code(), Some(0));
    let journal = journal(&http.service);
    let count = |name: &str| journal.iter().filter(|line| line.starts_with(name)).count();
    assert_eq!(count("worker_exit"), count("post_worker_init"), "{journal:#?}");
}

#[test]
fn the_first_hooks_of_the_master_refuse_the_start_by_a_panic() {
    for (hook, has_end) in [("on_starting", false), ("when_ready", true)] {
        let service =
            refused(&[("JOURNAL_PANIC", hook)], 1, &format!("{hook} refused the start: asked to panic"));
        let has_exit = journal(&service).iter().any(|line| line.starts_with("on_exit"));
        assert_eq!(has_exit, has_end, "{hook}");
        let stray = "it left a thread behind: this process has 2 threads";
        refused(&[("JOURNAL_THREAD", hook)], 1, &format!("{hook} refused the start: {stray}"));
    }
}

#[test]
fn a_panic_in_a_worker_that_starts_is_a_failed_start_with_its_words() {
    for hook in ["post_fork", "post_worker_init"] {
        let words = format!("HTTP worker failed to start: {hook} panicked: asked to panic");
        let service = refused(&[("JOURNAL_PANIC", hook)], 3, &words);
        let (journal, master) = (journal(&service), service.pid());
        assert!(
            journal.iter().any(|line| line.starts_with(&format!("child_exit {master} "))),
            "{journal:#?}"
        );
        assert_eq!(journal.last().unwrap(), &format!("on_exit {master} Master"));
    }
}

#[test]
fn a_worker_that_dies_before_it_is_ready_is_a_failed_start_too() {
    for (hook, cause) in [("post_fork", "SIGABRT"), ("post_worker_init", "SIGABRT"), ("load", "SIGABRT")] {
        let service = refused(&[("JOURNAL_ABORT", hook)], 3, cause);
        assert_eq!(journal(&service).last().unwrap(), &format!("on_exit {} Master", service.pid()));
    }
}

#[test]
fn other_panics_are_logged_and_survived() {
    let hooks =
        ["nworkers_changed", "pre_fork", "on_reload", "worker_abort", "worker_exit", "child_exit", "on_exit"];
    let mut http = start_with(&["--timeout", "2"], &[("JOURNAL_PANIC", &hooks.join(","))]);
    let worker = http.answers();
    http.service.signal(SIGHUP);
    http.service.wait_for("the new worker alone", || (!http.workers().contains(&worker)).then_some(()));
    http.answers();
    let mut client = http.connect();
    client.send(b"GET /hang HTTP/1.1\r\nhost: here\r\n\r\n").unwrap();
    http.service.line("worker_abort panicked");
    waits_for(&http.service, "child_exit", 2, || ());
    http.answers();
    http.service.signal(SIGTERM);
    assert_eq!(http.service.wait().code(), Some(0));
    for hook in hooks {
        http.service.line(&format!("[ERROR] {hook} panicked: asked to panic"));
    }
    http.service.leaves_nothing_but(&["journal.txt"]);
}

#[test]
fn a_panic_before_the_new_master_means_no_new_master() {
    let http = start_in(directory_with("hooks"), &["--dirty-workers", "0"], &[("JOURNAL_PANIC", "pre_exec")]);
    let worker = http.answers();
    http.service.signal(SIGUSR2);
    http.service.line("pre_exec panicked: asked to panic");
    http.service.line("this one serves on");
    assert_eq!(http.answers(), worker);
}

#[test]
fn a_thread_that_a_hook_leaves_in_the_master_is_named_and_nobody_is_forked_beside_it() {
    for hook in ["nworkers_changed", "pre_fork"] {
        let words = "HTTP worker failed to start: refusing to fork: this process has 2 threads";
        let service = refused(&[("JOURNAL_THREAD", hook)], 3, words);
        service.line(&format!("[ERROR] {hook} left a thread behind, no worker can be forked"));
        assert!(service.log().last().unwrap().contains("stray"), "{:?}", service.log());
    }
    let http = start_with(&[], &[("JOURNAL_THREAD", "on_reload")]);
    let worker = http.answers();
    http.service.signal(SIGHUP);
    http.service.line("on_reload left a thread behind");
    http.service.line("reload failed");
    assert_eq!(http.answers(), worker);
    http.service.signal(SIGUSR2);
    http.service.line("no new master, this one serves on: refusing to fork");
    http.ends(SIGTERM, &["journal.txt"]);
}

#[test]
fn a_thread_that_a_hook_leaves_in_a_worker_is_the_workers() {
    let http = start_with(&[], &[("JOURNAL_THREAD", "post_fork,post_worker_init,load")]);
    http.answers();
    http.ends(SIGTERM, &["journal.txt"]);
}

fn start(flags: &[&str]) -> HttpService {
    start_with(flags, &[])
}

fn start_with(flags: &[&str], environment: &[(&str, &str)]) -> HttpService {
    let all: Vec<&str> = ALONE.iter().chain(flags).copied().collect();
    HttpService::of(Service::start("hooks", &all, environment))
}

/// Runs a service that must not start: its exit code, its last words, and nothing left but the journal.
fn refused(environment: &[(&str, &str)], code: i32, words: &str) -> Service {
    let mut service = Service::start("hooks", &ALONE, environment);
    assert_eq!(service.wait().code(), Some(code), "{environment:?}");
    let last = service.wait_for("the last words", || {
        service.log().into_iter().rev().find(|line| line.starts_with("gunmetal: "))
    });
    assert!(last.contains(words), "{environment:?}: {last}");
    service.leaves_nothing_but(&["journal.txt"]);
    service
}

fn journal(service: &Service) -> Vec<String> {
    lines(&service.file("journal.txt"))
}

/// Waits for a line of the journal.
fn noted(service: &Service, line: &str) {
    service.wait_for(line, || journal(service).iter().any(|noted| noted == line).then_some(()));
}

/// Waits until a hook has been called so many times.
fn waits_for<T>(service: &Service, hook: &str, count: usize, then: impl FnOnce() -> T) -> T {
    service.wait_for(hook, || {
        let calls = journal(service).iter().filter(|line| line.starts_with(&format!("{hook} "))).count();
        (calls >= count).then_some(())
    });
    then()
}

fn position(journal: &[String], line: &str) -> usize {
    journal.iter().position(|other| other == line).unwrap_or_else(|| panic!("no {line:?} in {journal:#?}"))
}
