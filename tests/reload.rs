//! Reload by SIGHUP: the configuration is read again and holds as a whole or not at all. The program is `examples/hooks`, whose
//! settings lie in a file of the test.

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;

use libc::{SIGHUP, SIGKILL, SIGTERM, SIGUSR1};
use support::http::HttpService;
use support::master::{
    Load, begin_configured, configure, directory_with, lines, over, pid_in, start_configured,
};

/// What is left of a service in the directory of its program.
const LEFT: [&str; 5] = ["app", "app.toml", "app.log", "go", "journal.txt"];

#[test]
fn settings_that_have_changed_hold_from_then_on() {
    let http = start(
        "workers = 1\nenv = [\"VARIABLE=one\", \"GONE=1\"]\nproc_name = \"one\"\npidfile = \"one.pid\"\n",
    );
    let before = http.has_workers(1);
    assert_eq!(http.body("/variable"), "one");
    assert_eq!(pid_in(&http.file("one.pid")), Some(http.service.pid()));
    reconfigure(
        &http,
        "workers = 3\ntimeout = 2\nenv = [\"VARIABLE=two\"]\nproc_name = \"two\"\npidfile = \"two.pid\"\n\
         errorlog = \"app.log\"\nloglevel = \"debug\"\n",
    );
    http.service.line("reload done");
    has_only_new(&http, &before, 3);
    assert_eq!(http.body("/variable"), "two");
    let titles: Vec<String> =
        http.service.processes("http worker").into_iter().map(|process| process.title).collect();
    assert!(titles.iter().all(|title| title.contains("[two]")), "{titles:?}");
    let master = fs::read_to_string(format!("/proc/{}/cmdline", http.service.pid())).unwrap();
    assert!(master.starts_with("gunmetal: master [two]"), "{master}");
    assert!(!http.file("one.pid").exists());
    assert_eq!(pid_in(&http.file("two.pid")), Some(http.service.pid()));

    // The log goes where it is to, and says more.
    let (here, there) = (http.service.log().len(), lines(&http.file("app.log")).len());
    http.service.signal(SIGUSR1);
    http.service.wait_for("debug lines", || {
        lines(&http.file("app.log"))
            .iter()
            .any(|line| line.contains("[DEBUG] Log file opened anew"))
            .then_some(())
    });
    assert_eq!(http.service.log().len(), here);
    assert!(lines(&http.file("app.log")).len() > there);

    // The timeout, too: with the old one this would take half a minute.
    let mut client = http.connect();
    client.send(b"GET /hang HTTP/1.1\r\nhost: here\r\n\r\n").unwrap();
    http.service.line("Worker timed out");
    http.ends(SIGTERM, &LEFT);
}

