//! The tool `gunmetal` beside a running service.

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod support;

use std::process::{Command, Output};

use support::Service;

fn tool(service: &Service, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gunmetal"))
        .arg("--socket")
        .arg(service.socket())
        .args(args)
        .output()
        .unwrap()
}

fn stdout(service: &Service, args: &[&str]) -> String {
    let output = tool(service, args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn status_lists_the_workers_and_what_they_serve() {
    let service = Service::probe(&["--dirty-workers", "2", "--dirty-app", "bench_app:BenchApp"], &[]);
    service.wait_for("both workers", || {
        let text = stdout(&service, &["status"]);
        let rows = text.lines().filter(|line| line.ends_with("bench_app:BenchApp")).count();
        (text.starts_with("gunmetal ") && rows == 2).then_some(())
    });
}

#[test]
fn call_prints_the_result_as_json() {
    let service = Service::probe(&["--dirty-app", "bench_app:BenchApp"], &[]);
    let call = |args: &[&str]| stdout(&service, &[&["call", "bench_app:BenchApp"], args].concat());
    assert_eq!(
        call(&["echo_all", "1", "text", "[null, 2.5]", "size=3"]),
        "{\"args\":[1,\"text\",[null,2.5]],\"kwargs\":{\"size\":3}}\n"
    );
    assert_eq!(call(&["--stream", "stream_values", "[1, 2]"]), "1\n2\n");
    assert_eq!(call(&["stream", "2", "3", "--stream"]), "xxxxxx");
}

#[test]
fn a_failed_call_says_why_and_fails() {
    let service = Service::probe(&["--dirty-app", "bench_app:BenchApp"], &[]);
    let output = tool(&service, &["call", "bench_app:BenchApp", "fail", "no such luck"]);
    assert_eq!(output.status.code(), Some(1));
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(words.starts_with("gunmetal: ") && words.contains("no such luck"), "{words}");
}

#[test]
fn workers_are_added_and_removed() {
    let service = Service::probe(&["--dirty-app", "bench_app:BenchApp"], &[]);
    let has = |count: usize| {
        let is_there = || (service.processes("dirty worker").len() == count).then_some(());
        service.wait_for("the workers", is_there);
    };
    let words = stdout(&service, &["add", "2"]);
    assert_eq!(words, "2 of 2 workers started; there are 3, there shall be 3\n");
    has(3);
    let words = stdout(&service, &["remove"]);
    assert!(
        words.starts_with("1 of 1 workers stopping; ") && words.ends_with("there shall be 2\n"),
        "{words}"
    );
    has(2);
    let output = tool(&service, &["remove", "9"]);
    let reason = String::from_utf8(output.stderr).unwrap();
    assert_eq!(reason, "gunmetal: Cannot decrease below 1 workers (required by app specs)\n");
    has(1);
}

#[test]
fn no_worker_or_fewer_is_not_a_number_of_workers() {
    let service = Service::probe(&["--dirty-app", "bench_app:BenchApp"], &[]);
    for args in [["add", "0"], ["remove", "0"], ["add", "-5"], ["remove", "-5"]] {
        let output = tool(&service, &args);
        let words = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {words}");
        assert!(words.contains("a number of workers is 1 at least"), "{args:?}: {words}");
    }
    assert_eq!(stdout(&service, &["add"]), "1 of 1 workers started; there are 2, there shall be 2\n");
}

#[test]
fn who_has_read_enough_of_the_output_hears_no_complaint() {
    let service = Service::probe(&["--dirty-app", "bench_app:BenchApp"], &[]);
    for args in [&["status"][..], &["add"], &["call", "bench_app:BenchApp", "echo_all", "1"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = Command::new(env!("CARGO_BIN_EXE_gunmetal"));
        command.arg("--socket").arg(service.socket()).args(args).stdout(writer);
        let output = command.output().unwrap();
        let words = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), words.as_str()), (Some(0), ""), "{args:?}");
    }
}
