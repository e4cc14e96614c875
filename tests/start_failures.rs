//! Starts that fail and services that cannot go on: the exit code, the last words, what stays in service, and that nothing is
//! left. The matrix of `docs/operations.md`, as far as other tests do not have it.

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod support;

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use libc::{SIGHUP, SIGKILL, SIGTERM, SIGUSR1, SIGUSR2};
use support::http::HttpService;
use support::master::{PROGRAM, configure, directory_with, lines, over, pid_in, start_configured};
use support::{Service, example_binary};
use tempfile::TempDir;

#[test]
fn an_application_that_cannot_be_loaded_is_exit_code_4_wherever_it_is_loaded() {
    let words = "the application could not be loaded: panicked: asked to panic";
    for (flags, prefix) in [
        (&["--preload"][..], ""),
        (&["--preload", "--dirty-workers", "0"], ""),
        (&["--dirty-workers", "0"], "HTTP worker failed to start: "),
        (&["--workers", "0", "--dirty-workers", "1"], "dirty worker failed to start: "),
    ] {
        let (service, last) = fails(flags, &[("JOURNAL_PANIC", "load")], 4);
        assert_eq!(last, format!("gunmetal: {prefix}{words}"), "{flags:?}");
        service.leaves_nothing_but(&["app", "journal.txt"]);
    }
    // A thread that the loader leaves in the master is found before anybody is forked beside it.
    let (service, last) = fails(&["--preload"], &[("JOURNAL_THREAD", "load")], 4);
    let words =
        "gunmetal: the application could not be loaded: it left a thread behind: this process has 2 threads";
    assert!(last.starts_with(words), "{last}");
    service.leaves_nothing_but(&["app", "journal.txt"]);
}

#[test]
fn a_process_that_dies_before_it_is_ready_is_exit_code_3() {
    for (station, words) in [
        ("post_fork", "HTTP worker failed to start: killed by signal 6 (SIGABRT) before it was ready"),
        ("post_worker_init", "HTTP worker failed to start: killed by signal 6 (SIGABRT) before it was ready"),
        ("dirty_post_fork", "dirty worker failed to start: killed by signal 6 (SIGABRT) before it was ready"),
        ("on_dirty_starting", "killed by signal 6 (SIGABRT) before it was ready"),
    ] {
        let (service, last) = fails(&["--dirty-workers", "1"], &[("JOURNAL_ABORT", station)], 3);
        assert!(last.ends_with(words), "{station}: {last}");
        service.leaves_nothing_but(&["app", "journal.txt"]);
    }
}

/// Half a minute is the least that a start may take, whatever `timeout` says.
#[test]
fn a_worker_that_hangs_before_it_is_ready_ends_the_start_or_the_reload_but_not_the_service() {
    let environment = [("JOURNAL_HANG", "load")];
    let mut starting =
        begin(directory_with("hooks"), &["--timeout", "1", "--dirty-workers", "0"], &environment);
    let directory = directory_with("hooks");
    let settings = |rest: &str| format!("bind = \"127.0.0.1:0\"\ntimeout = 1\ndirty_workers = 0\n{rest}");
    configure(directory.path(), &settings(""));
    let reloading = start_configured(directory, &[]);
    let worker = reloading.answers();
    configure(reloading.service.directory(), &settings("env = [\"JOURNAL_HANG=load\"]\n"));
    let start = Instant::now();
    reloading.service.signal(SIGHUP);

    assert_eq!(starting.wait().code(), Some(3));
    assert!(start.elapsed() > Duration::from_secs(25), "{:?}", start.elapsed());
    let last = last_words(&starting);
    assert!(last.starts_with("gunmetal: HTTP worker failed to start: not ready after 30s"), "{last}");
    starting.leaves_nothing_but(&["app", "journal.txt"]);
    let line = reloading.service.line("reload failed");
    assert!(line.contains("not ready after 30s"), "{line}");
    reloading
        .service
        .wait_for("the old worker alone", || (reloading.workers() == [worker].into()).then_some(()));
    assert_eq!(reloading.answers(), worker);
    reloading.ends(SIGTERM, &["app", "app.toml", "journal.txt"]);
}