#[test]
fn a_configuration_with_a_mistake_changes_nothing_and_the_mistake_is_named() {
    let http = start("env = [\"VARIABLE=one\"]\npidfile = \"one.pid\"\n");
    let before = http.has_workers(1);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap();
    fs::write(http.file("kept.pid"), "no pid at all").unwrap();
    let mistakes = [
        ("wrokers = 1\n".to_owned(), "unknown setting \"wrokers\" (did you mean \"workers\"?)"),
        ("workers = \"many\"\n".to_owned(), "workers = \"many\""),
        ("workers = many\n".to_owned(), "app.toml:3: string values must be quoted"),
        ("user = \"nobody-of-that-name\"\n".to_owned(), "nobody-of-that-name"),
        (format!("pidfile = \"two.pid\"\nbind = [\"127.0.0.1:0\", \"{taken}\"]\n"), "cannot listen at"),
        (
            "bind = [\"127.0.0.1:0\", \"unix:two.sock\"]\npidfile = \"kept.pid\"\n".to_owned(),
            "is not a pid file",
        ),
        ("bind = [\"127.0.0.1:0\", \"unix:no/such/directory\"]\n".to_owned(), "its directory does not exist"),
        ("pidfile = \"no/such/directory.pid\"\n".to_owned(), "no/such/directory.pid"),
        ("worker_tmp_dir = \"no/such/directory\"\n".to_owned(), "no/such/directory"),
    ];
    for (mistake, words) in mistakes {
        let count = http.service.count("Reload refused, nothing has changed");
        let bind = if mistake.contains("bind") { "" } else { "bind = \"127.0.0.1:0\"\n" };
        configure(http.service.directory(), &format!("{bind}env = [\"VARIABLE=two\"]\n{mistake}"));
        http.service.signal(SIGHUP);
        http.service.wait_for("the refusal", || {
            (http.service.count("Reload refused, nothing has changed") > count).then_some(())
        });
        let log = http.service.log();
        let refusal = log.iter().rev().find(|line| line.contains("Reload refused")).unwrap();
        assert!(refusal.contains(words), "{refusal}");
        assert_eq!(http.workers(), before, "{words}");
        assert_eq!(http.body("/variable"), "one", "{words}");
        assert_eq!(pid_in(&http.file("one.pid")), Some(http.service.pid()), "{words}");
        assert!(!http.file("two.pid").exists() && !http.file("two.sock").exists(), "{words}");
    }
    // A replacement has what its predecessor had.
    before.iter().for_each(|worker| support::kill(*worker, SIGKILL));
    has_only_new(&http, &before, 1);
    assert_eq!(http.body("/variable"), "one");
    fs::remove_file(http.file("kept.pid")).unwrap();
    http.ends(SIGTERM, &LEFT);
}

#[test]
fn workers_that_do_not_start_leave_the_old_ones_in_service_and_their_configuration() {
    for (failure, words) in [
        ("JOURNAL_PANIC=post_worker_init", "post_worker_init panicked: asked to panic"),
        ("JOURNAL_PANIC=load", "the application could not be loaded: panicked: asked to panic"),
        ("JOURNAL_ABORT=load", "killed by signal 6 (SIGABRT)"),
    ] {
        let http =
            start("workers = 2\nenv = [\"VARIABLE=one\"]\nproc_name = \"one\"\npidfile = \"one.pid\"\n");
        let before = http.has_workers(2);
        let load = Load::start(http.port);
        configure(
            http.service.directory(),
            &format!(
                "bind = [\"127.0.0.1:0\", \"unix:two.sock\"]\nworkers = 4\nenv = [\"VARIABLE=two\", \"{failure}\"]\n\
                 proc_name = \"two\"\npidfile = \"two.pid\"\nloglevel = \"error\"\nerrorlog = \"app.log\"\n"
            ),
        );
        http.service.signal(SIGHUP);
        let line = http.service.line("reload failed");
        assert!(line.contains(words), "{line}");
        assert!(http.service.log().contains(&line), "it is in the log of the configuration that failed");
        http.service.wait_for("the old workers alone", || (http.workers() == before).then_some(()));
        load.has_lost_nothing();
        // All of it is as it was: variables, names, files, the log and its level.
        assert_eq!(http.body("/variable"), "one");
        assert_eq!(pid_in(&http.file("one.pid")), Some(http.service.pid()), "{failure}");
        assert!(!http.file("two.pid").exists(), "{failure}");
        assert!(!http.file("two.sock").exists(), "{failure}");
        let count = http.service.log().len();
        before.iter().for_each(|worker| support::kill(*worker, SIGKILL));
        has_only_new(&http, &before, 2);
        http.service.wait_for("the log", || (http.service.log().len() >= count + 4).then_some(()));
        assert_eq!(http.body("/variable"), "one");
        let titles = http.service.processes("http worker");
        assert!(titles.iter().all(|process| process.title.contains("[one]")), "{titles:?}");
        // And what is in order again holds.
        reconfigure(&http, "env = [\"VARIABLE=three\"]\npidfile = \"one.pid\"\n");
        http.has_workers(1);
        assert_eq!(http.body("/variable"), "three");
        assert_eq!(pid_in(&http.file("one.pid")), Some(http.service.pid()));
        http.ends(SIGTERM, &LEFT);
    }
}

