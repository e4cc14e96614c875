//! Reread: another configuration, all or nothing.

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod support;

use std::fs;

use libc::SIGKILL;
use serde_json::{Value, json};
use support::companions::{Crew, calls, shell, sleeps, stubborn};
use support::kill;

#[test]
fn a_reread_tells_what_was_added_removed_restarted_and_left_alone() {
    let crew = Crew::start("hello", &(sleeps("gone", "") + &sleeps("changed", "") + &sleeps("same", "")));
    let [gone, changed, same] = ["gone", "changed", "same"].map(|name| crew.runs(name));
    crew.configure(&(sleeps("new", "") + &sleeps("same", "") + &sleeps("changed", "env = { A = \"1\" }")));
    assert_eq!(crew.reread(), [vec!["new"], vec!["gone"], vec!["changed"], vec!["same"]]);
    crew.service().line("Companions reread: added new; removed gone; restarted changed");
    crew.runs("new");
    crew.runs_anew("changed", changed);
    assert_eq!(crew.runs("same"), same);
    crew.is_gone(gone);
    crew.service().wait_for("the new order", || (names(&crew) == ["new", "same", "changed"]).then_some(()));
    let status = crew.status("changed");
    assert_eq!((&status["restart_count"], &status["exit_count"]), (&json!(1), &json!(1)), "{status}");

    // The same configuration again is nothing to do.
    let before = ["new", "same", "changed"].map(|name| crew.runs(name));
    assert_eq!(crew.reread(), [vec![], vec![], vec![], vec!["new", "same", "changed"]]);
    crew.service().line("Companions reread: nothing to do");
    assert_eq!(["new", "same", "changed"].map(|name| crew.runs(name)), before);
    crew.ends(&[]);
}

#[test]
fn a_configuration_with_a_mistake_keeps_everything_and_the_mistake_is_named() {
    let one = |rest| shell("one", "echo A is $A >> one; exec sleep 1000", rest);
    let good =
        one("env = { A = \"0\" }") + &sleeps("two", "") + &shell("three", "exit 7", "restart_delay = 3600");
    let crew = Crew::start("companion_probe", &good);
    let before = [crew.runs("one"), crew.runs("two")];
    crew.says("one", "A is 0");
    let three = crew.reaches("three", "BACKOFF");
    crew.order("stop", "two");
    crew.reaches("two", "STOPPED");
    // Each would change the first, remove the second and add another, if it were not for the mistake.
    let changed = one("env = { A = \"1\" }") + &sleeps("new", "");
    for (mistake, words) in [
        (sleeps("new", ""), "companion \"new\": name = \"new\" is not allowed: it is taken"),
        (sleeps("four", "stop_timeuot = 1"), "unknown key \"stop_timeuot\" (did you mean \"stop_timeout\"?)"),
        (
            sleeps("four", "stop_signal = \"SIGTRM\""),
            "stop_signal = \"SIGTRM\" is not allowed: there is no such signal",
        ),
        (sleeps("four", "stop_timeout = -1"), "stop_timeout = -1 is not allowed: not from 0 to"),
        (sleeps("four", "cwd = \"no/such/directory\""), "cwd = \"no/such/directory\" is not allowed: "),
        (
            sleeps("four", "stdout = \"no/such/directory/file\""),
            "stdout = \"no/such/directory/file\" is not allowed: ",
        ),
        (sleeps("four", "depends_on = [\"five\"]"), "there is no companion \"five\""),
        (
            calls("four", "polight", ""),
            "target = \"probe:polight\" is not allowed: not registered (did you mean \"probe:polite\"?)",
        ),
        (
            "\n[[companion_workers]]\nname = \"four\"\n".into(),
            "companion \"four\": target or command is missing",
        ),
        ("\n[[companion_workers\n".into(), "gunmetal.toml:17: unclosed array table"),
    ] {
        crew.configure(&format!("{changed}{mistake}"));
        let error = crew.reread_fails();
        assert!(error.starts_with("invalid config: "), "{error}");
        assert!(error.contains(words), "{mistake}: {error}");
        assert_eq!(names(&crew), ["one", "two", "three"], "{mistake}");
        let status = crew.status("one");
        assert_eq!((&status["state"], &status["pid"]), (&json!("RUNNING"), &json!(before[0])), "{mistake}");
        let status = crew.status("two");
        assert_eq!(
            (&status["state"], &status["manual_stop"]),
            (&json!("STOPPED"), &json!(true)),
            "{mistake}"
        );
        let status = crew.status("three");
        for field in ["state", "exit_count", "next_retry_at"] {
            assert_eq!(status[field], three[field], "{mistake}: {status}");
        }
    }
    fs::remove_file(crew.service().file("gunmetal.toml")).unwrap();
    fs::create_dir(crew.service().file("gunmetal.toml")).unwrap();
    let error = crew.reread_fails();
    assert!(
        error.ends_with("gunmetal.toml cannot be read: it is a directory and no regular file"),
        "{error}"
    );
    fs::remove_dir(crew.service().file("gunmetal.toml")).unwrap();

    crew.configure("companion_workers = 7\n");
    let error = crew.reread_fails();
    assert!(error.contains("companion_workers = 7 is not allowed: not a list"), "{error}");

    // What was in force is in force still: the next process has nothing of what was refused.
    assert_eq!(crew.lines("one"), ["A is 0"]);
    kill(before[0], SIGKILL);
    crew.runs_anew("one", before[0]);
    crew.service().wait_for("its line", || (crew.lines("one") == ["A is 0", "A is 0"]).then_some(()));
    // And what is in order again holds.
    crew.configure(&changed);
    assert_eq!(crew.reread(), [vec!["new"], vec!["two", "three"], vec!["one"], vec![]]);
    crew.runs("new");
    crew.says("one", "A is 1");
    crew.ends(&["one"]);
}

