//! Start, stop and restart, in every state that a companion can be in.

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod support;

use libc::SIGKILL;
use serde_json::{Value, json};
use support::companions::{Crew, pid, shell, sleeps, stubborn};
use support::kill;

#[test]
fn start_does_what_each_state_allows() {
    let crew = in_every_state();
    assert_eq!(crew.order("start", "stopped"), "stopped started");
    let status = crew.reaches("stopped", "RUNNING");
    assert_eq!(status["manual_stop"], false, "{status}");

    let before = crew.status("starting");
    assert_eq!(crew.order("start", "starting"), "starting already starting");
    assert_eq!(crew.status("starting")["pid"], before["pid"]);

    let before = crew.runs("running");
    assert_eq!(crew.order("start", "running"), "running already running");
    assert_eq!(crew.runs("running"), before);

    // Its next start would have been an hour away.
    crew.write("go", "");
    assert_eq!(crew.order("start", "backoff"), "backoff started");
    let status = crew.reaches("backoff", "RUNNING");
    assert_eq!(status.get("next_retry_at"), None, "{status}");

    let before = crew.status("stopping");
    assert_eq!(refused(&crew, "start", "stopping"), "stopping is stopping; poll status and retry");
    assert_eq!(crew.status("stopping")["pid"], before["pid"]);
    // And retry: the answer is another one once it has ended.
    kill(pid(&before), SIGKILL);
    crew.reaches("stopping", "STOPPED");
    assert_eq!(crew.order("start", "stopping"), "stopping started");
    kill(crew.runs("stopping"), SIGKILL);
    crew.order("stop", "stopping");
    crew.ends(&LEFT);
}

#[test]
fn stop_does_what_each_state_allows() {
    let crew = in_every_state();
    assert_eq!(crew.order("stop", "stopped"), "stopped already stopped");
    assert_eq!(crew.status("stopped")["state"], "STOPPED");

    for name in ["starting", "running"] {
        let before = pid(&crew.status(name));
        assert_eq!(crew.order("stop", name), format!("{name} stopping"));
        let status = crew.reaches(name, "STOPPED");
        assert_eq!(status["last_exit_signal"], libc::SIGTERM, "{status}");
        assert_eq!(status["manual_stop"], true, "{status}");
        assert_eq!(status["description"], "stopped manually", "{status}");
        crew.is_gone(before);
    }

    assert_eq!(crew.order("stop", "backoff"), "backoff stopped");
    let status = crew.status("backoff");
    assert_eq!((&status["state"], &status["manual_stop"]), (&json!("STOPPED"), &json!(true)), "{status}");
    assert_eq!((status.get("next_retry_at"), status.get("restart_delay")), (None, None), "{status}");

    let before = crew.status("stopping");
    assert_eq!(crew.order("stop", "stopping"), "stopping already stopping");
    assert_eq!(crew.status("stopping")["pid"], before["pid"]);
    kill(pid(&before), SIGKILL);
    crew.reaches("stopping", "STOPPED");
    crew.ends(&LEFT);
}

#[test]
fn restart_does_what_each_state_allows() {
    let crew = in_every_state();
    assert_eq!(crew.order("restart", "stopped"), "stopped started");
    let status = crew.reaches("stopped", "RUNNING");
    assert_eq!(status["manual_stop"], false, "{status}");

    let before = pid(&crew.status("starting"));
    assert_eq!(crew.order("restart", "starting"), "starting restarting");
    let is_new = |status: &Value| status["state"] == "STARTING" && pid(status) != before;
    let status = crew.has("starting", "another process", is_new);
    assert_eq!(status["restart_count"], 1, "{status}");
    crew.is_gone(before);

    let before = crew.runs("running");
    assert_eq!(crew.order("restart", "running"), "running restarting");
    crew.runs_anew("running", before);
    let status = crew.status("running");
    assert_eq!(status["restart_count"], 1, "{status}");
    crew.is_gone(before);

    crew.write("go", "");
    assert_eq!(crew.order("restart", "backoff"), "backoff started");
    crew.runs("backoff");

    let before = crew.status("stopping");
    assert_eq!(refused(&crew, "restart", "stopping"), "stopping is stopping; poll status and retry");
    // It stays what it was told to be first.
    kill(pid(&before), SIGKILL);
    let status = crew.reaches("stopping", "STOPPED");
    assert_eq!(status["manual_stop"], true, "{status}");
    crew.ends(&LEFT);
}

#[test]
fn a_stop_takes_back_the_restart_that_is_under_way() {
    let crew = Crew::start("hello", &stubborn("one", "reload_timeout = 3600"));
    crew.says("one", "one is here");
    let before = crew.runs("one");
    assert_eq!(crew.order("restart", "one"), "one restarting");
    let status = crew.status("one");
    assert_eq!((&status["state"], &status["manual_stop"]), (&json!("STOPPING"), &json!(false)), "{status}");
    assert_eq!(crew.order("stop", "one"), "one already stopping");
    let status = crew.status("one");
    assert_eq!((&status["state"], &status["manual_stop"]), (&json!("STOPPING"), &json!(true)), "{status}");
    kill(before, SIGKILL);
    let status = crew.reaches("one", "STOPPED");
    assert_eq!((&status["exit_count"], &status["restart_count"]), (&json!(1), &json!(0)), "{status}");
    crew.ends(&["one"]);
}

#[test]
fn a_companion_that_is_not_there_is_refused_and_those_that_are_get_named() {
    let crew = Crew::start("hello", &(sleeps("one", "") + &sleeps("two", "")));
    for command in ["start", "stop", "restart", "status"] {
        assert_eq!(
            refused(&crew, command, "three"),
            "no companion is called \"three\"; there are: one, two",
            "{command}"
        );
    }
    crew.ends(&[]);
}

/// Five companions, each called by the state that it is in and stays in.
fn in_every_state() -> Crew {
    let crew = Crew::start(
        "hello",
        &[
            sleeps("stopped", ""),
            sleeps("starting", "startsecs = 3600"),
            sleeps("running", ""),
            shell("backoff", "test -e go && exec sleep 1000", "restart_delay = 3600"),
            stubborn("stopping", "stop_timeout = 3600"),
        ]
        .concat(),
    );
    crew.says("stopping", "stopping is here");
    crew.order("stop", "stopped");
    crew.order("stop", "stopping");
    for name in ["stopped", "starting", "running", "backoff", "stopping"] {
        crew.reaches(name, &name.to_uppercase());
    }
    crew
}

/// Gives a command that must be refused, and returns why.
fn refused(crew: &Crew, command: &str, name: &str) -> String {
    let answer = crew.ask(&json!({"cmd": command, "name": name}));
    assert_eq!(answer["ok"], false, "{command} {name}: {answer}");
    assert_eq!(answer.get("kept_old_config"), None, "{answer}");
    answer["error"].as_str().unwrap().to_owned()
}

/// What companions leave in the service's directory.
const LEFT: [&str; 2] = ["stopping", "go"];
