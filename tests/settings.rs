//! Questions about the settings, and log lines as JSON, with real processes. The program is `examples/small`.

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod support;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use support::Service;

#[test]
fn a_configuration_in_order_is_said_to_be_and_starts_nothing() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("gunmetal.toml"), "workers = 2\nerrorlog = \"app.log\"\n").unwrap();
    let output = ask(directory.path(), &["--check-config"], &[("GUNMETAL_TIMEOUT", "5")]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!((text(&output.stdout), text(&output.stderr)), ("configuration ok\n", ""));
    assert_eq!(names_in(directory.path()), ["gunmetal.toml"]);
}

#[test]
fn a_configuration_that_is_wrong_has_the_last_words_of_a_start() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("app.toml"), "\nuser = \"no-such-user\"\n").unwrap();
    for question in ["--check-config", "--print-config"] {
        let output = ask(directory.path(), &["-c", "app.toml", question], &[]);
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(text(&output.stdout), "");
        assert_eq!(
            text(&output.stderr),
            "gunmetal: app.toml:2: user = \"no-such-user\" is not allowed: there is no user \"no-such-user\"; \
             allowed: the name of a user of this machine, or a user id\n"
        );
    }
}

#[test]
fn a_control_socket_without_a_directory_is_found_by_the_check() {
    let directory = tempfile::tempdir().unwrap();
    let companions = "companion_control_socket = \"none/c.sock\"\n[[companion_workers]]\nname = \"a\"\ncommand = [\"true\"]\n";
    fs::write(directory.path().join("gunmetal.toml"), companions).unwrap();
    let output = ask(directory.path(), &["--check-config"], &[]);
    let words = text(&output.stderr);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(1), ""));
    assert!(
        words.starts_with("gunmetal: gunmetal.toml:1: companion_control_socket = \"none/c.sock\" is"),
        "{words}"
    );
}

#[test]
fn what_is_printed_can_be_used_as_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    fs::create_dir(at.join("work")).unwrap();
    fs::write(at.join("app.toml"), "chdir = \"work\"\n[env]\nMODE = \"a, b\"\n").unwrap();
    let flags = ["--config", "app.toml", "-w", "3", "--bind", "127.0.0.1:0", "--bind", "unix:a.sock", "-D"];
    let variables = [("GUNMETAL_MAX_RSS", "1.5G"), ("GUNMETAL_DIRTY_APPS", "hello:Greeter:1")];
    let first = ask(at, &[&flags[..], &["--print-config"]].concat(), &variables);
    assert_eq!((first.status.code(), text(&first.stderr)), (Some(0), ""));
    for line in [
        "bind = [\"127.0.0.1:0\", \"unix:a.sock\"]  # --bind\n",
        "workers = 3  # --workers\n",
        "max_rss = 1610612736  # environment variable GUNMETAL_MAX_RSS\n",
        "env = [\"MODE=a, b\"]  # app.toml:2\n",
        "timeout = 30  # default\n",
    ] {
        assert!(text(&first.stdout).contains(line), "{line:?} in\n{}", text(&first.stdout));
    }

    fs::write(at.join("printed.toml"), &first.stdout).unwrap();
    let second = ask(at, &["--config", "printed.toml", "--print-config"], &[]);
    assert_eq!((second.status.code(), text(&second.stderr)), (Some(0), ""));
    let values = |output: &Output| -> Vec<String> {
        text(&output.stdout)
            .lines()
            .map(|line| line.split("  # ").next().unwrap_or_default().to_owned())
            .collect()
    };
    assert_eq!(values(&first), values(&second));
}

