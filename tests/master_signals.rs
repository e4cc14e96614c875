//! What the master does at each signal: numbers of workers, stops, upgrades and their failures, exits of strangers, and all of
//! it at once.

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::thread;
use std::time::{Duration, Instant};

use libc::{
    SIGCHLD, SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGTERM, SIGTTIN, SIGTTOU, SIGUSR1, SIGUSR2, SIGWINCH,
};
use support::http::HttpService;
use support::master::{
    Load, daemon_in, directory_with, http_workers_of, lines, over, pid_in, put_program, start_in,
};
use support::{Service, example_binary};

#[test]
fn ttin_adds_a_worker_and_ttou_takes_one_but_never_the_last() {
    let http = HttpService::start("hello", &["--workers", "2", "--log-level", "debug"]);
    http.has_workers(2);
    http.service.signal(SIGTTIN);
    http.has_workers(3);
    for left in [2, 1] {
        http.service.signal(SIGTTOU);
        http.has_workers(left);
    }
    http.service.signal(SIGTTOU);
    http.service.wait_for("the third", || (http.service.count("Handling signal: ttou") == 3).then_some(()));
    http.answers();
    http.has_workers(1);
    // What was in force before the signals is what the configuration says.
    http.service.signal(SIGHUP);
    http.has_workers(2);
    http.ends(SIGTERM, &[]);
}

#[test]
fn a_signal_that_comes_while_the_dirty_arbiter_starts_is_not_lost() {
    let flags = ["--bind", "127.0.0.1:0", "--log-level", "debug"];
    let service = Service::start("hooks", &flags, &[("JOURNAL_HANG", "on_dirty_starting")]);
    service.line("Booting dirty arbiter");
    for (signal, name) in [(SIGTTIN, "ttin"), (SIGTTIN, "ttin"), (SIGTTOU, "ttou"), (SIGWINCH, "winch")] {
        let before = service.count(&format!("Handling signal: {name}"));
        service.signal(signal);
        service
            .wait_for(name, || (service.count(&format!("Handling signal: {name}")) > before).then_some(()));
    }
    fs::write(service.file("go"), "").unwrap();
    let http = HttpService::of(service);
    http.answers();
    http.has_workers(2);
    http.ends(SIGTERM, &["go", "journal.txt"]);
}

#[test]
fn whoever_reads_the_pid_file_may_use_it_at_once() {
    let flags = ["--bind", "127.0.0.1:0", "--pid", "app.pid", "--dirty-workers", "0"];
    let service = Service::start("hooks", &flags, &[("JOURNAL_HANG", "on_starting")]);
    service.wait_for("the hook", || (!lines(&service.file("journal.txt")).is_empty()).then_some(()));
    assert_eq!(pid_in(&service.file("app.pid")), Some(service.pid()));
    for signal in [SIGHUP, SIGTTIN, SIGUSR1] {
        service.signal(signal);
    }
    fs::write(service.file("go"), "").unwrap();
    let http = HttpService::of(service);
    http.answers();
    for name in ["hup", "ttin", "usr1"] {
        http.service.line(&format!("Handling signal: {name}"));
    }
    http.ends(SIGTERM, &["go", "journal.txt"]);
}

#[test]
fn quit_and_int_do_not_wait_for_requests() {
    for signals in [&[SIGQUIT][..], &[SIGINT], &[SIGTERM, SIGINT], &[SIGTERM, SIGQUIT]] {
        let mut http = HttpService::start("hello", &["--workers", "2"]);
        http.has_workers(2);
        let mut client = http.connect();
        client.send(b"GET /sleep/60000 HTTP/1.1\r\nhost: here\r\n\r\n").unwrap();
        http.answers();
        let start = Instant::now();
        for signal in signals {
            http.service.signal(*signal);
            let name = if *signal == SIGTERM { "term" } else { "" };
            http.service.line(&format!("Handling signal: {name}"));
        }
        assert_eq!(http.service.wait().code(), Some(0), "{signals:?}");
        assert!(start.elapsed() < Duration::from_secs(10), "{signals:?} took {:?}", start.elapsed());
        assert!(client.answer().is_err());
        http.service.leaves_nothing_but(&[]);
    }
}

