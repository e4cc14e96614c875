//! `gunmetal companion start`, `stop` and `restart`.

use crate::manager::{Manager, companion, ok, refused};
use crate::silent;

#[test]
fn a_start_waits_until_the_companion_runs() {
    let statuses =
        ["STOPPED", "STARTING", "STARTING", "RUNNING"].map(|state| vec![companion("a", state, "")]);
    let manager = Manager::with(statuses, |_| ok("a started"));
    assert_eq!(manager.say(&["start", "a"]), (0, "a: started\n".to_owned(), String::new()));
    assert_eq!(manager.asked(), ["status", "start a", "status", "status", "status"]);
}

#[test]
fn a_start_that_comes_to_nothing_says_why_and_fails() {
    let why = "exited with status 1, retrying in 5s";
    let statuses = [("STOPPED", ""), ("STARTING", ""), ("BACKOFF", why)]
        .map(|(state, description)| vec![companion("a", state, description)]);
    let manager = Manager::with(statuses, |_| ok("a started"));
    assert_eq!(manager.say(&["start", "a"]), (1, format!("a: ERROR ({why})\n"), String::new()));
}

#[test]
fn a_restart_waits_for_the_end_and_for_the_new_process() {
    let statuses =
        ["RUNNING", "STOPPING", "STARTING", "RUNNING"].map(|state| vec![companion("a", state, "")]);
    let manager = Manager::with(statuses, |_| ok("a restarting"));
    assert_eq!(manager.say(&["restart", "a"]), (0, "a: started\n".to_owned(), String::new()));
    assert_eq!(manager.asked(), ["status", "restart a", "status", "status", "status"]);
}

#[test]
fn several_are_told_first_and_then_waited_for_each_for_itself() {
    let statuses = [
        ["RUNNING", "RUNNING", "RUNNING"],
        ["STOPPING", "STOPPED", "RUNNING"],
        ["STOPPED", "STOPPED", "RUNNING"],
    ];
    let statuses = statuses
        .map(|[a, b, c]| vec![companion("rq-a", a, ""), companion("rq-b", b, ""), companion("c", c, "")]);
    let manager = Manager::with(statuses, |_| ok("stopping"));
    assert_eq!(
        manager.say(&["stop", "rq-*"]),
        (0, "rq-b: stopped\nrq-a: stopped\n".to_owned(), String::new())
    );
    assert_eq!(manager.asked(), ["status", "stop rq-a", "stop rq-b", "status", "status"]);
}

#[test]
fn one_that_fails_does_not_keep_the_others_from_their_end() {
    let statuses = [["STOPPED", "STOPPED"], ["BACKOFF", "STARTING"], ["BACKOFF", "RUNNING"]]
        .map(|[a, b]| vec![companion("a", a, "exited with status 1, retrying in 5s"), companion("b", b, "")]);
    let manager = Manager::with(statuses, |_| ok("started"));
    let expected = "a: ERROR (exited with status 1, retrying in 5s)\nb: started\n";
    assert_eq!(manager.say(&["start", "all"]), (1, expected.to_owned(), String::new()));
}

#[test]
fn what_is_so_already_is_a_success() {
    let running = || [vec![companion("a", "RUNNING", "")]];
    let manager = Manager::with(running(), |_| ok("a already running"));
    assert_eq!(manager.say(&["start", "a"]), (0, "a: already running\n".to_owned(), String::new()));
    assert_eq!(manager.asked(), ["status", "start a"]);
    let manager = Manager::with(running(), |_| ok("already stopped"));
    assert_eq!(manager.say(&["stop", "a"]), (0, "a: already stopped\n".to_owned(), String::new()));
}

#[test]
fn what_is_being_stopped_is_started_once_it_has_ended() {
    let statuses =
        ["STOPPING", "STOPPING", "STOPPED", "RUNNING"].map(|state| vec![companion("a", state, "")]);
    let mut is_first = true;
    let manager = Manager::with(statuses, move |_| match std::mem::take(&mut is_first) {
        true => refused("a is stopping; poll status and retry"),
        false => ok("a started"),
    });
    assert_eq!(manager.say(&["start", "a"]), (0, "a: started\n".to_owned(), String::new()));
    assert_eq!(manager.asked(), ["status", "start a", "status", "status", "start a", "status"]);
}

#[test]
fn who_does_not_wait_gets_the_answers_as_they_are() {
    let running = || [vec![companion("a", "RUNNING", ""), companion("b", "STOPPING", "")]];
    let answer = |command: &str| match command {
        "restart a" => ok("a restarting"),
        _ => refused("b is stopping; poll status and retry"),
    };
    let manager = Manager::with(running(), answer);
    let expected = "a: restarting\nb: ERROR (b is stopping; poll status and retry)\n";
    assert_eq!(manager.say(&["restart", "--no-wait", "all"]), (1, expected.to_owned(), String::new()));
    assert_eq!(manager.asked(), ["status", "restart a", "restart b"]);
    let manager = Manager::with(running(), answer);
    let expected = format!("{}\n", ok("a restarting"));
    assert_eq!(manager.say(&["restart", "a", "--no-wait", "--json"]), (0, expected, String::new()));
}

#[test]
fn a_word_that_means_nobody_is_an_error_and_nobody_is_touched() {
    let companions = || [vec![companion("a", "RUNNING", ""), companion("b", "RUNNING", "")]];
    let manager = Manager::with(companions(), silent);
    let expected = "gunmetal: no companion is called \"c\"; there are a, b\n";
    assert_eq!(manager.say(&["stop", "a", "c"]), (1, String::new(), expected.to_owned()));
    let manager = Manager::with(companions(), silent);
    let expected = "gunmetal: no companion matches \"c*\"; there are a, b\n";
    assert_eq!(manager.say(&["restart", "c*"]), (1, String::new(), expected.to_owned()));
}
