//! What is off without a word: delays that grow, a limit on restarts, an order of starts, a limit on memory.

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod support;

use libc::{SIGKILL, SIGTERM};
use serde_json::{Value, json};
use support::companions::{Crew, calls, shell, sleeps};
use support::kill;

#[test]
fn the_wait_doubles_up_to_its_limit_and_a_command_begins_anew() {
    let settings = "restart_delay = 0.1\nmax_restart_delay = 0.25\nrestart_limit = 4";
    let crew = Crew::start("hello", &shell("one", "exit 7", settings));
    let expected = [
        "retrying in 0.1 s",
        "retrying in 0.2 s",
        "retrying in 0.25 s",
        "retrying in 0.25 s",
        "given up after 4 restarts in a row",
    ]
    .map(|sequel| format!("Companion one exited with status 7, {sequel}"));
    let told = |count: usize| {
        crew.service().wait_for("the ends", || (ends(&crew).len() == count).then_some(()));
        ends(&crew)
    };
    assert_eq!(told(5), expected);
    crew.order("start", "one");
    assert_eq!(told(10), [expected.clone(), expected].concat());
    crew.ends(&[]);
}

#[test]
fn after_as_many_restarts_as_allowed_it_is_left_alone_in_backoff_with_the_reason() {
    let crew = Crew::start("hello", &shell("one", "exit 7", "restart_delay = 0\nrestart_limit = 2"));
    let given_up = |count: u64| {
        let is_so = |status: &Value| status["exit_count"] == count && status["state"] == "BACKOFF";
        let status = crew.has("one", "the end of its restarts", is_so);
        assert_eq!(
            status["description"], "exited with status 7, given up after 2 restarts in a row",
            "{status}"
        );
        assert_eq!(
            (&status["reason"], &status["pid"]),
            (&json!("exited with status 7"), &Value::Null),
            "{status}"
        );
        assert_eq!((status.get("next_retry_at"), status.get("restart_delay")), (None, None), "{status}");
        assert_eq!(status["manual_stop"], false, "{status}");
    };
    given_up(3);
    // A command begins anew, and so does another configuration; a reread of the same one does not.
    crew.order("start", "one");
    given_up(6);
    crew.order("restart", "one");
    given_up(9);
    assert_eq!(crew.reread(), [vec![], vec![], vec![], vec!["one"]]);
    given_up(9);
    crew.configure(&shell("one", "exit 7", "restart_delay = 0.01\nrestart_limit = 2"));
    assert_eq!(crew.reread(), [vec![], vec![], vec!["one"], vec![]]);
    given_up(12);
    assert_eq!(crew.order("stop", "one"), "one stopped");
    let status = crew.status("one");
    assert_eq!((&status["state"], &status["description"]), (&json!("STOPPED"), &json!("stopped manually")));
    crew.ends(&[]);
}

#[test]
fn a_restart_that_somebody_asks_for_does_not_count() {
    let crew = Crew::start("hello", &sleeps("one", "restart_limit = 1\nrestart_delay = 0"));
    let mut last = crew.runs("one");
    for _ in 0..3 {
        crew.order("restart", "one");
        last = crew.runs_anew("one", last);
    }
    kill(last, SIGKILL);
    last = crew.runs_anew("one", last);
    kill(last, SIGKILL);
    let status = crew.reaches("one", "BACKOFF");
    assert_eq!(
        status["description"], "killed by signal 9 (SIGKILL), given up after 1 restarts in a row",
        "{status}"
    );
    crew.ends(&[]);
}