#[test]
fn winch_does_nothing_in_the_foreground() {
    let http = HttpService::start("hello", &["--workers", "2", "--log-level", "debug"]);
    let before = http.has_workers(2);
    http.service.signal(SIGWINCH);
    http.service.line("SIGWINCH ignored. Not daemonized");
    http.answers();
    assert_eq!(http.workers(), before);
    http.ends(SIGTERM, &[]);
}

#[test]
fn winch_drains_the_workers_of_a_daemon_and_hup_brings_them_back() {
    let http = daemon_in(directory_with("hello"), &["--workers", "2"], &[]);
    let mut slow = http.connect();
    slow.send(b"GET /sleep/300 HTTP/1.1\r\nhost: here\r\n\r\n").unwrap();
    http.answers();
    http.service.signal(SIGWINCH);
    http.has_workers(0);
    assert_eq!(slow.answer().unwrap().body, "slept 300 ms");
    http.service.line("graceful stop of workers");
    // Nobody takes it, but the port is kept: it waits.
    let mut waiting = http.connect();
    waiting.send(b"GET /pid HTTP/1.1\r\nhost: here\r\n\r\n").unwrap();
    // Fewer than none there cannot be.
    http.service.signal(SIGTTOU);
    http.service.line("Handling signal: ttou");
    assert!(http.workers().is_empty());
    http.service.signal(SIGHUP);
    http.has_workers(2);
    assert_eq!(waiting.answer().unwrap().status, 200);
    http.service.signal(SIGTERM);
    http.service.leaves_nothing_but(&["app", "app.log"]);
}

#[test]
fn hup_usr1_and_term_reach_the_dirty_arbiter_too() {
    let flags = ["--bind", "127.0.0.1:0", "--dirty-workers", "1", "--error-logfile", "app.log"];
    let mut service = Service::start("hooks", &flags, &[]);
    let has_dirty_worker = |other: Option<u32>| {
        service.wait_for("the dirty worker", || {
            let workers = service.processes("dirty worker");
            let [worker] = workers.as_slice() else { return None };
            let is_ready = |line: &String| line.starts_with(&format!("dirty_worker_init {} ", worker.pid));
            let journal = lines(&service.file("journal.txt"));
            (journal.iter().any(is_ready) && Some(worker.pid) != other).then_some(worker.pid)
        })
    };
    let first = has_dirty_worker(None);
    service.line("Booting worker");
    service.signal(SIGHUP);
    let second = has_dirty_worker(Some(first));
    fs::rename(service.file("app.log"), service.file("app.log.1")).unwrap();
    service.signal(SIGUSR1);
    service.wait_for("the new file", || service.file("app.log").exists().then_some(()));
    service.signal(SIGTERM);
    assert_eq!(service.wait().code(), Some(0));
    // Of the dirty arbiter, in the file that it has opened anew.
    let journal = lines(&service.file("journal.txt"));
    assert!(journal.contains(&format!("close {second} hooks:First")), "{journal:#?}");
    service.leaves_nothing_but(&["app.log", "app.log.1", "journal.txt"]);
}

