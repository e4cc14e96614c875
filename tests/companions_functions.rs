//! Companions that are functions of the program: how they end, and what they share. The program is
//! `examples/companion_probe`.

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod support;

use libc::{SIGINT, SIGKILL, SIGQUIT, SIGTERM};
use serde_json::{Value, json};
use support::companions::{Crew, calls, sleeps};
use support::kill;

#[test]
fn a_function_that_asks_is_told_to_end_and_ends_in_its_own_way() {
    let crew = Crew::start(
        "companion_probe",
        &[
            calls("one", "polite", "stdout = \"one\""),
            calls("two", "polite_async", "stdout = \"two\""),
            calls("three", "polite", "stdout = \"three\"\nstop_signal = \"USR2\""),
            calls("four", "polite_async", "stdout = \"four\"\nstop_signal = \"HUP\""),
        ]
        .concat(),
    );
    for name in ["one", "two", "three", "four"] {
        // One function goes by the name of each companion that it is.
        crew.says(name, &format!("{name} is here"));
        crew.order("stop", name);
        let status = crew.reaches(name, "STOPPED");
        assert_eq!(
            (&status["last_exit_code"], &status["stop_timeout_kills"]),
            (&json!(0), &json!(0)),
            "{status}"
        );
        assert_eq!(crew.lines(name), [format!("{name} is here"), format!("{name} says goodbye")]);
    }
    crew.ends(&["one", "two", "three", "four"]);
}

#[test]
fn a_function_that_asks_takes_the_usual_signals_as_the_wish_too() {
    let settings = "stdout = \"one\"\nstop_signal = \"USR2\"\nrestart_delay = 3600";
    let crew = Crew::start("companion_probe", &calls("one", "polite", settings));
    for (count, signal) in [(1, SIGTERM), (2, SIGINT), (3, SIGQUIT)] {
        crew.service().wait_for("one", || {
            let here = crew.lines("one").iter().filter(|line| *line == "one is here").count();
            (here == count).then_some(())
        });
        kill(crew.runs("one"), signal);
        // Nobody has told the manager.
        let status = crew.reaches("one", "BACKOFF");
        assert_eq!(
            (&status["last_exit_code"], &status["exit_count"]),
            (&json!(0), &json!(count)),
            "{status}"
        );
        crew.order("start", "one");
    }
    crew.ends(&["one"]);
}

#[test]
fn a_function_that_never_asks_is_ended_by_the_signal() {
    let crew = Crew::start("companion_probe", &calls("one", "deaf", "stdout = \"one\"\nstop_timeout = 3600"));
    crew.service().wait_for("one", || crew.lines("one").first().cloned());
    crew.order("stop", "one");
    let status = crew.reaches("one", "STOPPED");
    assert_eq!(
        (&status["last_exit_signal"], &status["stop_timeout_kills"]),
        (&json!(SIGTERM), &json!(0)),
        "{status}"
    );
    crew.ends(&["one"]);
}

#[test]
fn a_function_that_is_told_and_stays_is_killed_when_its_time_is_up() {
    let crew = Crew::start(
        "companion_probe",
        &calls("one", "stubborn", "stdout = \"one\"\nstop_timeout = 0.5\nreload_timeout = 3600"),
    );
    crew.says("one", "one is here");
    crew.order("stop", "one");
    let status = crew.reaches("one", "STOPPED");
    assert_eq!(
        (&status["last_exit_signal"], &status["stop_timeout_kills"]),
        (&json!(SIGKILL), &json!(1)),
        "{status}"
    );
    crew.ends(&["one"]);
}

/// Whoever is killed has no say; a function that was told and whose manager cannot kill it any more ends by itself.
#[test]
fn a_function_that_is_told_by_somebody_else_and_stays_ends_when_its_time_is_up() {
    let crew = Crew::start(
        "companion_probe",
        &calls(
            "one",
            "stubborn",
            "stdout = \"one\"\nstop_timeout = 0.2\nreload_timeout = 0.1\nrestart_delay = 3600",
        ),
    );
    crew.says("one", "one is here");
    kill(crew.runs("one"), SIGTERM);
    let status = crew.reaches("one", "BACKOFF");
    assert_eq!((&status["exit_count"], &status["stop_timeout_kills"]), (&json!(1), &json!(0)), "{status}");
    assert_eq!(status["last_exit_code"], 1, "{status}");
    crew.ends(&["one"]);
}

#[test]
fn the_end_of_a_function_is_an_exit_code_and_every_one_is_followed_by_another_start() {
    let crew = Crew::start(
        "companion_probe",
        &[
            calls("done", "done", ""),
            calls("failing", "failing", ""),
            calls("panicking", "panicking", "stderr = \"panic\""),
            calls("exiting", "exiting", "env = { CODE = \"77\" }"),
            calls("unloaded", "deaf", "env = { LOAD = \"fails\" }\nstdout = \"unloaded\""),
        ]
        .concat(),
    );
    for (name, code) in [("done", 0), ("failing", 1), ("panicking", 101), ("exiting", 77), ("unloaded", 4)] {
        let is_back =
            |status: &Value| status["restart_count"].as_u64() >= Some(2) && status["state"] == "BACKOFF";
        let status = crew.has(name, "its third end", is_back);
        assert_eq!(
            (&status["last_exit_code"], status.get("last_exit_signal")),
            (&json!(code), None),
            "{status}"
        );
        assert_eq!(status["reason"], format!("exited with status {code}"), "{status}");
    }
    let line = crew.service().line("companion failed");
    assert!(line.contains("no such queue") && line.contains("failing"), "{line}");
    let line = crew.service().line("companion cannot start");
    assert!(line.contains("asked to fail") && line.contains("unloaded"), "{line}");
    assert!(
        crew.lines("panic").iter().any(|line| line.contains("asked to panic")),
        "{:?}",
        crew.lines("panic")
    );
    assert_eq!(crew.lines("unloaded"), Vec::<String>::new(), "the function was not called");
    crew.ends(&["panic", "unloaded"]);
}

#[test]
fn a_function_has_what_the_master_has_preloaded_and_loads_for_itself_otherwise() {
    for (setting, is_shared) in [("preload_app = true\n", true), ("", false)] {
        let crew =
            Crew::start("companion_probe", &(setting.to_owned() + &calls("one", "deaf", "stdout = \"one\"")));
        let said = crew.service().wait_for("one", || crew.lines("one").first().cloned());
        let own = crew.runs("one");
        let by = if is_shared { crew.service().pid() } else { own };
        assert_eq!(said, format!("one is here, thanks to {by}"));
        // The same holds for the process that follows.
        kill(own, SIGKILL);
        let said = crew.service().wait_for("another one", || crew.lines("one").get(1).cloned());
        let by = if is_shared { by } else { crew.runs_anew("one", own) };
        assert_eq!(said, format!("one is here, thanks to {by}"));
        crew.ends(&["one"]);
    }
}

#[test]
fn companions_are_called_by_their_names_by_ps() {
    let crew =
        Crew::start("companion_probe", &(calls("one", "deaf", "stdout = \"one\"") + &sleeps("two", "")));
    crew.service().wait_for("one", || crew.lines("one").first().cloned());
    assert_eq!(crew.service().process("companion one").pid, crew.runs("one"));
    // What is executed says itself what it is called.
    assert_eq!(crew.service().process("sleep 1000").pid, crew.runs("two"));
    crew.ends(&["one"]);
}