#[test]
fn a_worker_that_keeps_crashing_is_restarted_ever_later_and_restart_limit_ends_that() {
    let flags = ["--workers", "2", "--restart-limit", "4", "--dirty-workers", "1"];
    let mut http = HttpService::of(begin(directory_with("hooks"), &flags, &[]));
    let steady = *http.has_workers(2).first().unwrap();
    let mut gaps = Vec::new();
    let mut before = steady;
    loop {
        let crashing = http.service.wait_for("the next one or the end", || {
            let workers = http.workers();
            let other = workers.iter().copied().find(|pid| *pid != steady && *pid != before);
            if other.is_some() {
                Some(other)
            } else {
                http.service.log().last()?.contains("gunmetal: ").then_some(None)
            }
        });
        let Some(crashing) = crashing else { break };
        // Ready first: otherwise it has not crashed but failed to start.
        http.service.wait_for("its start", || {
            let ready = format!("post_worker_init {crashing} ");
            lines(&http.file("journal.txt")).iter().any(|line| line.starts_with(&ready)).then_some(())
        });
        http.answers();
        let start = Instant::now();
        support::kill(crashing, SIGKILL);
        before = crashing;
        http.service.wait_for("its successor or the end", || {
            let workers = http.workers();
            let is_over = !workers.contains(&steady);
            (is_over || workers.iter().any(|pid| *pid != steady && *pid != crashing)).then_some(())
        });
        gaps.push(start.elapsed());
    }
    assert_eq!(http.service.wait().code(), Some(3));
    let last = last_words(&http.service);
    let words = "HTTP worker keeps failing, after 4 restarts in a row: killed by signal 9 (SIGKILL)";
    assert_eq!(last, format!("gunmetal: {words}"));
    assert_eq!(gaps.len(), 5, "{gaps:?}");
    let least = [0, 100, 200, 400].map(Duration::from_millis);
    assert!(gaps.iter().zip(least).all(|(gap, least)| *gap >= least), "{gaps:?}");
    http.service.leaves_nothing_but(&["app", "journal.txt"]);
}

#[test]
fn a_pid_file_that_cannot_be_written_stops_the_start_before_anything_is_bound() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("directory")).unwrap();
    fs::write(directory.path().join("treasure"), "42 pieces of gold").unwrap();
    fs::write(directory.path().join("open"), "").unwrap();
    fs::set_permissions(directory.path().join("open"), fs::Permissions::from_mode(0o666)).unwrap();
    symlink("treasure", directory.path().join("link")).unwrap();
    for (name, words) in [
        ("no/such/app.pid", "no pid file: cannot open the pid file"),
        ("directory", "is not a pid file of this user: it is not a regular file"),
        ("treasure", "is not a pid file of this user: it holds something else than a pid"),
        ("open", "is not a pid file of this user: others may write to it (mode 666)"),
        ("link", "is not a pid file of this user: it is a symbolic link"),
    ] {
        let path = directory.path().join(name).display().to_string();
        let (service, last) = fails(&["--pid", &path, "--dirty-workers", "0"], &[], 1);
        assert!(last.contains(words) && last.contains(name), "{last}");
        assert!(!service.log().iter().any(|line| line.contains("Listening at")), "{:?}", service.log());
        service.leaves_nothing_but(&["app"]);
    }
    assert_eq!(fs::read_to_string(directory.path().join("treasure")).unwrap(), "42 pieces of gold");
}

