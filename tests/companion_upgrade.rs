//! Companions in an upgrade: there are two masters and two managers then, and no companion has two processes.

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod support;

use libc::{SIGCONT, SIGKILL, SIGQUIT, SIGSTOP, SIGTERM, SIGUSR2};
use support::Process;
use support::http::HttpService;
use support::master::{Load, pid_in};
use support::troupe::{LEFT, companion, companion_with, start};

#[test]
fn the_new_master_starts_its_companions_once_those_of_the_old_one_have_ended() {
    let mut http = start(&[companion("a", "obeys"), companion("b", "waits")].concat(), &["a", "b"]);
    let [a, b] = ["a", "b"].map(|name| http.service.begins(name, 1));
    let load = Load::start(http.port);
    let new = upgrade(&http);
    // The new one is in service without them.
    http.service.line("companions are started once it has ended");
    assert_eq!((http.service.begins("a", 1), http.service.begins("b", 1)), (a, b));
    http.service.signal(SIGTERM);
    http.service.comes_to("a", a, "ends by TERM");
    http.service.comes_to("b", b, "waits");
    assert_eq!(http.service.status_of("b")["pid"], b);
    assert_eq!(http.service.noted("a", "begins"), [a]);
    http.service.go();
    assert_eq!(http.service.wait().code(), Some(0));
    http.service.follow(new);
    let [next_a, next_b] = ["a", "b"].map(|name| http.service.begins(name, 2));
    load.has_lost_nothing();
    http.service.never_had_two();
    assert_eq!(http.service.status_of("a")["pid"], next_a);
    http.service.signal(SIGTERM);
    http.service.comes_to("b", next_b, "ends by TERM");
    http.service.leaves_nothing_but(&LEFT);
}

#[test]
fn an_upgrade_that_is_taken_back_leaves_companions_as_they_are() {
    for signal in [SIGTERM, SIGQUIT, SIGKILL] {
        let http = start(&companion("a", "obeys"), &["a"]);
        let (a, manager) = (http.service.begins("a", 1), http.service.manager());
        let new = upgrade(&http);
        http.service.line("companions are started once it has ended");
        support::kill(new, signal);
        http.service.line("this one serves on");
        // The manager of the new master has gone with it.
        http.service.wait_for("one manager", || {
            (http.service.processes("companion manager") == [manager.clone()]).then_some(())
        });
        assert_eq!(http.service.status_of("a")["pid"], a);
        assert_eq!(http.service.notes().len(), 1);
        // Once more, and to its end.
        let mut http = http;
        let new = upgrade(&http);
        http.service.signal(SIGTERM);
        assert_eq!(http.service.wait().code(), Some(0));
        http.service.follow(new);
        http.service.begins("a", 2);
        http.service.never_had_two();
        http.service.signal(SIGTERM);
        http.service.leaves_nothing_but(&LEFT);
    }
}

#[test]
fn an_old_master_that_is_killed_leaves_the_new_one_to_start_companions_after_its_own() {
    let companions = [companion("waits", "waits"), companion_with("ignores", "ignores", "stop_timeout = 1")];
    let mut http = start(&companions.concat(), &["waits", "ignores"]);
    let waits = http.service.begins("waits", 1);
    let new = upgrade(&http);
    http.service.signal(SIGKILL);
    http.service.wait();
    http.service.follow(new);
    http.service.comes_to("waits", waits, "waits");
    http.service.line("Companion ignores was sent SIGKILL: it has not ended in time");
    assert_eq!(http.service.noted("ignores", "begins").len(), 1);
    http.service.go();
    http.service.begins("waits", 2);
    http.service.begins("ignores", 2);
    http.service.never_had_two();
    http.service.signal(SIGTERM);
    http.service.leaves_nothing_but(&LEFT);
}

#[test]
fn what_an_old_master_and_its_manager_have_left_is_waited_for_by_the_new_ones() {
    let companions = [companion("waits", "waits"), companion_with("ignores", "ignores", "stop_timeout = 1")];
    let mut http = start(&companions.concat(), &["waits", "ignores"]);
    let (waits, ignores) = (http.service.begins("waits", 1), http.service.begins("ignores", 1));
    let manager = http.service.manager();
    let new = upgrade(&http);
    // Neither can do anything about the other's death.
    http.service.signal(SIGSTOP);
    manager.signal(SIGSTOP);
    manager.signal(SIGKILL);
    http.service.signal(SIGKILL);
    http.service.wait();
    http.service.follow(new);
    for (name, pid) in [("waits", waits), ("ignores", ignores)] {
        http.service
            .line(&format!("{name}: waiting for the end of what another manager has left (pid: {pid})"));
    }
    http.service.line("Companion ignores was sent SIGKILL: it has not ended in time");
    http.service.begins("ignores", 2);
    assert_eq!(http.service.noted("waits", "begins"), [waits]);
    http.service.go();
    http.service.begins("waits", 2);
    http.service.never_had_two();
    http.service.signal(SIGTERM);
    http.service.leaves_nothing_but(&LEFT);
}

/// Companions go from one to the other and back.
#[test]
fn managers_of_two_masters_that_are_killed_in_turn_leave_their_companions_to_each_other() {
    let http = start(&companion("waits", "waits"), &["waits"]);
    let (first, old) = (http.service.begins("waits", 1), http.service.manager());
    let new = upgrade(&http);
    let of_new = child_of(new, "companion manager");
    // The old master cannot replace its own.
    http.service.signal(SIGSTOP);
    old.signal(SIGKILL);
    let left = |pid: u32| format!("[{pid}] [WARNING] Companion waits: waiting for the end of what another");
    http.service.line(&left(of_new.pid));
    http.service.signal(SIGCONT);
    let next = http.service.wait_for("the next manager of the old master", || {
        let managers = http.service.processes("companion manager");
        managers.into_iter().find(|manager| ![old.pid, of_new.pid].contains(&manager.pid))
    });
    assert_eq!(http.service.status_of("waits")["pid"], first);
    http.service.go();
    let second = http.service.begins("waits", 2);
    std::fs::remove_file(http.file("notes/go")).unwrap();

    support::kill(new, SIGSTOP);
    of_new.signal(SIGKILL);
    support::kill(new, SIGKILL);
    http.service.line(&left(next.pid));
    assert_eq!(http.service.status_of("waits")["pid"], second);
    assert_eq!(http.service.noted("waits", "begins").len(), 2);
    http.service.go();
    http.service.begins("waits", 3);
    http.service.never_had_two();
    http.ends(SIGTERM, &LEFT);
}

/// The process below a master that has this in its title.
fn child_of(master: u32, part: &str) -> Process {
    support::descendants(master).into_iter().find(|process| process.title.contains(part)).unwrap()
}

/// Has a new master in service beside the old one, and returns its pid.
fn upgrade(http: &HttpService) -> u32 {
    let before = http.service.count("New master is in service");
    http.service.signal(SIGUSR2);
    http.service.wait_for("the new master", || {
        (http.service.count("New master is in service") > before).then_some(())
    });
    pid_in(&http.file("app.pid.2")).unwrap()
}
