//! What becomes of companions when a process above them dies, and of the web tier beside them.

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod support;

use libc::{SIGCONT, SIGHUP, SIGINT, SIGKILL, SIGSTOP, SIGTERM};
use support::master::{Load, configure};
use support::troupe::{LEFT, SETTINGS, ask, companion, companion_with, start, start_example};

#[test]
fn a_manager_that_is_killed_is_replaced_and_no_companion_ever_has_two_processes() {
    let companions = [
        companion("obeys", "obeys"),
        companion_with("other", "obeys", "stop_signal = \"SIGUSR1\""),
        companion_with("ignores", "ignores", "stop_timeout = 1"),
    ];
    let http = start(&companions.concat(), &["obeys", "other", "ignores"]);
    let (service, worker) = (&http.service, http.answers());
    let first: Vec<u32> = ["obeys", "other", "ignores"].map(|name| service.begins(name, 1)).into();
    let load = Load::start(http.port);
    let manager = service.manager();
    manager.signal(SIGKILL);
    // Each has been asked to end in its own way; who does not listen is killed when its time is up.
    service.comes_to("obeys", first[0], "ends by TERM");
    service.comes_to("other", first[1], "ends by USR1");
    service.next_manager(&manager);
    service.line(&format!("what another manager has left (pid: {})", first[2]));
    service.begins("obeys", 2);
    service.begins("other", 2);
    service.begins("ignores", 2);
    service.line("Companion ignores was sent SIGKILL: it has not ended in time");
    service.never_had_two();
    load.has_lost_nothing();
    assert_eq!(http.answers(), worker);
    http.ends(SIGTERM, &LEFT);
}

#[test]
fn a_manager_that_is_killed_again_and_again_leaves_its_companions_to_the_next() {
    let companions = [companion_with("ignores", "ignores", "stop_timeout = 2"), companion("waits", "waits")];
    let http = start(&companions.concat(), &["ignores", "waits"]);
    let service = &http.service;
    let waits = service.begins("waits", 1);
    let mut manager = service.manager();
    for _ in 0..3 {
        manager.signal(SIGKILL);
        manager = service.next_manager(&manager);
        service.comes_to("waits", waits, "waits");
        assert_eq!(service.status_of("waits")["pid"], waits);
    }
    service.go();
    service.begins("waits", 2);
    service.begins("ignores", 2);
    service.never_had_two();
    http.ends(SIGTERM, &LEFT);
}

/// Another one takes effect with the next start.
#[test]
fn a_manager_that_is_replaced_stays_at_its_control_socket() {
    let http = start(&companion("waits", "waits"), &["waits"]);
    let service = &http.service;
    let (waits, manager) = (service.begins("waits", 1), service.manager());
    configure(
        service.directory(),
        &format!("{}{}", SETTINGS.replace("c.sock", "other.sock"), companion("waits", "waits")),
    );
    service.signal(SIGHUP);
    service.line("Companions reread");
    manager.signal(SIGKILL);
    service.comes_to("waits", waits, "waits");
    service.next_manager(&manager);
    assert_eq!(service.status_of("waits")["pid"], waits);
    service.go();
    service.begins("waits", 2);
    service.never_had_two();
    http.ends(SIGTERM, &LEFT);
}

#[test]
fn a_manager_that_is_told_to_end_ends_its_companions_first_and_is_replaced() {
    let http = start(&[companion("a", "obeys"), companion("b", "waits")].concat(), &["a", "b"]);
    let service = &http.service;
    let (manager, b) = (service.manager(), service.begins("b", 1));
    manager.signal(SIGTERM);
    service.comes_to("b", b, "waits");
    assert!(manager.is_alive());
    service.go();
    service.next_manager(&manager);
    service.begins("a", 2);
    service.begins("b", 2);
    service.never_had_two();
    http.ends(SIGTERM, &LEFT);
}

#[test]
fn a_master_that_is_killed_takes_manager_and_companions_with_it_each_in_its_time() {
    let companions = [companion("obeys", "obeys"), companion_with("ignores", "ignores", "stop_timeout = 1")];
    let mut http = start(&companions.concat(), &["obeys", "ignores"]);
    let obeys = http.service.begins("obeys", 1);
    http.service.signal(SIGKILL);
    http.service.wait();
    http.service.comes_to("obeys", obeys, "ends by TERM");
    http.service.line("the master is gone: the companion manager stops");
    http.service.line("Companion ignores was sent SIGKILL: it has not ended in time");
    // The control socket with them: only what nobody could remove is left.
    http.service.leaves_nothing_but(&[&LEFT[..], &["app.pid"]].concat());
}

#[test]
fn without_master_and_manager_companions_are_still_asked_to_end() {
    let companions = [companion("a", "obeys"), companion("b", "obeys")].concat();
    let mut http = start(&companions, &["a", "b"]);
    let [a, b] = ["a", "b"].map(|name| http.service.begins(name, 1));
    let manager = http.service.manager();
    // Neither can do anything about the other's death.
    http.service.signal(SIGSTOP);
    manager.signal(SIGSTOP);
    manager.signal(SIGKILL);
    http.service.signal(SIGKILL);
    http.service.wait();
    http.service.comes_to("a", a, "ends by TERM");
    http.service.comes_to("b", b, "ends by TERM");
    http.service.leaves_nothing_but(&[&LEFT[..], &["app.pid", "c.sock", "c.sock.ledger"]].concat());
}