#[test]
fn an_upgrade_serves_beside_the_old_master_and_takes_over_at_its_end_however_that_comes() {
    for end in [SIGTERM, SIGQUIT, SIGKILL] {
        let flags = ["--workers", "2", "--pid", "app.pid", "--bind", "unix:http.sock"];
        let mut http = start_in(directory_with("hello"), &flags, &[("JOURNAL", "/dev/null")]);
        let old = http.service.pid();
        let before = http.has_workers(2);
        let load = Load::start(http.port);
        put_program(http.service.directory(), &example_binary("hooks"));
        http.service.signal(SIGUSR2);
        http.service.line("New master is in service");
        let new = pid_in(&http.file("app.pid.2")).unwrap();
        assert_eq!(pid_in(&http.file("app.pid")), Some(old));
        let after = http.has_workers_of(new, 1 + 1);
        http.all_answer(&[&before, &after]);
        assert!(http.answers_over("http.sock"));

        http.service.signal(end);
        http.service.wait();
        http.service.follow(new);
        http.service.wait_for("the pid file", || (pid_in(&http.file("app.pid")) == Some(new)).then_some(()));
        assert!(!http.file("app.pid.2").exists());
        http.service.line("Master has been promoted.");
        // Only the other program has this page.
        http.service.wait_for("the new program", || (http.status("/loaded") == 200).then_some(()));
        assert!(http.answers_over("http.sock"));
        // Who is killed takes the requests of its workers with it.
        if end == SIGTERM {
            load.has_lost_nothing();
        } else {
            drop(load);
        }
        // The new one is a master like any other.
        http.service.signal(SIGTTIN);
        http.has_workers(3);
        http.service.signal(SIGTERM);
        http.service.leaves_nothing_but(&["app"]);
    }
}

#[test]
fn the_old_master_may_be_told_to_end_before_the_new_one_is_in_service() {
    let mut http = start_in(directory_with("hello"), &["--pid", "app.pid", "--bind", "unix:http.sock"], &[]);
    http.answers();
    http.service.signal(SIGUSR2);
    http.service.line("Booting a new master");
    http.service.signal(SIGTERM);
    // From now on, whoever connects waits for the new one.
    let load = Load::start(http.port);
    assert_eq!(http.service.wait().code(), Some(0));
    let new = http.service.wait_for("the new master", || {
        pid_in(&http.file("app.pid")).filter(|pid| *pid != http.service.pid())
    });
    http.service.follow(new);
    http.answers();
    assert!(http.answers_over("http.sock"));
    load.has_lost_nothing();
    http.service.signal(SIGTERM);
    http.service.leaves_nothing_but(&["app"]);
}

#[test]
fn an_upgrade_is_rolled_back_by_hup_to_the_old_master() {
    for end in [SIGTERM, SIGQUIT, SIGKILL] {
        let flags = ["--workers", "2", "--bind", "unix:http.sock"];
        let http = daemon_in(directory_with("hello"), &flags, &[("JOURNAL", "/dev/null")]);
        let old = http.service.pid();
        put_program(http.service.directory(), &example_binary("hooks"));
        let load = Load::start(http.port);
        http.service.signal(SIGUSR2);
        http.service.line("New master is in service");
        let new = pid_in(&http.file("app.pid.2")).unwrap();
        http.service.signal(SIGWINCH);
        http.has_workers_of(old, 0);
        assert_eq!(http.status("/loaded"), 200);

        http.service.signal(SIGHUP);
        let back = http.has_workers_of(old, 2);
        http.all_answer(&[&back]);
        if end != SIGTERM {
            drop(load);
        } else {
            support::kill(new, end);
            http.service.wait_for("its end", || http_workers_of(new).is_empty().then_some(()));
            load.has_lost_nothing();
        }
        support::kill(new, end);
        http.service.line("this one serves on");
        http.service.wait_for("the end of its workers", || (http.workers() == back).then_some(()));
        assert_eq!(http.status("/loaded"), 404, "the old program");
        assert!(http.answers_over("http.sock"));
        assert!(!http.file("app.pid.2").exists(), "the pid file of the new one is left");
        assert_eq!(pid_in(&http.file("app.pid")), Some(old));
        http.service.signal(SIGTERM);
        http.service.leaves_nothing_but(&["app", "app.log"]);
    }
}