#[test]
fn a_pid_file_of_another_user_is_left_alone() {
    if !is_root() {
        return;
    }
    let directory = directory_with("hello");
    let path = directory.path().join("app.pid");
    fs::write(&path, "1\n").unwrap();
    chown(&path, Some(NOBODY), Some(NOBODY)).unwrap();
    let mut service = begin(directory, &["--pid", "app.pid"], &[]);
    assert_eq!(service.wait().code(), Some(1));
    let last = last_words(&service);
    assert!(last.ends_with("app.pid is not a pid file of this user: it belongs to user 65534"), "{last}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "1\n");
    // The other way round, and in a directory where it may not write.
    let directory = directory_with_copy("hello");
    fs::write(directory.path().join("app.pid"), "").unwrap();
    for (name, words) in [("app.pid", "it belongs to user 0"), ("other.pid", "Permission denied")] {
        let mut command = command(directory.path(), &["--pid", name]);
        command.uid(NOBODY).gid(NOBODY);
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(text.trim_end().ends_with(words) || text.contains(words), "{text}");
    }
}

#[test]
fn a_pid_file_that_a_crash_has_left_is_taken_over_whoever_has_its_pid_now() {
    // Nobody, the test itself, pid 1, and half a line.
    let own = std::process::id().to_string();
    for stale in ["4194303\n", &format!("{own}\n"), "1\n", "12", ""] {
        let directory = directory_with("hello");
        fs::write(directory.path().join("app.pid"), stale).unwrap();
        let http = HttpService::of(begin(directory, &["--pid", "app.pid"], &[]));
        http.answers();
        assert_eq!(pid_in(&http.file("app.pid")), Some(http.service.pid()), "{stale:?}");
        http.ends(SIGTERM, &["app"]);
    }
    // And a real one.
    let mut http =
        HttpService::of(begin(directory_with("hooks"), &["--pid", "app.pid", "--dirty-workers", "1"], &[]));
    http.answers();
    http.service.signal(SIGKILL);
    http.service.wait();
    assert!(http.file("app.pid").exists());
    let path = http.file("app.pid").display().to_string();
    let next = HttpService::of(begin(directory_with("hello"), &["--pid", &path], &[]));
    next.answers();
    assert_eq!(pid_in(&http.file("app.pid")), Some(next.service.pid()));
    next.ends(SIGTERM, &["app"]);
    http.service.leaves_nothing_but(&["app", "journal.txt"]);
}

#[test]
fn a_service_that_runs_already_is_not_started_twice() {
    let http = HttpService::of(begin(
        directory_with("hello"),
        &["--pid", "app.pid", "--bind", "unix:http.sock"],
        &[],
    ));
    http.answers();
    let path = http.file("app.pid").display().to_string();
    let (service, last) = fails(&["--pid", &path, "--dirty-workers", "0"], &[], 1);
    let expected = format!("already running (pid {}): it keeps the pid file {path}", http.service.pid());
    assert_eq!(last, format!("gunmetal: {expected}"));
    service.leaves_nothing_but(&["app"]);
    // Nor by an upgrade, while the pid file of another service is in the way of the new master's.
    let younger = format!("{path}.2");
    let squatter = HttpService::of(begin(directory_with("hello"), &["--pid", &younger], &[]));
    squatter.answers();
    http.service.signal(SIGUSR2);
    http.service.line("this one serves on");
    let squatting = format!("already running (pid {})", squatter.service.pid());
    assert!(http.service.lines().iter().any(|line| line.contains(&squatting)), "{:#?}", http.service.lines());
    http.answers();
    squatter.answers();
    assert_eq!(pid_in(Path::new(&younger)), Some(squatter.service.pid()));
    squatter.ends(SIGTERM, &["app"]);
    http.ends(SIGTERM, &["app"]);
}

#[test]
fn a_log_that_cannot_be_written_costs_lines_and_nothing_else() {
    let flags = ["--error-logfile", "/dev/full", "--log-level", "debug", "--bind", "unix:http.sock"];
    let mut service = begin(directory_with("hooks"), &flags, &[]);
    service.wait_for("an answer", || over(&service.file("http.sock"), "/pid"));
    let before = service.process("http worker").pid;
    for signal in [SIGUSR1, SIGHUP] {
        service.signal(signal);
    }
    service.wait_for("the new worker", || {
        let workers = service.processes("http worker");
        (workers.len() == 1 && workers[0].pid != before).then_some(())
    });
    assert!(over(&service.file("http.sock"), "/pid").is_some());
    service.signal(SIGTERM);
    assert_eq!(service.wait().code(), Some(0));
    service.leaves_nothing_but(&["app", "journal.txt"]);
    // The reason of a failed start is said where there is room.
    let (_, last) = fails(&["--error-logfile", "/dev/full"], &[("JOURNAL_PANIC", "post_worker_init")], 3);
    assert!(last.contains("post_worker_init panicked"), "{last}");
}

#[test]
fn on_a_full_disk_a_service_that_runs_runs_on_and_one_that_starts_says_what_it_has_no_room_for() {
    if !is_root() {
        return;
    }
    // A disk of two pages in a mount namespace of its own: it goes with the last process in it.
    let script = "mount -t tmpfs -o size=8k,nr_inodes=16 tmpfs full && exec \"$0\" \"$@\"";
    let on_full_disk = |script: &str, flags: &[&str]| {
        let directory = directory_with("hello");
        fs::create_dir(directory.path().join("full")).unwrap();
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", script, PROGRAM]).args(flags);
        command.env("TMPDIR", directory.path()).current_dir(directory.path()).stderr(Stdio::piped());
        Service::of(command, directory)
    };
    let flags = [
        "--error-logfile",
        "full/app.log",
        "--log-level",
        "debug",
        "--pid",
        "full/app.pid",
        "--bind",
        "unix:http.sock",
    ];
    let mut service = on_full_disk(script, &flags);
    let seen =
        |name: &str| format!("/proc/{}/root{}/full/{name}", service.pid(), service.directory().display());
    service.wait_for("an answer", || over(&service.file("http.sock"), "/pid"));
    // Two pages: one is the pid file's.
    service.wait_for("the full disk", || {
        service.signal(SIGUSR1);
        (fs::metadata(seen("app.log")).ok()?.len() >= 4096).then_some(())
    });
    let before = service.process("http worker").pid;
    service.signal(SIGHUP);
    service.wait_for("the new worker", || {
        let workers = service.processes("http worker");
        (workers.len() == 1 && workers[0].pid != before).then_some(())
    });
    assert!(over(&service.file("http.sock"), "/pid").is_some());
    assert_eq!(fs::metadata(seen("app.log")).unwrap().len(), 4096);
    service.signal(SIGTERM);
    assert_eq!(service.wait().code(), Some(0));
    service.leaves_nothing_but(&["app", "full"]);

    let filled = script.replace("exec", "dd if=/dev/zero of=full/rest bs=4k count=2 2>/dev/null; exec");
    let mut service = on_full_disk(&filled, &["--bind", "127.0.0.1:0", "--pid", "full/app.pid"]);
    assert_eq!(service.wait().code(), Some(1));
    let last = last_words(&service);
    assert!(last.starts_with("gunmetal: cannot write the pid file: No space left on device"), "{last}");
    service.leaves_nothing_but(&["app", "full"]);
}

#[test]
fn directories_that_are_not_there_are_named() {
    for (flag, words) in [
        ("--chdir", "no/such/directory"),
        ("--worker-tmp-dir", "no/such/directory"),
        ("--error-logfile", "the log file no/such/directory cannot be opened"),
    ] {
        let (service, last) = fails(&[flag, "no/such/directory", "--dirty-workers", "0"], &[], 1);
        assert!(last.contains(words), "{flag}: {last}");
        service.leaves_nothing_but(&["app"]);
    }
}

/// Runs `examples/hooks`, which must end by itself with that code; its last words.
fn fails(flags: &[&str], environment: &[(&str, &str)], code: i32) -> (Service, String) {
    let mut service = begin(directory_with("hooks"), flags, environment);
    assert_eq!(service.wait().code(), Some(code), "{flags:?} {environment:?}");
    let last = last_words(&service);
    (service, last)
}

fn begin(directory: TempDir, flags: &[&str], environment: &[(&str, &str)]) -> Service {
    let mut command = command(directory.path(), flags);
    command.envs(environment.iter().copied());
    Service::of(command, directory)
}

fn command(directory: &Path, flags: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(["--bind", "127.0.0.1:0"]).args(flags);
    command.env("TMPDIR", directory).current_dir(directory).stdin(Stdio::null()).stderr(Stdio::piped());
    command
}

/// A directory that others may look into, with a copy of an example: what was built may lie where nobody else may look.
fn directory_with_copy(example: &str) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::copy(example_binary(example), directory.path().join("app")).unwrap();
    directory
}

fn last_words(service: &Service) -> String {
    service.wait_for("the last words", || {
        service.log().into_iter().rev().find(|line| line.starts_with("gunmetal: "))
    })
}

fn is_root() -> bool {
    let is_root = nix::unistd::geteuid().is_root();
    if !is_root {
        eprintln!("skipped: only root can make what this test needs");
    }
    is_root
}

const NOBODY: u32 = 65534;
