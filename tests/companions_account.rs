//! Companions of a service that root has started and that runs as another user: they are that user's, and so is all they reach.

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod support;

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;

use serde_json::{Value, json};
use support::Service;
use support::companions::{Crew, HEAD, calls, shell, sleeps};
use support::http::HttpService;

#[test]
fn companions_run_as_the_user_of_the_service_and_their_files_are_that_users() {
    let who = "id -u; id -g; id -G; exec sleep 1000";
    let Some(crew) = start(&[
        &shell("one", who, "stdout = \"open/one\"\ncwd = \"open\""),
        &calls("two", "deaf", "stdout = \"open/two\""),
    ]) else {
        return;
    };
    crew.service()
        .wait_for("its words", || (crew.lines("open/one") == ["65534", "65534", "65534"]).then_some(()));
    crew.service().wait_for("two", || crew.lines("open/two").first().cloned());
    for name in ["one", "two"] {
        let process = fs::metadata(format!("/proc/{}", crew.runs(name))).unwrap();
        assert_eq!((process.uid(), process.gid()), (NOBODY, NOBODY), "{name}");
        let file = fs::metadata(crew.service().file("open").join(name)).unwrap();
        assert_eq!((file.uid(), file.gid()), (NOBODY, NOBODY), "{name}");
    }
    // Who may command it is who has started it.
    let socket = fs::metadata(crew.service().file("control.sock")).unwrap();
    assert_eq!((socket.uid(), socket.mode() & 0o777), (0, 0o600));
    let manager = crew.service().process("companion manager").pid;
    assert_eq!(fs::metadata(format!("/proc/{manager}")).unwrap().uid(), 0);
    crew.ends(&["open", "shut"]);
}

#[test]
fn what_that_user_may_not_reach_a_companion_does_not_reach() {
    let Some(crew) = start(&[
        &sleeps("one", "stdout = \"shut/one\""),
        &sleeps("two", "stderr = \"open/link\""),
        &sleeps("three", "cwd = \"shut\""),
    ]) else {
        return;
    };
    let at = |name: &str| crew.service().directory().join(name).display().to_string();
    for (name, reason) in [
        ("one", format!("stdout {}: Permission denied (os error 13)", at("shut/one"))),
        ("two", format!("stderr {}: Permission denied (os error 13)", at("open/link"))),
        ("three", format!("cwd {}: Permission denied (os error 13)", at("shut"))),
    ] {
        let has_failed =
            |status: &Value| status["state"] == "BACKOFF" && status["exit_count"].as_u64() >= Some(2);
        let status = crew.has(name, "its second failure", has_failed);
        assert_eq!(status["reason"], json!(reason), "{status}");
    }
    assert_eq!(fs::read_to_string(crew.service().file("shut/precious")).unwrap(), "precious");
    assert!(!crew.service().file("shut/one").exists());
    crew.ends(&["open", "shut"]);
}

/// A service of nobody's, with a directory that is open to everybody and one that is root's; a link leads from one to the other.
fn start(companions: &[&str]) -> Option<Crew> {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: only root may be asked to run companions as another user");
        return None;
    }
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
    let place = |name: &str, mode| {
        let path = directory.path().join(name);
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        path
    };
    let (open, shut) = (place("open", 0o700), place("shut", 0o700));
    chown(&open, Some(NOBODY), Some(NOBODY)).unwrap();
    fs::write(shut.join("precious"), "precious").unwrap();
    symlink(Path::new("../shut/precious"), open.join("link")).unwrap();
    let settings = format!("user = \"nobody\"\n{HEAD}{}", companions.concat());
    fs::write(directory.path().join("gunmetal.toml"), settings).unwrap();
    Some(Crew::of(HttpService::of(Service::start_in(directory, "companion_probe", &[], &[]))))
}

const NOBODY: u32 = 65_534;
