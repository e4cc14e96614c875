//! What STATUS tells of the dirty arbiter and its workers, and that it is told whatever state they are in.

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod support;

use std::thread;

use gunmetal::blocking::Client;
use gunmetal::{Value, args};
use libc::{SIGCONT, SIGHUP, SIGSTOP, SIGTTIN};
use support::Service;
use support::probe::{APP, client, probe, wait_until_running};

#[test]
fn workers_are_listed_by_age_with_their_apps_and_heartbeats() {
    let service =
        probe(3, &["--dirty-app", APP, "--dirty-app", "bench_app:LimitedApp:1", "--dirty-timeout", "4"]);
    let client = client(&service);
    client.execute::<Value>(APP, "noop", ()).unwrap();
    let status = client.status().unwrap();
    assert_eq!(status.arbiter_pid, i64::from(service.pid()));
    assert_eq!(status.worker_count, 3);
    assert_eq!(status.apps, [APP, "bench_app:LimitedApp"]);
    assert_eq!(status.workers.iter().map(|worker| worker.age).collect::<Vec<_>>(), [1, 2, 3]);
    let mut pids: Vec<_> =
        service.processes("dirty worker").iter().map(|process| i64::from(process.pid)).collect();
    let mut listed: Vec<_> = status.workers.iter().map(|worker| worker.pid).collect();
    pids.sort_unstable();
    listed.sort_unstable();
    assert_eq!(listed, pids);
    assert_eq!(status.workers[0].apps, [APP, "bench_app:LimitedApp"]);
    assert_eq!(status.workers[1].apps, [APP]);
    for worker in &status.workers {
        assert!(worker.booted);
        let heartbeat = worker.last_heartbeat.unwrap();
        assert!((0.0..20.0).contains(&heartbeat), "{heartbeat}");
        assert_eq!((heartbeat * 100.0).round() / 100.0, heartbeat, "more than two digits");
    }
    assert_eq!(status.workers.iter().filter_map(|worker| worker.calls).sum::<u64>(), 1);
}

#[test]
fn the_heartbeat_of_a_stopped_worker_grows_and_that_of_others_does_not() {
    let service = probe(2, &["--dirty-timeout", "4"]);
    let client = client(&service);
    let stopped = client.status().unwrap().workers[0].pid;
    support::kill(u32::try_from(stopped).unwrap(), SIGSTOP);
    // The others beat every two seconds.
    service.wait_for("a silence of more than three seconds", || {
        let workers = client.status().unwrap().workers;
        let silence = |index: usize| workers.get(index).and_then(|worker| worker.last_heartbeat);
        (workers[0].pid == stopped && silence(0) > Some(3.0) && silence(1) < Some(2.8)).then_some(())
    });
    support::kill(u32::try_from(stopped).unwrap(), SIGCONT);
}

#[test]
fn without_a_timeout_there_are_no_heartbeats() {
    let service = probe(1, &["--dirty-timeout", "0"]);
    assert_eq!(client(&service).status().unwrap().workers[0].last_heartbeat, None);
}

#[test]
fn workers_that_start_or_finish_are_listed_as_such() {
    let directory = tempfile::tempdir().unwrap();
    let delay = directory.path().join("delay");
    let environment = [("BENCH_INIT_DELAY_FILE", delay.to_str().unwrap())];
    let flags = ["--dirty-app", APP, "--dirty-workers", "1", "--dirty-threads", "2"];
    let service = Service::probe(&flags, &environment);
    let client = client(&service);
    let states = || -> Vec<(bool, String)> {
        let workers = client.status().unwrap().workers;
        workers.into_iter().map(|worker| (worker.booted, worker.state.unwrap())).collect()
    };
    let wait_for = |expected: &[(bool, &str)]| {
        service.wait_for("the states", || {
            let states = states();
            let found: Vec<_> = states.iter().map(|(booted, state)| (*booted, state.as_str())).collect();
            (found == expected).then_some(())
        });
    };
    wait_for(&[(true, "serving")]);
    let running = {
        let client = client.clone();
        thread::spawn(move || client.execute::<f64>(APP, "sleep", args![3.0]))
    };
    wait_until_running(&service, &client, 1);
    service.signal(SIGHUP);
    wait_for(&[(true, "draining"), (true, "serving")]);
    running.join().unwrap().unwrap();
    wait_for(&[(true, "serving")]);

    std::fs::write(&delay, "600").unwrap();
    service.signal(SIGTTIN);
    wait_for(&[(true, "serving"), (false, "starting")]);
}

#[test]
fn a_stopped_dirty_arbiter_keeps_nobody_from_connecting() {
    let service = probe(2, &[]);
    let before = client(&service).status().unwrap();
    service.signal(SIGSTOP);
    // Each with a connection of its own, whose handshake asks for STATUS.
    for i in 0..50 {
        assert_eq!(Client::at(service.socket()).execute::<i64>(APP, "echo", args![i]).unwrap(), i);
    }
    let meanwhile = client(&service).status().unwrap();
    assert_eq!(meanwhile.workers.len(), 2);
    for (was, is) in before.workers.iter().zip(&meanwhile.workers) {
        assert_eq!((was.pid, was.age, &was.apps, was.booted), (is.pid, is.age, &is.apps, is.booted));
        assert_eq!(is.last_heartbeat, None);
    }
    service.signal(SIGCONT);
    let client = client(&service);
    service.wait_for("heartbeats", || client.status().unwrap().workers[0].last_heartbeat);
}

#[test]
fn many_who_ask_at_once_are_all_answered() {
    let service = probe(2, &[]);
    thread::scope(|scope| {
        for _ in 0..20 {
            let client = client(&service);
            scope.spawn(move || {
                for _ in 0..50 {
                    let status = client.status().unwrap();
                    assert_eq!(status.worker_count, 2);
                    assert!(
                        status.workers.iter().all(|worker| worker.last_heartbeat.is_some()),
                        "{status:?}"
                    );
                }
            });
        }
    });
}
