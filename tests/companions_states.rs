//! From state to state: starting, running, the wait before another start, and stopping with its timeouts and signals.

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod support;

use std::time::{Duration, Instant};

use libc::{SIGHUP, SIGINT, SIGKILL, SIGSTOP, SIGTERM, SIGUSR1, SIGUSR2};
use serde_json::{Value, json};
use support::companions::{Crew, executes, pid, shell, sleeps, stubborn};
use support::kill;

#[test]
fn a_companion_is_starting_until_it_has_lasted_startsecs() {
    let crew = Crew::start(
        "hello",
        &[
            sleeps("long", "startsecs = 3600"),
            sleeps("short", "startsecs = 0.3\nautostart = false"),
            sleeps("none", "startsecs = 0"),
        ]
        .concat(),
    );
    let status = crew.reaches("long", "STARTING");
    assert_eq!(status["description"], format!("pid {}, starting", pid(&status)), "{status}");
    crew.runs("none");

    let status = crew.status("short");
    assert_eq!((&status["state"], &status["pid"]), (&json!("STOPPED"), &Value::Null), "{status}");
    assert_eq!(status["description"], "not started", "{status}");
    let start = Instant::now();
    crew.order("start", "short");
    let status = crew.reaches("short", "RUNNING");
    assert!(start.elapsed() >= Duration::from_millis(300), "{:?}: {status}", start.elapsed());
    let words = format!("pid {}, uptime 00:00:", pid(&status));
    assert!(status["description"].as_str().unwrap().starts_with(&words), "{status}");
    assert_eq!((&status["exit_count"], &status["restart_count"]), (&json!(0), &json!(0)), "{status}");
    assert_eq!(crew.logs("Companion short running", 1).len(), 1);
    crew.ends(&[]);
}

#[test]
fn an_unexpected_end_is_followed_by_the_same_wait_whether_it_was_running_or_not() {
    let crew = Crew::start(
        "hello",
        &(shell("early", "exit 7", "startsecs = 3600\nrestart_delay = 3600")
            + &sleeps("late", "restart_delay = 3600")),
    );
    kill(crew.runs("late"), SIGKILL);
    for (name, code, signal, words) in [
        ("early", json!(7), Value::Null, "exited with status 7"),
        ("late", Value::Null, json!(SIGKILL), "killed by signal 9 (SIGKILL)"),
    ] {
        let status = crew.reaches(name, "BACKOFF");
        assert_eq!((&status["last_exit_code"], &status["last_exit_signal"]), (&code, &signal), "{status}");
        assert_eq!((&status["exit_count"], &status["pid"]), (&json!(1), &Value::Null), "{status}");
        assert_eq!(status["restart_delay"], 3600, "{status}");
        assert_eq!(wait_in(&status), 3600, "{status}");
        let description = status["description"].as_str().unwrap();
        assert!(description.starts_with(&format!("{words}, retrying in 3")), "{status}");
        assert!(status.get("uptime").is_none(), "{status}");
        crew.service().line(&format!("Companion {name} {words}, retrying in 3600 s"));
    }
    crew.ends(&[]);
}

#[test]
fn without_a_word_it_is_started_again_after_5_seconds_and_killed_after_60() {
    let crew = Crew::start_as_written(
        "hello",
        &("bind = \"127.0.0.1:0\"\ncompanion_control_socket = \"control.sock\"\n".to_owned()
            + &shell("one", "exit 0", "")
            + &sleeps("two", "")),
        &[],
    );
    let status = crew.reaches("one", "BACKOFF");
    assert_eq!((&status["restart_delay"], &status["last_exit_code"]), (&json!(5), &json!(0)), "{status}");
    assert_eq!(wait_in(&status), 5, "{status}");
    crew.order("restart", "two");
    crew.has("two", "a new process", |status| status["restart_count"] == 1);
    crew.order("stop", "two");
    crew.reaches("two", "STOPPED");
    let stops = crew.logs("Companion two stopping", 2);
    assert!(stops.iter().all(|line| line.ends_with("SIGTERM, at most 60 s)")), "{stops:?}");
    crew.ends(&[]);
}

