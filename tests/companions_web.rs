//! Companions and the web tier: neither hears of the other's ends, and a reload of the service leaves companions alone that are
//! configured as before.

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod support;

use std::collections::BTreeSet;

use libc::{SIGHUP, SIGKILL};
use serde_json::{Value, json};
use support::companions::{Crew, HEAD, calls, shell, sleeps, stubborn};
use support::kill;
use support::master::Load;

#[test]
fn whatever_a_companion_ends_with_the_web_tier_goes_on() {
    let crew = Crew::start(
        "companion_probe",
        &[
            // What ends a service if an HTTP worker exits with it at the start.
            shell("command-3", "exit 3", ""),
            shell("command-4", "exit 4", ""),
            calls("function-3", "exiting", "env = { CODE = \"3\" }"),
            calls("function-4", "exiting", "env = { CODE = \"4\" }"),
            calls("unloaded", "deaf", "env = { LOAD = \"fails\" }"),
            calls("panicking", "panicking", "stderr = \"panic\""),
            shell("aborted", "ulimit -c 0; kill -ABRT $$", ""),
            shell("killed", "kill -KILL $$", ""),
        ]
        .concat(),
    );
    let workers = crew.http.has_workers(1);
    let load = Load::start(crew.http.port);
    for name in
        ["command-3", "command-4", "function-3", "function-4", "unloaded", "panicking", "aborted", "killed"]
    {
        crew.has(name, "its fourth process", |status| status["restart_count"].as_u64() >= Some(3));
    }
    assert!(load.has_lost_nothing() > 0);
    assert_eq!(crew.http.workers(), workers);
    assert_eq!(BTreeSet::from([crew.http.answers()]), workers);
    crew.ends(&["panic"]);
}

#[test]
fn whatever_becomes_of_workers_companions_go_on() {
    let crew =
        Crew::start("companion_probe", &(sleeps("one", "") + &calls("two", "polite", "stdout = \"two\"")));
    let before = [crew.runs("one"), crew.runs("two")];
    // One that is killed before it is ready at the first start would end the service.
    let mut worker = crew.http.answers();
    for _ in 0..3 {
        kill(worker, SIGKILL);
        worker = crew.service().wait_for("answers of another worker", || {
            crew.http.connect().get("/pid").ok()?.body.parse().ok().filter(|pid| *pid != worker)
        });
    }
    assert_eq!([crew.runs("one"), crew.runs("two")], before);
    crew.ends(&["two"]);
}

#[test]
fn a_reload_leaves_companions_alone_that_are_configured_as_before() {
    let companions = [
        sleeps("one", ""),
        calls("two", "deaf", "stdout = \"two\""),
        sleeps("stopped", ""),
        shell("backoff", "exit 7", "restart_delay = 3600"),
    ]
    .concat();
    let crew = Crew::start("companion_probe", &companions);
    let before = [crew.runs("one"), crew.runs("two")];
    crew.order("stop", "stopped");
    crew.reaches("stopped", "STOPPED");
    crew.reaches("backoff", "BACKOFF");
    let manager = crew.service().process("companion manager").pid;
    let load = Load::start(crew.http.port);
    for (count, workers) in [(1, "workers = 1"), (2, "workers = 2"), (3, "workers = 1")] {
        let old = crew.http.workers();
        crew.write("gunmetal.toml", &(HEAD.replace("workers = 1", workers) + &companions));
        crew.service().signal(SIGHUP);
        is_reread(&crew, count, "nothing to do");
        crew.service().wait_for("new workers only", || crew.http.workers().is_disjoint(&old).then_some(()));
    }
    load.has_lost_nothing();
    assert_eq!([crew.runs("one"), crew.runs("two")], before);
    let status = crew.status("stopped");
    assert_eq!((&status["state"], &status["manual_stop"]), (&json!("STOPPED"), &json!(true)), "{status}");
    let status = crew.status("backoff");
    assert_eq!((&status["state"], &status["exit_count"]), (&json!("BACKOFF"), &json!(1)), "{status}");
    assert_eq!(crew.service().process("companion manager").pid, manager);
    crew.ends(&["two"]);
}

