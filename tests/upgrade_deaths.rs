//! Masters that end in the middle of an upgrade, each at the worst moment for the other one.

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod support;

use std::fs;
use std::process::Command;

use libc::{SIGCONT, SIGHUP, SIGKILL, SIGSTOP, SIGTERM, SIGUSR2};
use support::http::HttpService;
use support::master::{configure, directory_with, pid_in, start_configured, start_in};

const FLAGS: [&str; 8] =
    ["--dirty-socket", "dirty.sock", "--dirty-workers", "1", "--pid", "app.pid", "--bind", "unix:http.sock"];
const LEFT: [&str; 2] = ["app", "journal.txt"];

/// Which dirty worker answers a client that connects anew.
fn call(http: &HttpService) -> u32 {
    let client = gunmetal::blocking::Client::at(http.service.socket());
    client.execute("hooks:First", "pid", ()).unwrap()
}

fn dirty_arbiter_of(http: &HttpService, master: u32) -> u32 {
    let below = support::descendants(master);
    below
        .iter()
        .find(|process| process.title.contains("dirty arbiter"))
        .map(|process| process.pid)
        .unwrap_or_else(|| panic!("no dirty arbiter: {:#?}", http.service.lines()))
}

#[test]
fn a_new_master_that_is_killed_leaves_the_dirty_socket_to_the_old_one() {
    let http = start_in(directory_with("hooks"), &FLAGS, &[]);
    http.service.signal(SIGUSR2);
    http.service.line("New master is in service");
    let new = pid_in(&http.file("app.pid.2")).unwrap();
    let orphan = dirty_arbiter_of(&http, new);
    support::kill(new, SIGKILL);
    http.service.wait_for("the end of its dirty arbiter", || {
        let below = http.service.descendants();
        below.iter().all(|process| process.pid != orphan).then_some(())
    });
    assert_eq!(call(&http), http.service.process("dirty worker").pid);
    http.ends(SIGTERM, &LEFT);
}

#[test]
fn an_old_master_that_is_killed_leaves_the_dirty_socket_to_the_new_one() {
    let mut http = start_in(directory_with("hooks"), &FLAGS, &[]);
    http.service.signal(SIGUSR2);
    http.service.line("New master is in service");
    let new = pid_in(&http.file("app.pid.2")).unwrap();
    // Its orphan ends only when the new master has long been promoted.
    let orphan = support::Process { pid: dirty_arbiter_of(&http, http.service.pid()), title: String::new() };
    orphan.signal(SIGSTOP);
    http.service.signal(SIGKILL);
    http.service.wait();
    http.service.follow(new);
    http.service.line("Master has been promoted.");
    http.service.wait_for("the pid file", || (!http.file("dirty.sock.pid.2").exists()).then_some(()));
    orphan.signal(SIGCONT);
    http.service.wait_for("the end of the orphan", || (!orphan.is_alive()).then_some(()));
    assert_eq!(call(&http), http.service.process("dirty worker").pid);
    http.service.signal(SIGTERM);
    http.service.leaves_nothing_but(&LEFT);
}

#[test]
fn an_old_master_may_end_before_the_new_one_has_read_its_settings() {
    for end in [SIGTERM, SIGKILL] {
        let mut http = start_in(directory_with("hooks"), &FLAGS, &[]);
        // The new master reads its settings once they are written.
        let settings = http.file("gunmetal.toml");
        assert!(Command::new("mkfifo").arg(&settings).status().unwrap().success());
        http.service.signal(SIGUSR2);
        let line = http.service.line("Booting a new master");
        let new = line.rsplit(' ').next().unwrap().parse().unwrap();
        http.service.signal(end);
        http.service.wait();
        http.service.follow(new);
        fs::write(&settings, "").unwrap();
        http.service.wait_for("the pid file", || (pid_in(&http.file("app.pid")) == Some(new)).then_some(()));
        http.service.wait_for("a worker", || (http.workers().len() == 1).then_some(()));
        assert!(http.answers_over("http.sock"));
        assert_eq!(call(&http), http.service.process("dirty worker").pid);
        http.service.signal(SIGTERM);
        http.service.leaves_nothing_but(&["app", "journal.txt", "gunmetal.toml"]);
    }
}

#[test]
fn a_new_master_that_cannot_listen_leaves_the_sockets_of_the_old_one_where_they_are() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap();
    let directory = directory_with("hello");
    configure(directory.path(), "bind = [\"127.0.0.1:0\", \"unix:http.sock\"]");
    let http = start_configured(directory, &[]);
    configure(
        http.service.directory(),
        &format!("bind = [\"127.0.0.1:0\", \"unix:http.sock\", \"unix:more.sock\", \"{taken}\"]"),
    );
    http.service.signal(SIGUSR2);
    http.service.line("this one serves on");
    assert!(http.answers_over("http.sock"));
    assert!(!http.file("more.sock").exists());
    http.ends(SIGTERM, &["app", "app.toml"]);
}

#[test]
fn an_upgrade_in_the_middle_of_a_reload_gets_what_that_has_opened() {
    let directory = directory_with("hello");
    configure(directory.path(), "bind = [\"127.0.0.1:0\"]\npidfile = \"app.pid\"");
    let mut http = start_configured(directory, &[]);
    // A reload that is asked for before everything serves begins later, maybe after the upgrade.
    http.service.signal(SIGHUP);
    http.service.line("reload done");
    let settings = "bind = [\"127.0.0.1:0\", \"unix:more.sock\"]\npidfile = \"app.pid\"";
    configure(http.service.directory(), settings);
    http.service.signal(SIGHUP);
    http.service.signal(SIGUSR2);
    http.service.line("New master is in service");
    let new = pid_in(&http.file("app.pid.2")).unwrap();
    assert!(http.answers_over("more.sock"));
    http.service.signal(SIGTERM);
    http.service.wait();
    http.service.follow(new);
    assert!(http.answers_over("more.sock"));
    http.service.signal(SIGTERM);
    http.service.leaves_nothing_but(&["app", "app.toml"]);
}

#[test]
fn a_socket_that_the_old_master_gives_up_stays_with_the_new_one() {
    let directory = directory_with("hello");
    configure(directory.path(), "bind = [\"127.0.0.1:0\", \"unix:http.sock\"]\npidfile = \"app.pid\"");
    let mut http = start_configured(directory, &[]);
    http.service.signal(SIGUSR2);
    http.service.line("New master is in service");
    let new = pid_in(&http.file("app.pid.2")).unwrap();
    configure(http.service.directory(), "bind = [\"127.0.0.1:0\"]\npidfile = \"app.pid\"");
    http.service.signal(SIGHUP);
    http.service.line("reload done");
    assert!(http.answers_over("http.sock"));
    http.service.signal(SIGTERM);
    http.service.wait();
    http.service.follow(new);
    assert!(http.answers_over("http.sock"));
    http.service.signal(SIGTERM);
    http.service.leaves_nothing_but(&["app", "app.toml"]);
}