#[test]
fn the_wait_never_grows_and_never_ends() {
    let crew = Crew::start("hello", &shell("one", "exit 7", "restart_delay = 0.1\nstartsecs = 3600"));
    let status = crew.has("one", "many restarts", |status| status["restart_count"].as_u64() >= Some(8));
    assert!(status["exit_count"].as_u64().unwrap() >= 8, "{status}");
    let waits = crew.logs("retrying in ", 8);
    assert!(waits.iter().all(|line| line.ends_with("exited with status 7, retrying in 0.1 s")), "{waits:?}");
    crew.ends(&[]);
}

#[test]
fn what_is_known_of_the_last_end_stays_known() {
    let crew = Crew::start("hello", &shell("one", "test -e go && exec sleep 1000; touch go; exit 7", ""));
    let status = crew
        .has("one", "its second process", |status| status["restart_count"] == 1 && status["pid"].is_u64());
    crew.reaches("one", "RUNNING");
    assert_eq!((&status["exit_count"], &status["last_exit_code"]), (&json!(1), &json!(7)), "{status}");
    assert!(status["started_at"].as_u64() >= status["last_exited_at"].as_u64(), "{status}");
    assert!(status["uptime"].is_u64(), "{status}");
    assert_eq!((status.get("next_retry_at"), status.get("reason")), (None, None), "{status}");
    crew.order("stop", "one");
    let status = crew.reaches("one", "STOPPED");
    assert_eq!((&status["exit_count"], &status["restart_count"]), (&json!(2), &json!(1)), "{status}");
    assert_eq!(
        (status.get("last_exit_code"), &status["last_exit_signal"]),
        (None, &json!(SIGTERM)),
        "{status}"
    );
    crew.ends(&["go"]);
}

#[test]
fn who_does_not_end_in_time_is_killed_and_that_is_counted() {
    let crew = Crew::start(
        "hello",
        &[
            stubborn("patience", "stop_timeout = 0.1\nreload_timeout = 3600"),
            stubborn("none", "stop_timeout = 0\nreload_timeout = 3600"),
            // What counts is the time to stop, not the rest of the time to start.
            stubborn("early", "stop_timeout = 0.1\nreload_timeout = 3600\nstartsecs = 3600"),
            stubborn("much", "stop_timeout = 3600\nreload_timeout = 0.1"),
        ]
        .concat(),
    );
    for name in ["patience", "none", "early"] {
        crew.says(name, &format!("{name} is here"));
        let before = pid(&crew.status(name));
        crew.order("stop", name);
        let status = crew.reaches(name, "STOPPED");
        assert_eq!(status["last_exit_signal"], SIGKILL, "{status}");
        assert_eq!(status["stop_timeout_kills"], 1, "{status}");
        crew.is_gone(before);
        crew.service().line(&format!("Companion {name} was sent SIGKILL: it has not ended in time"));
    }

    // A restart has a time of its own.
    crew.says("much", "much is here");
    let before = crew.runs("much");
    crew.order("restart", "much");
    let after = crew.runs_anew("much", before);
    let status = crew.status("much");
    assert_eq!((&status["stop_timeout_kills"], &status["restart_count"]), (&json!(1), &json!(1)), "{status}");
    assert_eq!(status["last_exit_signal"], SIGKILL, "{status}");
    crew.service()
        .wait_for("its trap", || (crew.lines("much") == ["much is here", "much is here"]).then_some(()));
    crew.order("stop", "much");
    let status = crew.status("much");
    assert_eq!((&status["state"], &status["pid"]), (&json!("STOPPING"), &json!(after)), "{status}");
    let words = format!("pid {after}, SIGKILL in 3");
    assert!(status["description"].as_str().unwrap().starts_with(&words), "{status}");
    kill(after, SIGKILL);
    // Somebody else has done it: that was no timeout.
    let status = crew.reaches("much", "STOPPED");
    assert_eq!(status["stop_timeout_kills"], 1, "{status}");
    crew.ends(&["patience", "none", "early", "much"]);
}