#[test]
fn a_reload_adds_removes_and_restarts_companions_as_a_reread_does() {
    let companions = |env: &str| sleeps("same", "") + &sleeps("changed", env) + &sleeps("stopped", env);
    let crew = Crew::start("hello", &(companions("") + &sleeps("gone", "")));
    let [same, changed, gone] = ["same", "changed", "gone"].map(|name| crew.runs(name));
    crew.order("stop", "stopped");
    crew.reaches("stopped", "STOPPED");
    crew.configure(&(companions("env = { A = \"1\" }") + &sleeps("new", "")));
    crew.service().signal(SIGHUP);
    is_reread(&crew, 1, "added new; removed gone; restarted changed");
    crew.runs("new");
    crew.runs_anew("changed", changed);
    crew.is_gone(gone);
    assert_eq!(crew.runs("same"), same);
    let status = crew.status("stopped");
    assert_eq!((&status["state"], &status["manual_stop"]), (&json!("STOPPED"), &json!(true)), "{status}");
    crew.ends(&[]);
}

#[test]
fn a_reload_brings_the_first_companions_and_takes_the_last() {
    let crew = Crew::start("hello", &sleeps("one", ""));
    let first = crew.runs("one");
    crew.configure("");
    crew.service().signal(SIGHUP);
    crew.is_gone(first);
    crew.service().wait_for("its removal", || crew.statuses().is_empty().then_some(()));
    crew.configure(&sleeps("two", ""));
    crew.service().signal(SIGHUP);
    crew.service().line("Companions reread: added two");
    crew.runs("two");
    crew.ends(&[]);
}

#[test]
fn a_reload_starts_a_manager_where_there_was_none() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("gunmetal.toml"), HEAD).unwrap();
    let service = support::Service::start_in(directory, "hello", &[], &[]);
    let http = support::http::HttpService::of(service);
    http.has_workers(1);
    assert!(!http.service.file("control.sock").exists());
    std::fs::write(http.service.file("gunmetal.toml"), format!("{HEAD}{}", sleeps("one", ""))).unwrap();
    http.service.signal(SIGHUP);
    let crew = Crew::of(http);
    crew.runs("one");
    crew.ends(&[]);
}

#[test]
fn a_reload_with_another_working_directory_changes_environment_and_log_of_manager_and_dirty_arbiter() {
    let directory = tempfile::tempdir().unwrap();
    let head = "bind = \"127.0.0.1:0\"\ncompanion_config_file = \"companions.toml\"\n\
                companion_control_socket = \"control.sock\"\n";
    let one = shell("one", "echo $FLAVOUR >> one; exec sleep 1000", "startsecs = 0\nrestart_delay = 0");
    std::fs::write(directory.path().join("gunmetal.toml"), head).unwrap();
    std::fs::write(directory.path().join("companions.toml"), one).unwrap();
    std::fs::create_dir(directory.path().join("later")).unwrap();
    let service = support::Service::start_in(directory, "hooks", &[], &[]);
    let crew = Crew::of(support::http::HttpService::of(service));
    let before = crew.runs("one");
    let rest = "chdir = \"later\"\nenv = [\"FLAVOUR=sour\"]\nerrorlog = \"app.log\"\nlog_format = \"json\"\n";
    crew.write("gunmetal.toml", &format!("{head}{rest}"));
    crew.service().signal(SIGHUP);
    for role in ["dirty arbiter", "companion manager"] {
        let said = format!("\"pid\":{},", crew.service().process(role).pid);
        crew.service().wait_for("its line in the new log", || {
            crew.lines("app.log").iter().any(|line| line.contains(&said)).then_some(())
        });
    }
    kill(before, SIGKILL);
    crew.says("one", "sour");
    crew.ends(&["companions.toml", "later", "one", "app.log", "journal.txt"]);
}