#[test]
fn two_masters_that_are_told_to_end_together_leave_nothing() {
    for (first, second) in [(SIGTERM, SIGTERM), (SIGQUIT, SIGTERM), (SIGTERM, SIGQUIT)] {
        let flags = ["--pid", "app.pid", "--bind", "unix:http.sock", "--dirty-socket", "dirty.sock"];
        let mut http = start_in(directory_with("hooks"), &flags, &[]);
        http.service.signal(SIGUSR2);
        http.service.line("New master is in service");
        let new = pid_in(&http.file("app.pid.2")).unwrap();
        http.service.signal(first);
        support::kill(new, second);
        assert_eq!(http.service.wait().code(), Some(0));
        http.service.leaves_nothing_but(&["app", "journal.txt"]);
    }
}

#[test]
fn there_are_never_more_than_two_masters() {
    let http = start_in(directory_with("hello"), &["--pid", "app.pid"], &[]);
    http.service.signal(SIGUSR2);
    http.service.line("New master is in service");
    http.service.signal(SIGUSR2);
    http.service.line("USR2 signal ignored. Child exists.");
    let new = pid_in(&http.file("app.pid.2")).unwrap();
    support::kill(new, SIGUSR2);
    http.service.line("USR2 signal ignored. Parent exists.");
    let masters = http.service.processes("master");
    assert_eq!(masters.len(), 1, "{masters:?}");
    support::kill(new, SIGTERM);
    http.service.line("this one serves on");
    // And now there may be another.
    http.service.signal(SIGUSR2);
    http.service.wait_for("the next", || (http.service.count("New master is in service") == 2).then_some(()));
    http.answers();
}

#[test]
fn an_upgrade_to_something_that_does_not_start_leaves_the_old_master_in_service() {
    let directory = directory_with("hello");
    let (settings, program) = (directory.path().join("app.toml"), directory.path().join("app"));
    fs::write(&settings, "workers = 1\n").unwrap();
    let flags = ["--config", "app.toml", "--pid", "app.pid", "--bind", "unix:http.sock"];
    let http =
        start_in(directory, &flags, &[("JOURNAL", "/dev/null"), ("JOURNAL_PANIC", "post_worker_init")]);
    let old = http.service.pid();
    let (before, load) = (http.has_workers(1), Load::start(http.port));
    let put = |mode: u32, text: &str| {
        fs::remove_file(&program).unwrap();
        fs::write(&program, text).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(mode)).unwrap();
    };
    let fails = |words: &str| {
        let count = http.service.count("this one serves on");
        http.service.signal(SIGUSR2);
        http.service.line(words);
        http.service.wait_for("its end", || (http.service.count("this one serves on") > count).then_some(()));
        assert_eq!(http.workers(), before);
        assert_eq!(pid_in(&http.file("app.pid")), Some(old));
        assert!(!http.file("app.pid.2").exists(), "{words}");
        assert!(http.answers_over("http.sock"), "{words}");
        http.answers();
    };
    put(0o755, "#!/bin/sh\nexit 17\n");
    fails("exited with code 17");
    put(0o644, "not executable");
    fails("): cannot execute ./app: Permission denied");
    fs::remove_file(&program).unwrap();
    fs::write(&program, "").unwrap();
    fs::rename(&program, http.file("aside")).unwrap();
    std::os::unix::fs::symlink("nowhere", &program).unwrap();
    fails("): cannot execute ./app: No such file or directory");
    put_program(http.service.directory(), &example_binary("hello"));
    fs::write(&settings, "wrokers = 1\n").unwrap();
    fails("unknown setting \"wrokers\" (did you mean \"workers\"?)");
    fs::write(&settings, "workers = 1\n").unwrap();
    put_program(http.service.directory(), &example_binary("hooks"));
    fails("HTTP worker failed to start: post_worker_init panicked: asked to panic");
    load.has_lost_nothing();
    // What is in order again can be upgraded to.
    put_program(http.service.directory(), &example_binary("hello"));
    http.service.signal(SIGUSR2);
    http.service.line("New master is in service");
    http.answers();
}