#[test]
fn a_worker_that_is_replaced_while_a_reload_fails_slowly_is_one_of_the_old_ones_afterwards() {
    let http = start("workers = 2\nenv = [\"VARIABLE=one\"]\n");
    let before = http.has_workers(2);
    let hanging =
        "workers = 2\nenv = [\"VARIABLE=two\", \"JOURNAL_HANG=load\", \"JOURNAL_PANIC=post_worker_init\"]\n";
    reconfigure(&http, hanging);
    http.has_workers(4);
    support::kill(*before.first().unwrap(), SIGKILL);
    fs::write(http.file("go"), "").unwrap();
    http.service.line("reload failed");
    http.service.wait_for("two workers, one of them new", || {
        let now = http.workers();
        (now.len() == 2 && now.intersection(&before).count() == 1).then_some(())
    });
    http.service.wait_for("the old configuration everywhere", || {
        (0..8).all(|_| http.body("/variable") == "one").then_some(())
    });
    http.ends(SIGTERM, &LEFT);
}

#[test]
fn hup_during_the_start_is_done_after_it() {
    let directory = directory_with("hooks");
    let settings = |rest: &str| format!("bind = \"127.0.0.1:0\"\ndirty_workers = 0\n{rest}");
    configure(directory.path(), &settings("env = [\"VARIABLE=one\", \"JOURNAL_HANG=load\"]\n"));
    let service = begin_configured(directory, &[]);
    service.line("Booting worker");
    configure(service.directory(), &settings("env = [\"VARIABLE=two\"]\nworkers = 2\n"));
    service.signal(SIGHUP);
    service.line("Hang up: Master");
    fs::write(service.file("go"), "").unwrap();
    let http = HttpService::of(service);
    http.service.line("reload done");
    // The old worker may answer a last time.
    http.service.wait_for("the new configuration", || (http.body("/variable") == "two").then_some(()));
    http.has_workers(2);
    http.ends(SIGTERM, &LEFT);
}

#[test]
fn hup_during_a_reload_is_done_after_it_with_what_the_configuration_is_then() {
    let http = start("env = [\"VARIABLE=one\"]\n");
    reconfigure(&http, "env = [\"VARIABLE=two\", \"JOURNAL_HANG=load\"]\n");
    http.has_workers(2);
    for (number, count) in [("three", 2), ("four", 3)] {
        reconfigure(&http, &format!("env = [\"VARIABLE={number}\"]\n"));
        // Two that the master finds at once are one.
        http.service
            .wait_for("the signal", || (http.service.count("Hang up: Master") == count).then_some(()));
    }
    assert_eq!(http.body("/variable"), "one", "the first reload is not done yet");
    fs::write(http.file("go"), "").unwrap();
    http.service.wait_for("the last one", || (http.body("/variable") == "four").then_some(()));
    http.has_workers(1);
    // Two signals while one reload was under way are one reload.
    http.service.wait_for("two reloads", || (http.service.count("reload done") == 2).then_some(()));
    http.ends(SIGTERM, &LEFT);
}

#[test]
fn what_only_another_start_can_change_is_warned_of_and_stays_as_it_is() {
    let http = start("");
    let before = http.has_workers(1);
    reconfigure(&http, "preload_app = true\ndaemon = true\nuser = \"nobody\"\nloglevel = \"debug\"\n");
    for name in ["preload_app", "daemon", "user"] {
        http.service
            .line(&format!("{name} has changed, which takes effect with the next start or upgrade (USR2)"));
    }
    let after = has_only_new(&http, &before, 1);
    let user = |pid: &u32| fs::metadata(format!("/proc/{pid}")).unwrap().uid();
    assert!(after.iter().all(|worker| user(worker) == user(&http.service.pid())));
    // Nothing was preloaded, so each worker loads for itself still.
    assert_eq!(http.body("/loaded"), http.body("/pid"));
    http.service.signal(libc::SIGWINCH);
    http.service.line("SIGWINCH ignored. Not daemonized");
    http.has_workers(1);
    http.ends(SIGTERM, &LEFT);
}

