//! `gunmetal companion` beside a real service, run in the service's directory by somebody who knows nothing but that.

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod support;

use std::process::Command;

use libc::SIGKILL;
use serde_json::Value;
use support::companions::{Crew, HEAD, pid, shell, sleeps, stubborn};
use support::kill;

#[test]
fn status_is_a_table_of_five_states_as_supervisorctl_has_them() {
    let crew = Crew::start(
        "hello",
        &[
            sleeps("stopped", ""),
            sleeps("starting", "startsecs = 3600"),
            sleeps("running", ""),
            shell("backoff", "exit 7", "restart_delay = 3600"),
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
    let pid = |name: &str| pid(&crew.status(name));
    let (code, table, _) = tool(&crew, &["status"]);
    // Time goes by meanwhile.
    let is_as_expected: Vec<bool> = table
        .lines()
        .zip([
            "stopped                         STOPPED   stopped manually".to_owned(),
            format!("starting                        STARTING  pid {}, starting", pid("starting")),
            format!("running                         RUNNING   pid {}, uptime 00:0", pid("running")),
            "backoff                         BACKOFF   exited with status 7, retrying in 3".to_owned(),
            format!("stopping                        STOPPING  pid {}, SIGKILL in 3", pid("stopping")),
        ])
        .map(|(line, begin)| line.starts_with(&begin))
        .collect();
    assert_eq!((code, is_as_expected), (3, vec![true; 5]), "{table}");
    let (code, line, _) = tool(&crew, &["status", "running", "--json"]);
    let answer: Value = serde_json::from_str(&line).unwrap();
    assert_eq!((code, &answer["companions"][0]["pid"]), (0, &crew.status("running")["pid"]), "{line}");
    let (_, table, _) = tool(&crew, &["status", "st*"]);
    let names: Vec<&str> = table.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(names, ["stopped", "starting", "stopping"], "{table}");
    kill(pid("stopping"), SIGKILL);
    crew.ends(&["stopping"]);
}

#[test]
fn commands_wait_until_companions_are_where_they_were_sent() {
    let crew = Crew::start(
        "hello",
        &[
            sleeps("rq-default", "startsecs = 0.2"),
            sleeps("rq-long", "startsecs = 0.2"),
            stubborn("socketio", "stop_timeout = 0.2\nreload_timeout = 0.2"),
            shell("broken", "exit 7", "restart_delay = 3600\nstartsecs = 3600\nautostart = false"),
        ]
        .concat(),
    );
    crew.says("socketio", "socketio is here");
    for name in ["rq-default", "rq-long", "socketio"] {
        crew.runs(name);
    }
    let before = ["rq-default", "rq-long", "socketio"].map(|name| crew.runs(name));
    let (code, said, _) = tool(&crew, &["restart", "rq-*"]);
    assert_eq!((code, sorted(&said)), (0, vec!["rq-default: started", "rq-long: started"]));
    for (name, before) in ["rq-default", "rq-long"].into_iter().zip(before) {
        let status = crew.status(name);
        assert_eq!(status["state"], "RUNNING", "{status}");
        assert_ne!(pid(&status), before, "{status}");
    }
    assert_eq!(tool(&crew, &["stop", "socketio"]), (0, "socketio: stopped\n".into(), String::new()));
    let status = crew.status("socketio");
    assert_eq!(
        (&status["state"], status["stop_timeout_kills"].as_u64()),
        (&"STOPPED".into(), Some(1)),
        "{status}"
    );

    let (code, said, _) = tool(&crew, &["start", "all"]);
    let said = sorted(&said);
    assert!(said[0].starts_with("broken: ERROR (exited with status 7, retrying in 3"), "{said:?}");
    let others = ["rq-default: already running", "rq-long: already running", "socketio: started"];
    assert_eq!((code, &said[1..]), (1, &others[..]));
    let (code, said, _) = tool(&crew, &["stop", "all"]);
    let stopped = ["broken", "rq-default", "rq-long", "socketio"].map(|name| format!("{name}: stopped"));
    assert_eq!((code, sorted(&said)), (0, stopped.iter().map(String::as_str).collect()));
    let (code, _, words) = tool(&crew, &["start", "sockets"]);
    assert_eq!(
        (code, words.as_str()),
        (
            1,
            "gunmetal: no companion is called \"sockets\"; there are rq-default, rq-long, socketio, broken\n"
        )
    );
    crew.ends(&["socketio"]);
}

#[test]
fn a_reread_tells_what_has_changed_or_what_is_wrong() {
    let crew = Crew::start("hello", &(sleeps("one", "") + &sleeps("two", "")));
    let before = crew.runs("one");
    crew.configure(&(sleeps("one", "stop_timeout = 7") + &sleeps("three", "")));
    assert_eq!(
        tool(&crew, &["reread"]),
        (0, "three: added\ntwo: removed\none: restarted\n".into(), String::new())
    );
    let after = crew.runs_anew("one", before);
    let same = "no companion has been added, removed or restarted\n";
    assert_eq!(tool(&crew, &["reread"]), (0, same.into(), String::new()));
    crew.configure(&sleeps("one", "stop_timeout = -7"));
    let line = HEAD.lines().count() + 5;
    let words = format!(
        "gunmetal: invalid config: gunmetal.toml:{line}: companion \"one\": stop_timeout = -7 is not allowed: not from 0 to \
         31536000 seconds; allowed: seconds, 0 for SIGKILL at once; the companions stay as they are\n"
    );
    assert_eq!(tool(&crew, &["reread"]), (1, String::new(), words));
    assert_eq!(crew.runs("one"), after);
    crew.ends(&[]);
}

#[test]
fn outputs_and_pids_are_shown() {
    let crew = Crew::start(
        "hello",
        &(shell("one", "seq 9; echo no >&2; exec sleep 1000", "stdout = \"one.out\"\nstderr = \"one.err\"")
            + &sleeps("two", "")),
    );
    crew.says("one.err", "no");
    assert_eq!(tool(&crew, &["tail", "one", "-n", "2"]), (0, "8\n9\n".into(), String::new()));
    assert_eq!(tool(&crew, &["tail", "one", "stderr"]), (0, "no\n".into(), String::new()));
    let (code, _, words) = tool(&crew, &["tail", "two"]);
    assert!(code == 1 && words.starts_with("gunmetal: stdout of two has no file: "), "{words}");
    let pids = format!("{}\n{}\n", crew.runs("one"), crew.runs("two"));
    assert_eq!(tool(&crew, &["pid", "all"]), (0, pids, String::new()));
    let manager = crew.service().process("companion manager").pid;
    assert_eq!(tool(&crew, &["pid"]), (0, format!("{manager}\n"), String::new()));
    crew.ends(&["one.out", "one.err"]);
}

/// Exit code, output and complaints.
fn tool(crew: &Crew, args: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gunmetal"));
    for variable in ["GUNMETAL_COMPANION_CONTROL_SOCKET", "GUNMETAL_COMPANION_CONFIG_FILE", "GUNMETAL_CONFIG"]
    {
        command.env_remove(variable);
    }
    let output =
        command.arg("companion").args(args).current_dir(crew.service().directory()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn sorted(said: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = said.lines().collect();
    lines.sort_unstable();
    lines
}