#[test]
fn a_manager_that_is_killed_while_it_stops_leaves_its_companions_to_a_last_one() {
    let companions = [companion("calls", "calls"), companion_with("ignores", "ignores", "stop_timeout = 1")];
    let settings = format!("dirty_socket = \"dirty.sock\"\n{}", companions.concat());
    let mut http = start_example("hooks", &settings, &["calls", "ignores"]);
    let (calls, ignores) = (http.service.begins("calls", 1), http.service.begins("ignores", 1));
    let dirty = http.service.process("dirty worker");
    http.service.signal(SIGTERM);
    http.service.comes_to("calls", calls, "waits");
    http.service.manager().signal(SIGKILL);
    for (name, pid) in [("calls", calls), ("ignores", ignores)] {
        http.service
            .line(&format!("{name}: waiting for the end of what another manager has left (pid: {pid})"));
    }
    http.service.line("Companion ignores was sent SIGKILL: it has not ended in time");
    http.service.line("Companion ignores ended, its exit status is unknown, stopped");
    // It may still call.
    http.service.go();
    http.service.comes_to("calls", calls, &format!("called {}", dirty.pid));
    assert_eq!(http.service.wait().code(), Some(0));
    http.service.leaves_nothing_but(&[&LEFT[..], &["journal.txt"]].concat());
}

#[test]
fn a_last_manager_goes_by_the_configuration_that_was_read_last() {
    let settings = |time: &str| {
        let companion = companion_with("ignores", "ignores", &format!("stop_timeout = {time}"));
        format!("companion_reload_timeout = 0\n{companion}")
    };
    let mut http = start(&settings("3600"), &["ignores"]);
    configure(http.service.directory(), &format!("{SETTINGS}{}", settings("1")));
    assert_eq!(ask(&http.file("c.sock"), r#"{"cmd":"reread"}"#)["restarted"][0], "ignores");
    let ignores = http.service.begins("ignores", 2);
    let manager = http.service.manager();
    // Its signal has been sent, and nothing else can be.
    http.service.signal(SIGTERM);
    http.service.line(&format!("Companion ignores stopping (pid: {ignores}, SIGTERM"));
    manager.signal(SIGKILL);
    assert_eq!(http.service.wait().code(), Some(0));
    http.service.leaves_nothing_but(&LEFT);
}

/// No configuration tells any more how long it may take.
#[test]
fn a_companion_that_was_removed_keeps_its_time_to_end_when_its_manager_is_killed() {
    let http = start(&companion_with("ignores", "ignores", "stop_timeout = 3600"), &["ignores"]);
    let (service, manager) = (&http.service, http.service.manager());
    configure(service.directory(), &format!("{SETTINGS}{}", companion("other", "obeys")));
    assert_eq!(ask(&http.file("c.sock"), r#"{"cmd":"reread"}"#)["removed"][0], "ignores");
    service.begins("other", 1);
    manager.signal(SIGKILL);
    service.next_manager(&manager);
    let description = service.status_of("ignores")["description"].to_string();
    let left = description.split("SIGKILL in ").nth(1).and_then(|rest| rest.split('s').next()?.parse().ok());
    assert!(left.is_some_and(|seconds: u64| (3_000..=3_600).contains(&seconds)), "{description}");
    http.ends(SIGINT, &LEFT);
}

#[test]
fn a_stop_that_comes_while_there_is_no_manager_waits_for_companions_too() {
    let companions = [companion("waits", "waits"), companion_with("ignores", "ignores", "stop_timeout = 1")];
    let mut http = start(&companions.concat(), &["waits", "ignores"]);
    let waits = http.service.begins("waits", 1);
    let manager = http.service.manager();
    http.service.signal(SIGSTOP);
    manager.signal(SIGKILL);
    http.service.comes_to("waits", waits, "waits");
    http.service.signal(SIGTERM);
    http.service.signal(SIGCONT);
    http.service.line("Companion ignores was sent SIGKILL: it has not ended in time");
    http.service.go();
    http.service.comes_to("waits", waits, "ends by TERM");
    assert_eq!(http.service.wait().code(), Some(0));
    http.service.leaves_nothing_but(&LEFT);
}

#[test]
fn a_stop_at_once_ends_companions_without_a_manager_at_once() {
    for signals in [&[SIGINT][..], &[SIGTERM, SIGTERM]] {
        let companions = [companion("waits", "waits"), companion("ignores", "ignores")].concat();
        let mut http = start(&format!("companion_stop_timeout = 3600\n{companions}"), &["waits", "ignores"]);
        let waits = http.service.begins("waits", 1);
        let mut manager = http.service.manager();
        // The later ones are not replaced at once.
        for _ in 0..3 {
            manager.signal(SIGKILL);
            http.service.comes_to("waits", waits, "waits");
            manager = http.service.next_manager(&manager);
        }
        manager.signal(SIGKILL);
        for signal in signals {
            http.service.signal(*signal);
            http.service.line("Handling signal");
        }
        assert_eq!(http.service.wait().code(), Some(0));
        assert!(http.service.noted("waits", "ends by TERM").is_empty());
        http.service.leaves_nothing_but(&LEFT);
    }
}