#[test]
fn strangers_that_end_as_children_of_the_master_are_reaped_and_harm_nobody() {
    let environment = [(
        "JOURNAL_ORPHAN",
        "on_starting,when_ready,load,post_fork,post_worker_init,on_reload,dirty_worker_init",
    )];
    let mut http =
        HttpService::of(Service::start("hooks", &["--bind", "127.0.0.1:0", "--workers", "2"], &environment));
    http.has_workers(2);
    let worker = http.answers();
    http.service.signal(SIGCHLD);
    http.service.signal(SIGHUP);
    http.service.line("reload done");
    let orphans = || lines(&http.file("orphans.txt")).into_iter().map(|pid| pid.parse::<u32>().unwrap());
    http.service.wait_for("all orphans", || (orphans().count() >= 10).then_some(()));
    for pid in orphans() {
        let orphan = support::Process { pid, title: String::new() };
        http.service.wait_for("its end", || orphan.is_reaped().then_some(()));
    }
    http.service.wait_for("the old worker's end", || (!http.workers().contains(&worker)).then_some(()));
    http.answers();
    http.service.signal(SIGTERM);
    assert_eq!(http.service.wait().code(), Some(0));
    http.service.leaves_nothing_but(&["journal.txt", "orphans.txt"]);
}

/// The seed is printed when it fails: with the same one, the same signals are sent.
#[test]
fn a_storm_of_signals_leaves_a_service_that_answers_and_obeys() {
    for seed in [1_u64, 2] {
        let http = daemon_in(directory_with("hello"), &["--workers", "2", "--graceful-timeout", "5"], &[]);
        let old = http.service.pid();
        let signals =
            [SIGHUP, SIGTTIN, SIGTTOU, SIGUSR1, SIGWINCH, SIGCHLD, SIGHUP, SIGTTIN, SIGTTOU, SIGUSR2];
        let mut state = seed;
        let mut random = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) % below
        };
        let end = Instant::now() + Duration::from_secs(3);
        while Instant::now() < end {
            let signal = signals[usize::try_from(random(10)).unwrap()];
            let younger = pid_in(&http.file("app.pid.2"));
            support::kill(younger.filter(|_| random(3) == 0).unwrap_or(old), signal);
            thread::sleep(Duration::from_millis(random(20)));
        }
        // An upgrade may be under way.
        http.service.wait_for("the old master alone", || {
            let younger = http.service.processes("master.2");
            younger.iter().for_each(|master| master.signal(SIGTERM));
            younger.is_empty().then_some(())
        });
        http.service.signal(SIGHUP);
        http.service.wait_for("as many workers as are configured, which answer", || {
            let workers = http_workers_of(old);
            let answers = workers.contains(&http.answers());
            (answers && workers.len() == 2 && workers == http_workers_of(old)).then_some(())
        });
        assert_eq!(http.service.count("panicked"), 0, "seed {seed}");
        http.service.signal(SIGTERM);
        http.service.leaves_nothing_but(&["app", "app.log"]);
    }
}

#[test]
fn calls_of_an_upgraded_service_go_to_the_same_dirty_socket() {
    let flags = ["--dirty-socket", "dirty.sock", "--dirty-workers", "1", "--pid", "app.pid"];
    let mut http = start_in(directory_with("hooks"), &flags, &[]);
    let client = gunmetal::blocking::Client::at(http.service.socket());
    let call = || client.execute::<u32>("hooks:First", "pid", ()).unwrap();
    http.answers();
    call();
    http.service.signal(SIGUSR2);
    http.service.line("New master is in service");
    call();
    let new = pid_in(&http.file("app.pid.2")).unwrap();
    http.service.signal(SIGTERM);
    assert_eq!(http.service.wait().code(), Some(0));
    http.service.follow(new);
    let worker = http.service.process("dirty worker").pid;
    assert_eq!(call(), worker);
    assert!(over(&http.service.socket(), "/").is_none(), "it speaks another protocol");
    http.service.signal(SIGTERM);
    http.service.leaves_nothing_but(&["app", "journal.txt"]);
}
