use std::process::{Command, Stdio};

use super::*;

/// Standard error and the subscriber belong to a whole process: the child below is one of its own.
#[test]
fn level_format_and_destination_change_while_the_process_runs() {
    let directory = tempfile::tempdir().unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "logging::tests::child", "--nocapture"])
        .env(IS_CHILD, "1")
        .current_dir(directory.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{errors}");

    let messages: Vec<&str> = errors.lines().filter_map(|line| line.split("] ").nth(3)).collect();
    assert_eq!(messages, ["first info", "after a failure", "back at the start"], "{errors}");

    let lines: Vec<serde_json::Value> = std::fs::read_to_string(directory.path().join("a.log"))
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let messages: Vec<&str> = lines.iter().map(|line| line["message"].as_str().unwrap()).collect();
    assert_eq!(messages, ["debug in the file", "Log file opened anew"]);

    let text = std::fs::read_to_string(directory.path().join("b.log")).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.contains("[ERROR] in the other file worker=1"), "{text}");
}

/// Does nothing but in the process that the test above starts.
#[test]
fn child() {
    if std::env::var_os(IS_CHILD).is_none() {
        return;
    }
    init(LogLevel::Info, LogFormat::Text);
    tracing::debug!("hidden");
    tracing::info!("first info");
    assert!(started_with().is_none());

    let nowhere = Path::new("nowhere/a.log");
    assert!(reconfigure(LogLevel::Critical, LogFormat::Json, Some(nowhere)).is_err());
    tracing::info!("after a failure");

    reconfigure(LogLevel::Debug, LogFormat::Json, Some(Path::new("a.log"))).unwrap();
    tracing::debug!("debug in the file");
    assert!(started_with().is_some());
    reopen();

    reconfigure(LogLevel::Error, LogFormat::Text, Some(Path::new("b.log"))).unwrap();
    tracing::warn!("hidden");
    tracing::error!(worker = 1, "in the other file");

    reconfigure(LogLevel::Info, LogFormat::Text, None).unwrap();
    assert!(started_with().is_none());
    reopen();
    tracing::info!("back at the start");
}

const IS_CHILD: &str = "LOGGING_TEST_CHILD";
