//! Starts that fail: the exit code, and the reason as the last line. The program is `examples/small`.

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod support;

use std::fs;

use support::Service;

#[test]
fn a_taken_port_stops_the_start() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, last) = fails_to_start(&["--bind", &address], &[]);
    assert_eq!(code, Some(1));
    assert!(last.starts_with(&format!("gunmetal: cannot listen at {address}: ")), "{last}");
}

#[test]
fn an_http_worker_that_cannot_start_stops_everything_with_the_reason_last() {
    // Without a dirty arbiter the closure has no client.
    let (code, last) = fails_to_start(&["--bind", "127.0.0.1:0", "--dirty-workers", "0"], &[]);
    assert_eq!(code, Some(3));
    assert!(last.starts_with("gunmetal: HTTP worker failed to start: "), "{last}");
}

#[test]
fn settings_that_are_wrong_stop_the_start() {
    let (code, last) = fails_to_start(&["--dirty-app", "hello:Greter"], &[]);
    assert_eq!(code, Some(1));
    assert!(last.contains("hello:Greter") && last.contains("did you mean \"hello:Greeter\"?"), "{last}");
    let (code, last) = fails_to_start(&[], &[("GUNMETAL_WORKERS", "many")]);
    assert_eq!(code, Some(1));
    assert!(
        last.starts_with("gunmetal: environment variable GUNMETAL_WORKERS: workers = \"many\""),
        "{last}"
    );
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "workers = 2\ndirty_worker = 2\n").unwrap();
    let path = file.path().to_str().unwrap();
    let (code, last) = fails_to_start(&["--config", path], &[]);
    assert_eq!(code, Some(1));
    let expected =
        format!("gunmetal: {path}:2: unknown setting \"dirty_worker\" (did you mean \"dirty_workers\"?)");
    assert!(last.starts_with(&expected), "{last}");
    let (code, _) = fails_to_start(&["--no-such-flag"], &[]);
    assert_eq!(code, Some(2));
}

/// As an async main would: this runs itself again, and each test has a thread of its own beside the harness's.
#[test]
fn a_program_that_has_threads_is_not_started() {
    if std::env::var_os("WITH_THREADS").is_some() {
        let code = gunmetal::Server::new().run_from(["program", "--bind", "127.0.0.1:0"]);
        println!("{code:?}");
        return;
    }
    let name = "a_program_that_has_threads_is_not_started";
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    let output = command.args(["--exact", name, "--nocapture"]).env("WITH_THREADS", "1").output().unwrap();
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(words.contains("gunmetal: this process has 2 threads"), "{words}");
    assert!(words.contains("such as an async main"), "{words}");
    assert!(String::from_utf8(output.stdout).unwrap().contains("(1)"), "exit code 1");
}

#[test]
fn a_variable_of_no_setting_is_warned_of() {
    let flags = ["--dirty-only", "--dirty-socket", "dirty.sock"];
    let service =
        Service::start("small", &flags, &[("GUNMETAL_WORKRES", "2"), ("GUNMETAL_PYTHON", "python3")]);
    let warning = service.wait_for("the warning", || {
        service.log().into_iter().find(|line| line.contains("[WARNING] environment variable "))
    });
    assert!(warning.contains("GUNMETAL_WORKRES is no setting"), "{warning}");
    assert!(warning.ends_with("(did you mean GUNMETAL_WORKERS?)"), "{warning}");
}

/// Runs a service that must end by itself: its exit code and its last words.
fn fails_to_start(flags: &[&str], environment: &[(&str, &str)]) -> (Option<i32>, String) {
    let mut service = Service::start("small", flags, environment);
    let code = service.wait().code();
    let last = service.wait_for("the last words", || {
        service
            .log()
            .into_iter()
            .rev()
            .find(|line| line.starts_with("gunmetal: ") || line.starts_with("For more"))
    });
    assert_eq!(service.leftovers(), Vec::<std::path::PathBuf>::new());
    (code, last)
}
