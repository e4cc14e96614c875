//! `gunmetal companion` against a manager that says what the test wants.

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod changing;
mod manager;
mod tailing;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};

use manager::{Guard, Manager, PATIENCE, companion, ok, said, tool, wait_for};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde_json::{Value, json};

/// Commands are not expected.
fn silent(command: &str) -> Value {
    panic!("{command}");
}

#[test]
fn status_has_the_columns_of_supervisorctl() {
    let companions = vec![
        companion("rq-default", "RUNNING", "pid 1234, uptime 2 days, 03:12:44"),
        companion("rq-long", "BACKOFF", "exited with status 1, retrying in 3s"),
        companion("scheduler", "STOPPED", "stopped manually"),
        companion("socketio", "STOPPING", ""),
    ];
    let manager = Manager::with([companions], silent);
    let expected = "\
rq-default                      RUNNING   pid 1234, uptime 2 days, 03:12:44
rq-long                         BACKOFF   exited with status 1, retrying in 3s
scheduler                       STOPPED   stopped manually
socketio                        STOPPING
";
    assert_eq!(manager.say(&["status"]), (3, expected.to_owned(), String::new()));
}

#[test]
fn what_a_companion_says_has_no_effect_on_the_terminal() {
    let words = "cannot begin: \u{1b}[2Jno\r\nsuch \u{9b}file \u{7f}\u{fc}";
    let escaped = "cannot begin: \\u{1b}[2Jno\\r\\nsuch \\u{9b}file \\u{7f}\u{fc}";
    let broken = || vec![companion("a", "BACKOFF", words)];
    let manager = Manager::with([broken()], |_| ok("a started"));
    let expected = format!("{:<32}BACKOFF   {escaped}\n", "a");
    assert_eq!(manager.say(&["status"]), (3, expected, String::new()));
    assert_eq!(manager.say(&["start", "a"]), (1, format!("a: ERROR ({escaped})\n"), String::new()));
    // For programs it is as it was.
    let (_, json, _) = manager.say(&["status", "--json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["companions"][0]["description"], words);
}

#[test]
fn a_name_that_is_too_long_for_its_column_widens_it() {
    let long = "a-companion-with-a-name-of-40-characters";
    let companions = vec![companion(long, "RUNNING", "pid 1"), companion("b", "RUNNING", "pid 2")];
    let manager = Manager::with([companions], silent);
    let (code, text, _) = manager.say(&["status"]);
    assert_eq!((code, text), (0, format!("{long} RUNNING   pid 1\n{:<41}RUNNING   pid 2\n", "b")));
}

#[test]
fn the_exit_code_of_status_says_whether_all_that_are_shown_run() {
    let companions = || {
        vec![
            companion("a", "RUNNING", "pid 1"),
            companion("b", "STARTING", "pid 2"),
            companion("c", "RUNNING", "pid 3"),
        ]
    };
    for (names, expected) in
        [(&[][..], 3), (&["all"], 3), (&["a"], 0), (&["[ac]"], 0), (&["c", "b"], 3), (&["d"], 4)]
    {
        let manager = Manager::with([companions()], silent);
        let (code, text, words) = manager.say(&[&["status"], names].concat());
        assert_eq!(code, expected, "{names:?}: {text}{words}");
    }
    let nobody = Manager::with([Vec::new()], silent);
    assert_eq!(nobody.say(&["status"]), (0, String::new(), String::new()));
}

#[test]
fn what_is_configured_no_more_is_shown_and_not_missed_and_commands_for_all_leave_it_alone() {
    let companions = || {
        let mut old = companion("old", "STOPPING", "pid 2, SIGKILL in 9s");
        old["removed"] = true.into();
        vec![companion("a", "RUNNING", "pid 1"), old]
    };
    let manager = Manager::with([companions()], |_| ok("a already running"));
    let (code, text, _) = manager.say(&["status"]);
    assert!(code == 0 && text.contains("\nold "), "{text}");
    assert_eq!(manager.say(&["start", "all", "--no-wait"]).0, 0);
    assert_eq!(manager.say(&["start", "?*", "--no-wait"]).0, 0);
    assert_eq!(manager.say(&["start", "old", "--no-wait"]).0, 0);
    assert_eq!(manager.asked(), ["status", "status", "start a", "status", "start a", "status", "start old"]);
}

#[test]
fn status_as_json_is_what_the_manager_says() {
    let line = r#"{"ok":true,"companions":[{"name":"a","state":"RUNNING","pid":7,"more":[1]},{"name":"b","state":"STOPPED","pid":null}]}"#;
    let manager = Manager::new(move |_| format!("{line}\n"));
    assert_eq!(manager.say(&["status", "--json"]), (3, format!("{line}\n"), String::new()));
    let (code, text, _) = manager.say(&["status", "--json", "b", "a"]);
    let found: Value = serde_json::from_str(&text).unwrap();
    let expected = json!({ "ok": true, "companions": [
        { "name": "b", "state": "STOPPED", "pid": null },
        { "name": "a", "state": "RUNNING", "pid": 7, "more": [1] },
    ] });
    assert_eq!((code, found), (3, expected));
}

#[test]
fn without_a_manager_the_path_is_named_and_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let say = |args: &[&str]| said(tool(directory.path(), args).output().unwrap());
    let (code, text, words) = say(&["status", "--wait", "0"]);
    assert_eq!((code, text.as_str()), (4, ""));
    let start = "gunmetal: no companion manager has answered at gunmetal-companion.sock, where it is by default; see that";
    assert!(words.starts_with(start) && words.contains("No such file"), "{words}");
    let (code, _, words) = say(&["stop", "all", "--wait", "0.1", "--control-socket", "x.sock"]);
    assert_eq!(code, 1);
    let start = "gunmetal: no companion manager has answered within 0.1 s at x.sock, as the command line says; see that";
    assert!(words.starts_with(start), "{words}");
    // A socket that nobody listens at any more.
    drop(UnixListener::bind(directory.path().join("x.sock")).unwrap());
    let (_, _, words) = say(&["status", "--wait", "0", "--control-socket", "x.sock"]);
    assert!(words.contains("Connection refused"), "{words}");
    let (code, _, words) = say(&["status", "--wait", "soon"]);
    assert!(code == 2 && words.contains("allowed: seconds"), "{words}");
}

#[test]
fn the_socket_is_found_by_flag_variable_and_configuration_file() {
    let manager = Manager::with([vec![companion("a", "RUNNING", "pid 1")]], silent);
    let elsewhere = tempfile::tempdir().unwrap();
    let socket = manager.socket();
    let socket = socket.to_str().unwrap();
    let config = elsewhere.path().join("app.toml");
    fs::write(&config, format!("workers = 2\ncompanion_control_socket = {socket:?}")).unwrap();
    let config = config.to_str().unwrap();
    for (args, variable) in [
        (&["status", "--control-socket", socket][..], None),
        (&["--control-socket", socket, "status"], None),
        (&["status", "-s", socket], None),
        (&["status", "--socket", socket], None),
        (&["status", "--config", config], None),
        (&["status"], Some(("GUNMETAL_COMPANION_CONTROL_SOCKET", socket))),
        (&["status"], Some(("GUNMETAL_CONFIG", config))),
    ] {
        let (code, text, words) =
            said(tool(elsewhere.path(), args).envs(variable).args(["--wait", "0"]).output().unwrap());
        assert!(code == 0 && text.starts_with("a "), "{args:?} {variable:?}: {words}");
    }
    // Before the word `companion` it is not that of the dirty arbiter.
    let program = env!("CARGO_BIN_EXE_gunmetal");
    let (code, _, words) =
        said(Command::new(program).args(["-s", socket, "companion", "status"]).output().unwrap());
    assert_eq!((code, words.as_str()), (0, ""));
}

#[test]
fn a_configuration_file_that_is_broken_locks_nobody_out() {
    let manager = Manager::with([vec![companion("a", "RUNNING", "pid 1")]], |_| ok("a already stopped"));
    fs::write(manager.directory.path().join("gunmetal.toml"), "workers = 2\ncompanion_workers = [\n")
        .unwrap();
    for args in [&["status"][..], &["stop", "a"]] {
        let (code, text, words) = manager.say(args);
        assert!(code == 0 && text.starts_with('a'), "{args:?}: {text}{words}");
        assert!(words.starts_with("gunmetal: gunmetal.toml:"), "{words}");
        assert_eq!(words.lines().count(), 1, "{words}");
    }
}

#[test]
fn a_manager_that_is_replaced_meanwhile_is_asked_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("gunmetal-companion.sock");
    let first = listen(&path);
    let mut child = Guard(tool(directory.path(), &["status", "--wait", "60"]).spawn().unwrap());
    let stream = accept(&first);
    BufReader::new(&stream).read_line(&mut String::new()).unwrap();
    // Ends without an answer, and for a while there is none.
    fs::remove_file(&path).unwrap();
    drop((stream, first));
    let second = listen(&path);
    let mut stream = accept(&second);
    BufReader::new(&stream).read_line(&mut String::new()).unwrap();
    stream.write_all(b"{\"ok\":true,\"companions\":[]}\n").unwrap();
    let status = wait_for("the end of the tool", || child.0.try_wait().unwrap());
    assert_eq!(status.code(), Some(0));
}