#[test]
fn a_manual_stop_outlives_other_configurations_and_the_next_start_goes_by_the_latest() {
    let said = |what: &str| shell("one", &format!("echo {what} >> one; exec sleep 1000"), "");
    let crew = Crew::start("hello", &(said("first") + &sleeps("two", "")));
    crew.says("one", "first");
    crew.order("stop", "one");
    crew.reaches("one", "STOPPED");
    for what in ["second", "third"] {
        crew.configure(&(said(what) + &sleeps("two", "")));
        // Nothing was done, so it is one of those.
        assert_eq!(crew.reread(), [vec![], vec![], vec![], vec!["one", "two"]]);
        let status = crew.status("one");
        assert_eq!((&status["state"], &status["manual_stop"]), (&json!("STOPPED"), &json!(true)), "{status}");
        // It is shown as it will be.
        assert_eq!(status["command"][2], format!("echo {what} >> one; exec sleep 1000"), "{status}");
    }
    crew.order("start", "one");
    crew.says("one", "third");
    assert_eq!(crew.lines("one"), ["first", "third"]);
    // From then on it is restarted by a change like any other.
    crew.configure(&(said("fourth") + &sleeps("two", "")));
    assert_eq!(crew.reread(), [vec![], vec![], vec!["one"], vec!["two"]]);
    crew.says("one", "fourth");
    crew.ends(&["one"]);
}

#[test]
fn a_stop_that_is_under_way_outlives_another_configuration_too() {
    let crew = Crew::start("hello", &stubborn("one", "stop_timeout = 3600"));
    crew.says("one", "one is here");
    let before = crew.runs("one");
    crew.order("stop", "one");
    crew.configure(&stubborn("one", "stop_timeout = 1800"));
    assert_eq!(crew.reread(), [vec![], vec![], vec![], vec!["one"]]);
    let status = crew.status("one");
    assert_eq!((&status["state"], &status["pid"]), (&json!("STOPPING"), &json!(before)), "{status}");
    kill(before, SIGKILL);
    let status = crew.reaches("one", "STOPPED");
    assert_eq!(status["manual_stop"], true, "{status}");
    crew.ends(&["one"]);
}

#[test]
fn a_companion_that_waits_for_its_next_start_is_started_at_once_when_it_has_changed() {
    let crew = Crew::start("hello", &shell("one", "exit 7", "restart_delay = 3600"));
    crew.reaches("one", "BACKOFF");
    crew.configure(&sleeps("one", "restart_delay = 3600"));
    assert_eq!(crew.reread(), [vec![], vec![], vec!["one"], vec![]]);
    crew.runs("one");
    crew.ends(&[]);
}