#[test]
fn a_reload_with_a_mistake_in_the_companions_is_refused_as_a_whole() {
    let crew = Crew::start("hello", &(sleeps("one", "") + &sleeps("two", "")));
    let (one, two) = (crew.runs("one"), crew.runs("two"));
    let workers = crew.http.has_workers(1);
    let changed = HEAD.replace("workers = 1", "workers = 3") + &sleeps("one", "env = { A = \"1\" }");
    for (count, mistake, words) in [
        (1, sleeps("three", "stop_signal = \"SIGTRM\""), "stop_signal = \"SIGTRM\" is not allowed"),
        (2, sleeps("one", ""), "name = \"one\" is not allowed: it is taken"),
        (3, sleeps("three", "cwd = \"no/such/directory\""), "cwd = \"no/such/directory\" is not allowed"),
    ] {
        crew.write("gunmetal.toml", &format!("{changed}{mistake}"));
        crew.service().signal(SIGHUP);
        let refused = "Reload refused, nothing has changed";
        crew.service().wait_for(words, || (crew.service().count(refused) == count).then_some(()));
        let log = crew.service().log();
        let line = log.iter().rev().find(|line| line.contains(refused)).unwrap();
        assert!(line.contains(words), "{line}");
    }
    // A reread now would fail for the same reason.
    crew.reread_fails();
    assert_eq!(crew.http.workers(), workers);
    assert_eq!((crew.runs("one"), crew.runs("two")), (one, two));
    assert_eq!(crew.statuses().len(), 2);
    crew.write("gunmetal.toml", &changed);
    crew.service().signal(SIGHUP);
    is_reread(&crew, 1, "removed two; restarted one");
    crew.http.has_workers(3);
    crew.ends(&[]);
}

#[test]
fn a_reload_whose_workers_do_not_start_leaves_companions_as_they_were() {
    let crew = Crew::start("companion_probe", &(sleeps("one", "") + &sleeps("two", "")));
    let (one, two) = (crew.runs("one"), crew.runs("two"));
    let workers = crew.http.has_workers(1);
    crew.write(
        "gunmetal.toml",
        &format!("env = [\"LOAD=fails\"]\n{HEAD}{}", sleeps("one", "env = { A = \"1\" }")),
    );
    crew.service().signal(SIGHUP);
    crew.service().line("reload failed");
    crew.service().wait_for("the old worker alone", || (crew.http.workers() == workers).then_some(()));
    assert_eq!((crew.runs("one"), crew.runs("two")), (one, two));
    assert_eq!(crew.service().count("Companions reread"), 0);
    crew.ends(&[]);
}

/// The web tier does not wait for a companion that takes its time, and the next reload does not either.
#[test]
fn a_companion_that_takes_its_time_to_restart_holds_up_no_reload() {
    let companion = |env: &str| stubborn("one", &format!("reload_timeout = 3600\nenv = {{ A = \"{env}\" }}"));
    let crew = Crew::start("hello", &companion("1"));
    crew.says("one", "one is here");
    let before = crew.runs("one");
    for (count, env) in [(1, "2"), (2, "3")] {
        let old = crew.http.workers();
        crew.configure(&companion(env));
        crew.service().signal(SIGHUP);
        is_reread(&crew, count, "restarted one");
        crew.service().wait_for("new workers only", || crew.http.workers().is_disjoint(&old).then_some(()));
        let status = crew.status("one");
        assert_eq!((&status["state"], &status["pid"]), (&json!("STOPPING"), &json!(before)), "{status}");
    }
    kill(before, SIGKILL);
    let after = crew.runs_anew("one", before);
    crew.service().wait_for("its program", || {
        let environment = std::fs::read_to_string(format!("/proc/{after}/environ")).unwrap();
        environment.split('\0').any(|variable| variable == "A=3").then_some(())
    });
    kill(after, SIGKILL);
    crew.order("stop", "one");
    if let Value::Number(pid) = &crew.status("one")["pid"] {
        kill(u32::try_from(pid.as_u64().unwrap()).unwrap(), SIGKILL);
    }
    crew.ends(&["one"]);
}

/// Waits until the manager has read the configuration so often, and checks what it said the last time.
fn is_reread(crew: &Crew, count: usize, words: &str) {
    crew.service()
        .wait_for("the reread", || (crew.service().count("Companions reread") == count).then_some(()));
    let log = crew.service().log();
    let line = log.iter().rev().find(|line| line.contains("Companions reread")).unwrap();
    assert!(line.ends_with(&format!("Companions reread: {words}")), "{line}");
}