#[test]
fn who_may_not_ask_is_told_so() {
    let directory = tempfile::tempdir().unwrap();
    let listener = listen(&directory.path().join("gunmetal-companion.sock"));
    let mut child = tool(directory.path(), &["status"]).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = child.stderr.take().unwrap();
    let mut child = Guard(child);
    // As the manager does it: nothing of such a client is read, and it may notice that as it asks.
    accept(&listener).write_all(b"{\"ok\":false,\"error\":\"user 7 may not control these\"}\n").unwrap();
    let status = wait_for("the end of the tool", || child.0.try_wait().unwrap());
    let mut words = String::new();
    stderr.read_to_string(&mut words).unwrap();
    let expected = "gunmetal: the companion manager does not tell its status: user 7 may not control these\n";
    assert_eq!((status.code(), words.as_str()), (Some(4), expected));
}

#[test]
fn a_command_that_may_have_been_obeyed_is_not_given_twice() {
    let mut commands = 0;
    let manager = Manager::new(move |request| {
        if request["cmd"] == "status" {
            return format!("{}\n", json!({ "ok": true, "companions": [companion("a", "RUNNING", "")] }));
        }
        commands += 1;
        assert_eq!(commands, 1);
        String::new()
    });
    let (code, _, words) = manager.say(&["restart", "a"]);
    assert_eq!(code, 1);
    assert!(words.contains("has ended before it answered: whether it obeyed is not known"), "{words}");
}