#[test]
fn environment_and_log_of_the_dirty_side_change_too() {
    let directory = directory_with("hooks");
    let settings = |rest: &str| format!("bind = \"127.0.0.1:0\"\ndirty_workers = 1\n{rest}");
    configure(directory.path(), &settings("env = [\"JOURNAL=one.txt\"]\n"));
    let http = start_configured(directory, &[]);
    http.service.line("Booting worker with pid");
    assert!(lines(&http.file("one.txt")).iter().any(|line| line.starts_with("dirty_worker_init ")));
    configure(
        http.service.directory(),
        &settings("env = [\"JOURNAL=two.txt\"]\nerrorlog = \"app.log\"\nlog_format = \"json\"\n"),
    );
    http.service.signal(SIGHUP);
    http.service.wait_for("the new dirty worker", || {
        lines(&http.file("two.txt")).iter().any(|line| line.starts_with("dirty_worker_init ")).then_some(())
    });
    let arbiter = http.service.process("dirty arbiter").pid;
    let said = format!("\"pid\":{arbiter},");
    http.service.wait_for("its line in the new log", || {
        lines(&http.file("app.log")).iter().any(|line| line.contains(&said)).then_some(())
    });
    http.ends(SIGTERM, &["app", "app.toml", "app.log", "one.txt", "two.txt"]);
}

#[test]
fn without_workers_nothing_is_bound_until_a_reload_brings_some() {
    let directory = directory_with("hooks");
    configure(directory.path(), "bind = \"unix:http.sock\"\nworkers = 0\ndirty_workers = 1\n");
    let service = begin_configured(directory, &[]);
    service.line("Dirty arbiter ready");
    let socket = service.file("http.sock");
    service.signal(libc::SIGTTIN);
    service.line("this service has no HTTP workers");
    assert!(!socket.exists());
    configure(service.directory(), "bind = \"unix:http.sock\"\nworkers = 2\ndirty_workers = 1\n");
    service.signal(SIGHUP);
    service.wait_for("an answer", || over(&socket, "/pid"));
    configure(service.directory(), "bind = \"unix:http.sock\"\nworkers = 0\ndirty_workers = 1\n");
    service.signal(SIGHUP);
    service.wait_for("the end of the workers", || {
        (service.processes("http worker").is_empty() && !socket.exists()).then_some(())
    });
    service.signal(SIGTERM);
    service.leaves_nothing_but(&LEFT);
}

#[test]
fn a_stop_during_a_reload_leaves_nothing() {
    for signal in [SIGTERM, libc::SIGQUIT] {
        let http = start("workers = 2\ngraceful_timeout = 5\n");
        http.has_workers(2);
        let next = "bind = [\"127.0.0.1:0\", \"unix:two.sock\"]\nworkers = 2\ndirty_workers = 0\npidfile = \"two.pid\"\n\
                    env = [\"JOURNAL_HANG=load\"]\ngraceful_timeout = 5\n";
        configure(http.service.directory(), next);
        http.service.signal(SIGHUP);
        http.has_workers(4);
        http.ends(signal, &LEFT);
    }
}

/// A service with these settings, on a port of its own and without dirty workers.
fn start(settings: &str) -> HttpService {
    let directory = directory_with("hooks");
    configure(directory.path(), &with_port(settings));
    start_configured(directory, &[])
}

fn reconfigure(http: &HttpService, settings: &str) {
    configure(http.service.directory(), &with_port(settings));
    http.service.signal(SIGHUP);
}

fn with_port(settings: &str) -> String {
    format!("bind = \"127.0.0.1:0\"\ndirty_workers = 0\n{settings}")
}

/// Waits until there are so many workers and none of `before`.
fn has_only_new(http: &HttpService, before: &BTreeSet<u32>, count: usize) -> BTreeSet<u32> {
    http.service.wait_for("new workers only", || {
        Some(http.workers()).filter(|now| now.len() == count && now.is_disjoint(before))
    })
}