#[test]
fn who_depends_on_others_is_started_once_they_run() {
    let companions = |startsecs: &str| {
        [
            sleeps("web", "depends_on = [\"queue\", \"cache\"]"),
            sleeps("queue", "depends_on = [\"database\"]"),
            sleeps("cache", ""),
            sleeps("database", &format!("startsecs = {startsecs}")),
        ]
        .concat()
    };
    let crew = Crew::start("hello", &companions("3600"));
    crew.reaches("database", "STARTING");
    crew.runs("cache");
    for (name, awaited) in [("web", "queue"), ("queue", "database")] {
        let waits = format!("waits for {awaited}");
        let status = crew.has(name, &waits, |status| status["description"] == waits);
        assert_eq!(
            (&status["state"], &status["manual_stop"]),
            (&json!("STOPPED"), &json!(false)),
            "{status}"
        );
        assert_eq!((&status["pid"], &status["exit_count"]), (&Value::Null, &json!(0)), "{status}");
    }
    // A command does not jump the queue.
    assert_eq!(crew.order("start", "queue"), "queue waits for database");
    crew.configure(&companions("0"));
    crew.reread();
    for name in ["database", "queue", "web"] {
        crew.runs(name);
    }
    crew.service().line("Companion web running");
    let log = crew.service().lines();
    let place =
        |part: &str| log.iter().rposition(|line| line.contains(part)).unwrap_or_else(|| panic!("{part}"));
    for (first, then) in [
        ("Companion database running", "Booting companion queue"),
        ("Companion queue running", "Booting companion web"),
        ("Companion cache running", "Booting companion web"),
    ] {
        assert!(place(first) < place(then), "{first}, then {then}: {log:#?}");
    }
    crew.ends(&[]);
}

#[test]
fn who_runs_goes_on_when_those_it_depends_on_end_and_comes_back_behind_them() {
    let crew = Crew::start(
        "hello",
        &(sleeps("database", "restart_delay = 3600") + &sleeps("web", "depends_on = [\"database\"]")),
    );
    let web = crew.runs("web");
    kill(crew.runs("database"), SIGKILL);
    crew.reaches("database", "BACKOFF");
    assert_eq!(crew.runs("web"), web);
    kill(web, SIGKILL);
    let waits = |status: &Value| status["description"] == "waits for database";
    crew.has("web", "its turn to wait", waits);
    crew.order("stop", "web");
    assert_eq!(crew.order("start", "web"), "web waits for database");
    crew.order("start", "database");
    crew.runs("database");
    assert_ne!(crew.runs("web"), web);
    // Who was stopped by hand is not waited for: nobody knows for how long.
    crew.order("stop", "database");
    crew.reaches("database", "STOPPED");
    crew.order("stop", "web");
    crew.reaches("web", "STOPPED");
    assert_eq!(crew.order("start", "web"), "web started");
    crew.ends(&[]);
}

#[test]
fn who_takes_more_memory_than_allowed_is_restarted_in_the_usual_way() {
    let crew = Crew::start(
        "companion_probe",
        &(calls("one", "large", "stdout = \"one\"\nmax_rss = \"32M\"")
            + &calls("two", "large", "stdout = \"two\"\nmax_rss = \"1G\"")),
    );
    let first = crew.runs("one");
    let second = crew.runs_anew("one", first);
    let status = crew.status("one");
    assert_eq!(status["last_exit_signal"], SIGTERM, "{status}");
    // It is no failure: nothing is waited for.
    assert_eq!(status["restart_count"], status["exit_count"], "{status}");
    assert_eq!(crew.service().count("retrying in"), 0);
    let line = crew.service().line("Companion one is restarted: it takes ");
    assert!(line.ends_with(" MiB, max_rss is 32 MiB"), "{line}");
    crew.is_gone(first);
    // It holds for the next one, too; and the other one is within its limit.
    crew.runs_anew("one", second);
    crew.says("two", "two has 67108864 bytes");
    let status = crew.status("two");
    assert_eq!((&status["state"], &status["exit_count"]), (&json!("RUNNING"), &json!(0)), "{status}");
    crew.ends(&["one", "two"]);
}

/// What was said of the ends of processes.
fn ends(crew: &Crew) -> Vec<String> {
    let log = crew.service().lines();
    let said = log.iter().filter_map(|line| {
        Some(format!("Companion one exited {}", line.split_once("Companion one exited ")?.1))
    });
    said.collect()
}
