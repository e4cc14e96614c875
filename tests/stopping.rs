//! A stop that comes at an awkward moment: whatever is going on, it ends in time, with nothing left, and finishes what it can.

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod support;

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use gunmetal::client::CallError;
use gunmetal::{Value, args, value};
use libc::{SIGHUP, SIGKILL, SIGTERM, SIGTTIN, SIGTTOU};
use support::Service;
use support::probe::{APP, client, probe, wait_until_running, worker_pids};

/// Stops a service, which must end with code 0 before `limit` and leave neither process nor file.
fn stops(mut service: Service, limit: Duration) {
    let below = service.descendants();
    let start = Instant::now();
    service.signal(SIGTERM);
    assert_eq!(service.wait().code(), Some(0), "{}", service.log().join("\n"));
    assert!(start.elapsed() < limit, "it took {:?}:\n{}", start.elapsed(), service.log().join("\n"));
    let alive: Vec<_> = below.iter().filter(|process| process.is_alive()).collect();
    assert!(alive.is_empty(), "left behind: {alive:#?}");
    assert_eq!(service.leftovers(), Vec::<PathBuf>::new());
}

#[test]
fn an_action_that_uses_the_stash_finishes_after_term() {
    let service = probe(1, &[]);
    let client = client(&service);
    let running = {
        let client = client.clone();
        thread::spawn(move || client.execute::<f64>(APP, "stash_loop", args!["incr", 20_000, 10]))
    };
    wait_until_running(&service, &client, 1);
    let ops = || client.stash().tables().map(|tables| tables.len());
    service.wait_for("the first use of the stash", || ops().ok().filter(|count| *count > 0));
    stops(service, Duration::from_secs(30));
    running.join().unwrap().unwrap();
}

#[test]
fn an_action_that_uses_the_stash_for_the_first_time_after_term() {
    let service = probe(1, &[]);
    let client = client(&service);
    let busy = client.call(APP, "sleep").args(args![1]);
    let mut queued = support::raw::Raw::connect(&service);
    thread::scope(|scope| {
        let busy = scope.spawn(move || busy.execute::<Value>());
        wait_until_running(&service, &client, 1);
        queued.call(1, "stash_incr", value!(["table", "key"]));
        queued.is_heard();
        let stopping = scope.spawn(|| stops(service, Duration::from_secs(20)));
        busy.join().unwrap().unwrap();
        assert_eq!(queued.result(1), value!(1));
        stopping.join().unwrap();
    });
}

#[test]
fn workers_that_are_starting_do_not_delay_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let delay = directory.path().join("delay");
    fs::write(&delay, "0").unwrap();
    let environment = [("BENCH_INIT_DELAY_FILE", delay.to_str().unwrap())];
    for signals in [&[SIGHUP][..], &[SIGTTIN], &[SIGHUP, SIGTTIN, SIGHUP, SIGTTOU]] {
        fs::write(&delay, "0").unwrap();
        let service =
            Service::probe(&["--dirty-workers", "2", "--dirty-graceful-timeout", "3"], &environment);
        let client = client(&service);
        service.wait_for("the workers", || (worker_pids(&client).len() == 2).then_some(()));
        fs::write(&delay, "60").unwrap();
        for signal in signals {
            service.signal(*signal);
        }
        service.wait_for("the fork", || (service.processes("dirty worker").len() > 2).then_some(()));
        stops(service, Duration::from_secs(10));
    }
    fs::write(&delay, "60").unwrap();
    let service = Service::probe(&["--dirty-workers", "2", "--dirty-graceful-timeout", "3"], &environment);
    // The first generation.
    stops(service, Duration::from_secs(10));
}

#[test]
fn a_reload_while_an_action_hangs_is_done_after_the_graceful_timeout() {
    let service = probe(2, &["--dirty-timeout", "0", "--dirty-graceful-timeout", "1"]);
    let client = client(&service);
    let before = worker_pids(&client);
    let hang = {
        let client = client.clone();
        thread::spawn(move || client.execute::<Value>(APP, "hang", ()))
    };
    wait_until_running(&service, &client, 1);
    service.signal(SIGHUP);
    let error = hang.join().unwrap().unwrap_err();
    let CallError::Worker { message, .. } = &error else { panic!("{error:?}") };
    assert!(message.contains("had not finished when the graceful timeout was over"), "{message}");
    service.wait_for("two new workers and no other", || {
        let now = worker_pids(&client);
        let old =
            service.processes("dirty worker").iter().any(|worker| before.contains(&i64::from(worker.pid)));
        (now.len() == 2 && !old && now.iter().all(|pid| !before.contains(pid))).then_some(())
    });
    stops(service, Duration::from_secs(10));
}

#[test]
fn a_reload_whose_init_fails_leaves_the_old_workers_in_service() {
    let directory = tempfile::tempdir().unwrap();
    let obstacle = directory.path().join("obstacle");
    let environment = [("BENCH_INIT_FAIL_FILE", obstacle.to_str().unwrap())];
    let service = Service::probe(&["--dirty-workers", "2"], &environment);
    let client = client(&service);
    service.wait_for("the workers", || (worker_pids(&client).len() == 2).then_some(()));
    let before = worker_pids(&client);
    fs::write(&obstacle, "").unwrap();
    for round in 1..=3 {
        service.signal(SIGHUP);
        service.wait_for("the report", || {
            let reports = service.log().iter().filter(|line| line.contains("reload failed")).count();
            (reports >= round).then_some(())
        });
        for i in 0..20 {
            assert_eq!(client.execute::<i64>(APP, "echo", args![i]).unwrap(), i);
        }
        assert_eq!(worker_pids(&client), before);
    }
    fs::remove_file(&obstacle).unwrap();
    service.signal(SIGHUP);
    service.wait_for("the new workers", || {
        let now = worker_pids(&client);
        (now.len() == 2 && now.iter().all(|pid| !before.contains(pid))).then_some(())
    });
    stops(service, Duration::from_secs(10));
}

#[test]
fn whoever_dies_while_the_service_stops_does_not_keep_it() {
    for victim in ["router", "dirty worker 0", "dirty worker 1"] {
        let mut service = probe(2, &["--dirty-graceful-timeout", "10"]);
        let client = client(&service);
        let calls: Vec<_> = (0..2)
            .map(|_| {
                let client = client.clone();
                thread::spawn(move || client.execute::<Value>(APP, "sleep", args![1]))
            })
            .collect();
        wait_until_running(&service, &client, 2);
        let (below, victim) = (service.descendants(), service.process(victim));
        let start = Instant::now();
        service.signal(SIGTERM);
        victim.signal(SIGKILL);
        assert_eq!(service.wait().code(), Some(0), "{}", service.log().join("\n"));
        assert!(
            start.elapsed() < Duration::from_secs(8),
            "{:?}:\n{}",
            start.elapsed(),
            service.log().join("\n")
        );
        // Each caller was told something.
        let outcomes: Vec<_> = calls.into_iter().map(|call| call.join().unwrap()).collect();
        if victim.title.contains("worker") {
            assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
        }
        assert!(below.iter().all(|process| !process.is_alive()));
        assert_eq!(service.leftovers(), Vec::<PathBuf>::new());
    }
}