#[test]
fn a_changed_companion_has_its_reload_timeout_and_a_removed_one_its_stop_timeout_to_end() {
    let crew = Crew::start(
        "hello",
        &(stubborn("changed", "reload_timeout = 0.1\nstop_timeout = 3600")
            + &stubborn("removed", "reload_timeout = 3600\nstop_timeout = 0.1")),
    );
    crew.says("changed", "changed is here");
    crew.says("removed", "removed is here");
    let [changed, removed] = ["changed", "removed"].map(|name| crew.runs(name));
    crew.configure(&sleeps("changed", ""));
    assert_eq!(crew.reread(), [vec![], vec!["removed"], vec!["changed"], vec![]]);
    crew.runs_anew("changed", changed);
    assert_eq!(crew.status("changed")["stop_timeout_kills"], 1);
    crew.is_gone(removed);
    crew.service().line("Companion removed was sent SIGKILL: it has not ended in time");
    crew.service().wait_for("its removal", || (names(&crew) == ["changed"]).then_some(()));
    crew.ends(&["changed", "removed"]);
}

#[test]
fn who_is_removed_and_added_again_before_he_has_ended_is_started_once_he_has() {
    let one = stubborn("one", "stop_timeout = 3600");
    let crew = Crew::start("hello", &(one.clone() + &sleeps("two", "")));
    crew.says("one", "one is here");
    let before = crew.runs("one");
    crew.configure(&sleeps("two", ""));
    assert_eq!(crew.reread(), [vec![], vec!["one"], vec![], vec!["two"]]);
    let status = crew.status("one");
    assert_eq!((&status["state"], &status["pid"]), (&json!("STOPPING"), &json!(before)), "{status}");
    // It is removed already.
    assert_eq!(crew.reread(), [vec![], vec![], vec![], vec!["two"]]);

    crew.configure(&(one + &sleeps("two", "")));
    assert_eq!(crew.reread(), [vec!["one"], vec![], vec![], vec!["two"]]);
    let status = crew.status("one");
    assert_eq!((&status["state"], &status["pid"]), (&json!("STOPPING"), &json!(before)), "{status}");
    assert_eq!(crew.lines("one"), ["one is here"], "never two at a time");
    kill(before, SIGKILL);
    crew.service().wait_for("the second process", || (crew.lines("one").len() == 2).then_some(()));
    kill(crew.runs_anew("one", before), SIGKILL);

    // The third one is removed for good, once it has ended.
    crew.configure(&sleeps("two", ""));
    assert_eq!(crew.reread(), [vec![], vec!["one"], vec![], vec!["two"]]);
    if let Some(left) = crew.statuses().iter().find(|status| status["name"] == "one") {
        left["pid"].as_u64().into_iter().for_each(|pid| kill(u32::try_from(pid).unwrap(), SIGKILL));
    }
    crew.service().wait_for("its removal", || (names(&crew) == ["two"]).then_some(()));
    crew.ends(&["one"]);
}

#[test]
fn who_is_removed_while_he_has_no_process_is_gone_at_once() {
    let crew = Crew::start(
        "hello",
        &[
            shell("backoff", "exit 7", "restart_delay = 3600"),
            sleeps("stopped", ""),
            sleeps("resting", "autostart = false"),
            sleeps("last", ""),
        ]
        .concat(),
    );
    crew.reaches("backoff", "BACKOFF");
    crew.order("stop", "stopped");
    crew.reaches("stopped", "STOPPED");
    crew.configure(&sleeps("last", ""));
    assert_eq!(crew.reread(), [vec![], vec!["backoff", "stopped", "resting"], vec![], vec!["last"]]);
    assert_eq!(names(&crew), ["last"]);
    // A manual stop ends with what was stopped: who comes again is new.
    crew.configure(&(sleeps("stopped", "") + &sleeps("resting", "autostart = false")));
    assert_eq!(crew.reread(), [vec!["stopped", "resting"], vec!["last"], vec![], vec![]]);
    crew.runs("stopped");
    assert_eq!(crew.status("resting")["state"], "STOPPED");
    // All of them may go.
    crew.configure("");
    assert_eq!(crew.reread(), [vec![], vec!["stopped", "resting"], vec![], vec![]]);
    crew.service().wait_for("the end of all", || crew.statuses().is_empty().then_some(()));
    crew.ends(&[]);
}

fn names(crew: &Crew) -> Vec<String> {
    let name = |status: &Value| status["name"].as_str().unwrap().to_owned();
    crew.statuses().iter().map(name).collect()
}