#[test]
fn who_is_held_still_is_killed_all_the_same() {
    let crew = Crew::start("hello", &sleeps("one", "stop_timeout = 0.1"));
    let before = crew.runs("one");
    kill(before, SIGSTOP);
    crew.service().wait_for("stillness", || {
        std::fs::read_to_string(format!("/proc/{before}/status")).unwrap().contains("State:\tT").then_some(())
    });
    crew.order("stop", "one");
    let status = crew.reaches("one", "STOPPED");
    assert_eq!(
        (&status["last_exit_signal"], &status["stop_timeout_kills"]),
        (&json!(SIGKILL), &json!(1)),
        "{status}"
    );
    crew.ends(&[]);
}

#[test]
fn who_ends_in_his_own_way_when_told_to_is_stopped_and_not_started_again() {
    // The shell's child may not be a program yet that SIGTERM ends.
    let script = "trap 'kill -KILL $!; exit 5' TERM; sleep 1000 & echo one is here >> one; wait";
    let crew = Crew::start("hello", &shell("one", script, "restart_delay = 0"));
    crew.says("one", "one is here");
    crew.order("stop", "one");
    let status = crew.reaches("one", "STOPPED");
    assert_eq!((&status["last_exit_code"], status.get("last_exit_signal")), (&json!(5), None), "{status}");
    assert_eq!(
        (&status["description"], &status["stop_timeout_kills"]),
        (&json!("stopped manually"), &json!(0))
    );
    crew.service().line("Companion one exited with status 5, stopped");
    assert_eq!(crew.service().count("Booting companion one"), 1);
    crew.ends(&["one"]);
}

#[test]
fn a_companion_is_told_to_end_by_its_own_signal() {
    let signals = [
        ("one", "\"SIGINT\"", SIGINT),
        ("two", "\"usr1\"", SIGUSR1),
        ("three", "12", SIGUSR2),
        ("four", "\"HUP\"", SIGHUP),
        ("five", "\"SIGKILL\"", SIGKILL),
    ];
    let companions = signals.map(|(name, signal, _)| sleeps(name, &format!("stop_signal = {signal}")));
    // What all are told holds for those that are not told otherwise.
    let crew = Crew::start(
        "hello",
        &("companion_stop_signal = \"ALRM\"\n".to_owned() + &companions.concat() + &sleeps("six", "")),
    );
    for (name, signal) in
        signals.map(|(name, _, signal)| (name, signal)).into_iter().chain([("six", libc::SIGALRM)])
    {
        crew.runs(name);
        crew.order("stop", name);
        let status = crew.reaches(name, "STOPPED");
        assert_eq!(status["last_exit_signal"], signal, "{status}");
        assert_eq!(status["stop_timeout_kills"], 0, "{status}");
    }
    crew.ends(&[]);
}

#[test]
fn what_cannot_be_executed_is_tried_again_and_the_reason_is_told() {
    let crew = Crew::start(
        "hello",
        &[
            executes("missing", &["no-such-program"], "env = { PATH = \"/no/such/directory\" }"),
            executes("gone", &["./no-such-program"], ""),
            executes("text", &["./gunmetal.toml"], ""),
        ]
        .concat(),
    );
    for (name, code, reason) in [
        ("missing", 127, "command no-such-program: not found along PATH (/no/such/directory)"),
        ("gone", 127, "command ./no-such-program: No such file or directory (os error 2)"),
        ("text", 126, "command ./gunmetal.toml: Permission denied (os error 13)"),
    ] {
        let is_told =
            |status: &Value| status["state"] == "BACKOFF" && status["restart_count"].as_u64() >= Some(1);
        let status = crew.has(name, "the second failure", is_told);
        assert_eq!(
            (&status["reason"], &status["last_exit_code"]),
            (&json!(reason), &json!(code)),
            "{status}"
        );
        let description = status["description"].as_str().unwrap();
        assert!(description.starts_with(&format!("{reason}, retrying in ")), "{status}");
    }
    crew.ends(&[]);
}

/// Whole seconds between the end and the next start.
fn wait_in(status: &Value) -> u64 {
    let at = |name: &str| status[name].as_u64().unwrap_or_else(|| panic!("{name}: {status}"));
    at("next_retry_at") - at("last_exited_at")
}
