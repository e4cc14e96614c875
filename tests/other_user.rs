//! Workers that run as another user than the master: what they may write to leads root to nothing of its own.

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod support;

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use libc::{SIGKILL, SIGSTOP, SIGTERM, SIGUSR1, SIGUSR2};
use support::Service;
use support::master::{directory_with, lines, over, pid_in};

const FLAGS: [&str; 10] = [
    "--bind",
    "unix:http.sock",
    "--user",
    "nobody",
    "--dirty-socket",
    "dirty.sock",
    "--pid",
    "app.pid",
    "--error-logfile",
    "app.log",
];

#[test]
fn a_link_of_a_worker_in_the_place_of_the_log_file_is_not_followed() {
    let Some(service) = start() else { return };
    let precious = precious(&service);
    let link_in_place_of_the_log = || {
        fs::remove_file(service.file("app.log")).unwrap();
        symlink(&precious, service.file("app.log")).unwrap();
    };
    fs::hard_link(service.file("app.log"), service.file("kept.log")).unwrap();
    link_in_place_of_the_log();
    lchown(service.file("app.log"), Some(NOBODY), Some(NOBODY)).unwrap();
    service.signal(SIGUSR1);
    let said = format!("[{}] [ERROR] log file", service.pid());
    let line = service.wait_for("the refusal", || {
        lines(&service.file("kept.log")).into_iter().find(|line| line.contains(&said))
    });
    assert!(line.contains("it is a link of user 65534"), "{line}");
    is_untouched(&precious);

    // Root's own links lead where root wants.
    fs::write(service.file("elsewhere.log"), "").unwrap();
    fs::remove_file(service.file("app.log")).unwrap();
    symlink("elsewhere.log", service.file("app.log")).unwrap();
    service.signal(SIGUSR1);
    service.wait_for("the other file", || {
        (fs::metadata(service.file("elsewhere.log")).unwrap().uid() == NOBODY).then_some(())
    });
    service.signal(SIGTERM);
    service.leaves_nothing_but(&["app", "app.log", "kept.log", "elsewhere.log", "precious"]);
}

#[test]
fn a_link_of_a_worker_in_the_run_directory_is_not_followed_by_a_master_that_is_promoted() {
    let Some(mut service) = start() else { return };
    let precious = precious(&service);
    service.signal(SIGUSR2);
    service.line("New master is in service");
    let new = pid_in(&service.file("app.pid.2")).unwrap();
    let note = service.file(&format!("gunmetal-{new}")).join("pid-file");
    fs::remove_file(&note).unwrap();
    symlink(&precious, &note).unwrap();
    service.signal(SIGTERM);
    service.wait();
    service.follow(new);
    let signed = || fs::read_link(&note).is_err().then(|| fs::read_to_string(&note).unwrap());
    let text = service.wait_for("the note of the new master", signed);
    assert!(text.ends_with("dirty.sock.pid"), "{text}");
    is_untouched(&precious);
    service.signal(SIGTERM);
    service.leaves_nothing_but(&["app", "app.log", "precious"]);
}

#[test]
fn the_run_directory_of_a_service_that_was_killed_is_removed_by_the_next() {
    let Some(service) = start() else { return };
    let stale = service.file(&format!("gunmetal-{}", service.pid()));
    assert_eq!(fs::metadata(&stale).unwrap().uid(), NOBODY);
    // At once: each of them would clear up after the others.
    let all = service.descendants();
    service.signal(SIGSTOP);
    all.iter().for_each(|process| process.signal(SIGSTOP));
    all.iter().for_each(|process| process.signal(SIGKILL));
    service.signal(SIGKILL);
    service.wait_for("the end of all", || service.strays().is_empty().then_some(()));
    assert!(stale.exists());
    let next = Service::of(program_in(service.directory()), tempfile::tempdir().unwrap());
    service.wait_for("its end", || (!stale.exists()).then_some(()));
    next.wait_for("an answer", || over(&service.file("http.sock"), "/pid"));
    next.signal(SIGTERM);
    service.leaves_nothing_but(&["app", "app.log"]);
}

#[test]
fn a_directory_that_the_workers_cannot_enter_stops_the_start_and_is_named() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: only root may be asked to run workers as another user");
        return;
    }
    let directory = directory_with("hooks");
    fs::set_permissions(directory.path(), Permissions::from_mode(0o700)).unwrap();
    let output = program_in(directory.path()).output().unwrap();
    let words = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{words}");
    let log = lines(&directory.path().join("app.log"));
    let last = log.last().unwrap();
    assert!(last.contains("nobody (user 65534) cannot reach "), "{last}");
    assert!(last.contains("Permission denied"), "{last}");
}

/// A service whose directory everybody may enter; `None` if this test may not run one as another user.
fn start() -> Option<Service> {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: only root may be asked to run workers as another user");
        return None;
    }
    let directory = directory_with("hooks");
    fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
    let mut command = program_in(directory.path());
    command.stderr(Stdio::piped());
    let service = Service::of(command, directory);
    service.wait_for("an answer", || over(&service.file("http.sock"), "/pid"));
    Some(service)
}

fn program_in(directory: &Path) -> Command {
    let mut command = Command::new("./app");
    command.args(FLAGS).env("JOURNAL", "/dev/null").env("TMPDIR", directory).current_dir(directory);
    command
}

/// A file of root's.
fn precious(service: &Service) -> PathBuf {
    let path = service.file("precious");
    fs::write(&path, "data").unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    path
}

fn is_untouched(precious: &Path) {
    assert_eq!(
        (fs::read_to_string(precious).unwrap(), fs::metadata(precious).unwrap().uid()),
        ("data".to_owned(), 0)
    );
}

const NOBODY: u32 = 65_534;