#[test]
fn a_command_that_nobody_has_read_is_given_to_the_next_manager() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("gunmetal-companion.sock");
    let listener = listen(&path);
    let mut child = Guard(tool(directory.path(), &["start", "a", "--no-wait"]).spawn().unwrap());
    let mut first = accept(&listener);
    BufReader::new(&first).read_line(&mut String::new()).unwrap();
    let status = json!({ "ok": true, "companions": [companion("a", "STOPPED", "")] });
    first.write_all(format!("{status}\n").as_bytes()).unwrap();
    // The command has arrived, and is lost with the connection.
    let patience = PollTimeout::try_from(PATIENCE).unwrap();
    let count = poll(&mut [PollFd::new(first.as_fd(), PollFlags::POLLIN)], patience).unwrap();
    assert_eq!(count, 1);
    drop(first);
    let mut second = accept(&listener);
    let mut line = String::new();
    BufReader::new(&second).read_line(&mut line).unwrap();
    assert_eq!(line, "{\"cmd\":\"start\",\"name\":\"a\"}\n");
    second.write_all(format!("{}\n", ok("a started")).as_bytes()).unwrap();
    let status = wait_for("the end of the tool", || child.0.try_wait().unwrap());
    assert_eq!(status.code(), Some(0));
}

#[test]
fn who_is_no_manager_is_not_mistaken_for_one() {
    for line in ["SSH-2.0-x\n", "GM\u{1}\u{3}", "{\"ok\":true}\n", "[]\n", "{}\n"] {
        let mut is_first = true;
        let manager =
            Manager::new(
                move |_| if std::mem::take(&mut is_first) { line.to_owned() } else { String::new() },
            );
        let (code, _, words) = manager.say(&["status", "--wait", "0"]);
        let expected = "gunmetal: who answers at gunmetal-companion.sock is no companion manager: ";
        assert!(code == 4 && words.starts_with(expected), "{line:?}: {words}");
    }
}