#[test]
fn companions_are_checked_and_shown_before_a_start() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    fs::write(at.join("app.toml"), "companion_config_file = \"companions.toml\"\n").unwrap();
    let table = "companion_stop_timeout = 7\n[[companion_workers]]\nname = \"queue\"\ncommand = [\"sleep\", \"60\"]\n";
    fs::write(at.join("companions.toml"), table).unwrap();
    let check = ask(at, &["-c", "app.toml", "--check-config"], &[]);
    assert_eq!((check.status.code(), text(&check.stdout)), (Some(0), "configuration ok\n"));

    let first = ask(at, &["-c", "app.toml", "--print-config"], &[]);
    assert_eq!((first.status.code(), text(&first.stderr)), (Some(0), ""));
    fs::write(at.join("printed.toml"), &first.stdout).unwrap();
    let second = ask(at, &["--config", "printed.toml", "--print-config"], &[]);
    assert_eq!((second.status.code(), text(&second.stderr)), (Some(0), ""));
    for output in [&first, &second] {
        let tables: toml::Table = text(&output.stdout).parse().unwrap();
        let companion = &tables["companion_workers"][0];
        assert_eq!(companion["name"].as_str(), Some("queue"));
        assert_eq!(companion["stop_timeout"].as_integer(), Some(7));
        assert_eq!(tables.get("companion_config_file"), None);
    }

    fs::write(at.join("companions.toml"), format!("{table}stop_timeout = -3\n")).unwrap();
    for question in ["--check-config", "--print-config"] {
        let output = ask(at, &["-c", "app.toml", question], &[]);
        assert_eq!((output.status.code(), text(&output.stdout)), (Some(1), ""));
        assert_eq!(
            text(&output.stderr),
            "gunmetal: companions.toml:5: companion \"queue\": stop_timeout = -3 is not allowed: not from 0 to 31536000 \
             seconds; allowed: seconds, 0 for SIGKILL at once\n"
        );
    }
}

#[test]
fn every_process_of_a_service_logs_json_if_told_so() {
    let mut service = Service::start(
        "small",
        &["--bind", "127.0.0.1:0", "--log-format", "json", "--log-level", "debug"],
        &[("GUNMETAL_WORKRES", "2")],
    );
    service.wait_for("all processes", || (service.descendants().len() == 5).then_some(()));
    service.wait_for("the workers", || {
        let booted =
            service.log().iter().filter(|line| line.contains("Booting dirty worker with pid")).count();
        (booted == 2).then_some(())
    });
    service.signal(libc::SIGTERM);
    assert_eq!(service.wait().code(), Some(0));
    let lines: Vec<Value> = service
        .log()
        .iter()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}")))
        .collect();
    for line in &lines {
        assert!(line["time"].as_str().unwrap().ends_with('Z') && line["pid"].is_u64(), "{line}");
        assert!(["ERROR", "WARNING", "INFO", "DEBUG"].contains(&line["level"].as_str().unwrap()), "{line}");
        assert!(!line["message"].as_str().unwrap().contains('\u{1b}'), "{line}");
    }
    let warning = lines.iter().find(|line| line["level"] == "WARNING").unwrap();
    assert!(warning["message"].as_str().unwrap().contains("GUNMETAL_WORKRES is no setting"), "{warning}");
    assert!(lines.iter().any(|line| line["pid"] == service.pid()));
}

#[test]
fn relative_paths_are_those_of_the_directory_that_is_entered() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("work")).unwrap();
    let mut command = Command::new(support::example_binary("small"));
    command.current_dir(directory.path()).env("TMPDIR", directory.path());
    command.args(["--bind", "127.0.0.1:0", "--chdir", "work", "--error-logfile", "app.log"]);
    let log = directory.path().join("work/app.log");
    let mut service = Service::of(command, directory);
    service.wait_for("the log in the directory", || {
        fs::read_to_string(&log).ok().filter(|text| text.contains("Booting worker with pid"))
    });
    service.signal(libc::SIGTERM);
    assert_eq!(service.wait().code(), Some(0));
}

/// Runs `examples/small` in `directory` with a question that it answers and ends.
fn ask(directory: &Path, flags: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(support::example_binary("small"));
    command.current_dir(directory).env("TMPDIR", directory);
    command.args(flags).envs(environment.iter().copied()).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn names_in(directory: &Path) -> Vec<String> {
    fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}