#[test]
fn a_manager_that_does_not_answer_is_given_up() {
    let directory = tempfile::tempdir().unwrap();
    let _listener = UnixListener::bind(directory.path().join("gunmetal-companion.sock")).unwrap();
    let (code, _, words) = said(tool(directory.path(), &["status", "--wait", "0"]).output().unwrap());
    assert_eq!(code, 4);
    assert!(words.contains("has not answered within 5s"), "{words}");
}

#[test]
fn a_reread_tells_what_has_changed() {
    let names = |added: &[&str], removed: &[&str], restarted: &[&str]| json!({ "ok": true, "added": added, "removed": removed, "restarted": restarted, "unchanged": ["u"] });
    let answer = names(&["n"], &["o"], &["r", "s"]);
    let line = format!("{answer}\n");
    let manager = Manager::with([], move |_| answer.clone());
    let expected = "n: added\no: removed\nr: restarted\ns: restarted\n";
    assert_eq!(manager.say(&["reread"]), (0, expected.to_owned(), String::new()));
    assert_eq!(manager.say(&["reread", "--json"]), (0, line, String::new()));
    let manager = Manager::with([], move |_| names(&[], &[], &[]));
    let expected = "no companion has been added, removed or restarted\n";
    assert_eq!(manager.say(&["reread"]), (0, expected.to_owned(), String::new()));
}

#[test]
fn a_reread_that_fails_says_why_and_that_nothing_has_changed() {
    let error = "invalid config: duplicate companion name rq-default";
    let answer = json!({ "ok": false, "error": error, "kept_old_config": true });
    let line = format!("{answer}\n");
    let manager = Manager::with([], move |_| answer.clone());
    let expected = format!("gunmetal: {error}; the companions stay as they are\n");
    assert_eq!(manager.say(&["reread"]), (1, String::new(), expected));
    assert_eq!(manager.say(&["reread", "--json"]), (1, line, String::new()));
}

#[test]
fn pids_are_those_of_the_companions_or_of_the_manager() {
    let companions = vec![companion("a", "RUNNING", ""), companion("b", "STOPPED", "stopped manually")];
    let manager = Manager::with([companions], silent);
    assert_eq!(manager.say(&["pid", "a"]), (0, "1234\n".to_owned(), String::new()));
    let expected = "gunmetal: b has no process: STOPPED stopped manually\n";
    assert_eq!(manager.say(&["pid", "all"]), (1, "1234\n".to_owned(), expected.to_owned()));
    // It runs in this process.
    assert_eq!(manager.say(&["pid"]), (0, format!("{}\n", std::process::id()), String::new()));
}

#[test]
fn who_has_read_enough_of_the_output_hears_no_complaint() {
    let running = vec![companion("a", "RUNNING", "")];
    let manager = Manager::with([running], |_| ok("a already running"));
    for args in [&["status"][..], &["status", "--json"], &["start", "a"], &["pid"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let (code, _, words) = said(manager.tool(args).stdout(writer).output().unwrap());
        assert_eq!((code, words.as_str()), (0, ""), "{args:?}");
    }
}

/// A listener that does not block.
fn listen(path: &Path) -> UnixListener {
    let listener = UnixListener::bind(path).unwrap();
    listener.set_nonblocking(true).unwrap();
    listener
}

fn accept(listener: &UnixListener) -> UnixStream {
    let (stream, _) = wait_for("connection", || listener.accept().ok());
    stream.set_nonblocking(false).unwrap();
    stream
}
