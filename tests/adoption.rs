//! A dirty arbiter that is killed under its master, and what becomes of its workers.

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use gunmetal::Value;
use gunmetal::blocking::Client;
use gunmetal::client::CallError;
use libc::{SIGCONT, SIGHUP, SIGKILL, SIGSTOP, SIGTERM, SIGTTIN, SIGTTOU};
use support::probe::{APP, client, peek, wait_until_running, worker_pids};
use support::{Process, Service};

/// The probe under a master, with `worker_count` workers that are all ready.
fn probe(worker_count: usize, flags: &[&str], environment: &[(&str, &str)]) -> Service {
    let count = worker_count.to_string();
    let mut all = vec!["--dirty-socket", "dirty.sock", "--dirty-app", APP, "--dirty-workers", &count];
    all.extend_from_slice(flags);
    let service = Service::start("probe", &all, environment);
    let client = client(&service);
    service.wait_for("the workers", || are_ready(&client, worker_count));
    // One that is killed before it has told the master so has failed to start.
    service.wait_for("the arbiter's word", || {
        service.log().iter().any(|line| line.contains("Dirty arbiter ready")).then_some(())
    });
    service
}

/// Whether there are as many workers as that, all of them ready; tells the arbiter's pid.
fn are_ready(client: &Client, count: usize) -> Option<i64> {
    let status = client.status().ok()?;
    let ready_count = status.workers.iter().filter(|worker| worker.booted).count();
    ([ready_count, status.workers.len()] == [count; 2]).then_some(status.arbiter_pid)
}

fn pids(service: &Service) -> BTreeSet<u32> {
    service.processes("dirty worker").into_iter().map(|process| process.pid).collect()
}

/// Kills the dirty arbiter with -9 and returns once another one serves with `count` workers.
fn kill_arbiter(service: &Service, count: usize) {
    let old = service.process("dirty arbiter");
    old.signal(SIGKILL);
    serves_again(service, &old, count);
}

fn serves_again(service: &Service, old: &Process, count: usize) {
    let client = client(service);
    service.wait_for("the next arbiter", || {
        are_ready(&client, count).filter(|arbiter| *arbiter != i64::from(old.pid))
    });
}

fn counter(client: &Client) -> Result<i64, CallError> {
    client.execute(APP, "counter", ())
}

/// Ends the service with SIGTERM, after which nothing may be left of it.
fn ends_without_trace(mut service: Service, also: &[Process]) {
    let below = service.descendants();
    service.signal(SIGTERM);
    assert_eq!(service.wait().code(), Some(0));
    for process in below.iter().chain(also) {
        assert!(!process.is_alive(), "{} is left", process.title);
    }
    assert_eq!(service.leftovers(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn workers_and_their_state_survive_and_service_is_back_at_once() {
    let service = probe(1, &[], &[]);
    let (client, before) = (client(&service), pids(&service));
    for expected in 1..=3 {
        assert_eq!(counter(&client).unwrap(), expected);
    }
    let old = service.process("dirty arbiter");
    old.signal(SIGKILL);
    let killed = Instant::now();
    let count = service.wait_for("an answer", || peek(&client, "count"));
    let pause = killed.elapsed();
    assert_eq!(count, 3);
    assert_eq!(pids(&service), before);
    // Milliseconds, but for a machine that is busy with other tests.
    assert!(pause < Duration::from_secs(5), "{pause:?}");
    assert_ne!(service.process("dirty arbiter").pid, old.pid);
    ends_without_trace(service, &[]);
}

#[test]
fn calls_under_way_end_with_a_connection_error() {
    let service = probe(1, &[], &[]);
    let client = client(&service);
    thread::scope(|scope| {
        let call = scope.spawn(|| client.execute::<Value>(APP, "sleep", (0.5,)));
        wait_until_running(&service, &client, 1);
        service.process("dirty arbiter").signal(SIGKILL);
        let error = call.join().unwrap().unwrap_err();
        assert!(matches!(error, CallError::Connection { request_sent: true, .. }), "{error:?}");
    });
    // The action went on for nobody; the next call has the worker when it returned.
    service.wait_for("an answer", || counter(&client).ok());
    ends_without_trace(service, &[]);
}

#[test]
fn ten_kills_under_load_lose_no_state() {
    let service = probe(2, &["--dirty-threads", "2"], &[]);
    let (before, stop, answered) = (pids(&service), AtomicBool::new(false), AtomicI64::new(0));
    let mut pauses: Vec<Duration> = Vec::new();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let client = client(&service);
                while !stop.load(Relaxed) {
                    match counter(&client) {
                        Ok(_) => _ = answered.fetch_add(1, Relaxed),
                        Err(CallError::Connection { .. }) => {}
                        Err(error) => panic!("{error:?}"),
                    }
                }
            });
        }
        // Thrown over the time that a start takes, by a number that nobody chose.
        let mut random = u64::from(service.pid());
        for _ in 0..10 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let old = service.process("dirty arbiter");
            thread::sleep(Duration::from_micros(random >> 49));
            old.signal(SIGKILL);
            let (killed, seen) = (Instant::now(), answered.load(Relaxed));
            service.wait_for("an answer", || (answered.load(Relaxed) > seen + 4).then_some(()));
            pauses.push(killed.elapsed());
        }
        stop.store(true, Relaxed);
    });
    println!("pauses: {pauses:?}");
    assert_eq!(pids(&service), before);
    let counts = Mutex::new(BTreeMap::new());
    thread::scope(|scope| {
        // Several at a time, or the same worker has them all.
        for _ in 0..4 {
            scope.spawn(|| {
                let client = client(&service);
                service.wait_for("both workers", || {
                    let value: Value = client.execute(APP, "peek", ()).unwrap();
                    let number = |key| value.as_dict()?.get(key)?.as_int();
                    let mut counts = counts.lock().unwrap();
                    counts.insert(number("pid"), number("count").unwrap());
                    (counts.len() == 2).then_some(())
                });
            });
        }
    });
    let counted: i64 = counts.into_inner().unwrap().values().sum();
    // An answer may be lost with the router, an increment never.
    assert!(counted >= answered.load(Relaxed), "{counted} of {answered:?}");
    ends_without_trace(service, &[]);
}

#[test]
fn an_adopted_worker_that_is_killed_is_replaced_and_the_others_stay() {
    let service = probe(2, &[], &[]);
    kill_arbiter(&service, 2);
    let victim = service.process("dirty worker 0");
    let other = service.process("dirty worker 1");
    victim.signal(SIGKILL);
    let next = service.wait_for("the replacement", || {
        service.processes("dirty worker 0").into_iter().find(|process| process.pid != victim.pid)
    });
    assert!(next.title.ends_with("0.2"), "{}", next.title);
    assert_eq!(service.process("dirty worker 1"), other);
    service.wait_for("the end of the old one", || victim.is_reaped().then_some(()));
    ends_without_trace(service, &[]);
}

#[test]
fn an_adopted_worker_that_hangs_is_replaced() {
    let service = probe(1, &["--dirty-timeout", "2"], &[]);
    kill_arbiter(&service, 1);
    let worker = service.process("dirty worker");
    worker.signal(SIGSTOP);
    service.wait_for("its end", || worker.is_reaped().then_some(()));
    let client = client(&service);
    service.wait_for("an answer", || counter(&client).ok());
    // And one action that does, by the router's word.
    let worker = service.process("dirty worker");
    kill_arbiter(&service, 1);
    assert!(matches!(client.execute::<Value>(APP, "hang", ()), Err(CallError::Timeout { .. })));
    service.wait_for("its end", || worker.is_reaped().then_some(()));
    ends_without_trace(service, &[]);
}

#[test]
fn hup_replaces_adopted_workers_by_new_ones() {
    let service = probe(2, &[], &[]);
    kill_arbiter(&service, 2);
    let before = pids(&service);
    service.signal(SIGHUP);
    service.wait_for("the new generation", || (pids(&service).is_disjoint(&before)).then_some(()));
    service.wait_for("the end of the reload", || are_ready(&client(&service), 2));
    // These are taken over as well.
    let second = pids(&service);
    kill_arbiter(&service, 2);
    assert_eq!(pids(&service), second);
    ends_without_trace(service, &[]);
}

#[test]
fn the_number_of_workers_stays_what_it_was_made() {
    let service = probe(2, &[], &[]);
    service.process("dirty arbiter").signal(SIGTTIN);
    let client = client(&service);
    service.wait_for("three", || are_ready(&client, 3));
    let three = pids(&service);
    kill_arbiter(&service, 3);
    assert_eq!(pids(&service), three);
    service.process("dirty arbiter").signal(SIGTTOU);
    service.wait_for("two", || are_ready(&client, 2));
    let two = pids(&service);
    kill_arbiter(&service, 2);
    assert_eq!(pids(&service), two);
    ends_without_trace(service, &[]);
}

#[test]
fn a_worker_that_starts_dies_with_its_arbiter_and_is_started_again() {
    let directory = tempfile::tempdir().unwrap();
    let delay = directory.path().join("delay");
    let service = probe(2, &[], &[("BENCH_INIT_DELAY_FILE", delay.to_str().unwrap())]);
    let client = client(&service);
    let kept = service.process("dirty worker 1");
    fs::write(&delay, "1000").unwrap();
    service.process("dirty worker 0").signal(SIGKILL);
    let starting = service.wait_for("a starting worker", || service.processes("dirty worker 0.2").pop());
    fs::remove_file(&delay).unwrap();
    // It sleeps already, or will not.
    kill_arbiter(&service, 2);
    service.wait_for("its end", || (!starting.is_alive()).then_some(()));
    assert_eq!(service.process("dirty worker 1"), kept);
    assert!(worker_pids(&client).contains(&i64::from(kept.pid)));
    ends_without_trace(service, &[starting]);
}

#[test]
fn a_worker_that_drains_is_not_taken_over() {
    let service = probe(2, &["--dirty-graceful-timeout", "5"], &[]);
    let client = client(&service);
    thread::scope(|scope| {
        let calls = [0, 1].map(|_| scope.spawn(|| client.execute::<Value>(APP, "sleep", (20,))));
        wait_until_running(&service, &client, 2);
        let arbiter = service.process("dirty arbiter");
        arbiter.signal(SIGTTOU);
        let going = service.process("dirty worker 1");
        let record = format!("gunmetal-{}/worker-1-1.waiting", service.pid());
        let record = service.socket().with_file_name(record);
        service.wait_for("the drain", || record.exists().then_some(()));
        let kept = service.process("dirty worker 0");
        arbiter.signal(SIGKILL);
        serves_again(&service, &arbiter, 1);
        service.wait_for("the end of the one that drained", || going.is_reaped().then_some(()));
        assert_eq!(service.process("dirty worker"), kept);
        for call in calls {
            let outcome = call.join().unwrap();
            assert!(matches!(outcome, Err(CallError::Connection { .. })), "{outcome:?}");
        }
    });
    ends_without_trace(service, &[]);
}

#[test]
fn a_reload_that_was_under_way_leaves_the_old_generation_in_service() {
    let directory = tempfile::tempdir().unwrap();
    let delay = directory.path().join("delay");
    let service = probe(1, &[], &[("BENCH_INIT_DELAY_FILE", delay.to_str().unwrap())]);
    let (client, before) = (client(&service), pids(&service));
    assert_eq!(counter(&client).unwrap(), 1);
    let old = service.process("dirty arbiter");
    fs::write(&delay, "1000").unwrap();
    service.signal(SIGHUP);
    let new = service.wait_for("the new generation", || {
        let new: Vec<Process> = service
            .processes("dirty worker")
            .into_iter()
            .filter(|process| !before.contains(&process.pid))
            .collect();
        (new.len() == 1).then_some(new)
    });
    old.signal(SIGKILL);
    serves_again(&service, &old, 1);
    assert_eq!(pids(&service), before);
    fs::remove_file(&delay).unwrap();
    assert_eq!(service.wait_for("an answer", || peek(&client, "count")), 1);
    ends_without_trace(service, &new);
}

#[test]
fn master_and_arbiter_killed_together_leave_no_process() {
    for is_stopped in [false, true] {
        let mut service = probe(2, &[], &[]);
        kill_arbiter(&service, 2);
        service.process("dirty worker 0").signal(SIGKILL);
        // One of each kind: adopted, and forked by the arbiter that lives.
        service.wait_for("the replacement", || service.processes("dirty worker 0.2").pop());
        let client = client(&service);
        service.wait_for("both", || are_ready(&client, 2));
        let below = service.descendants();
        if is_stopped {
            service.processes("dirty worker").iter().for_each(|worker| worker.signal(SIGSTOP));
        }
        // Neither may have time to do anything about the other's end.
        let arbiter = service.process("dirty arbiter");
        service.signal(SIGSTOP);
        arbiter.signal(SIGKILL);
        service.signal(SIGKILL);
        service.wait();
        // Nobody need be left who could remove the files; the next service takes their place.
        for process in &below {
            service.wait_for(&process.title, || (!process.is_alive()).then_some(()));
        }
    }
}

#[test]
fn a_killed_master_takes_adopted_workers_with_it() {
    let mut service = probe(2, &[], &[]);
    kill_arbiter(&service, 2);
    let below = service.descendants();
    service.signal(SIGKILL);
    service.wait();
    for process in &below {
        service.wait_for(&process.title, || (!process.is_alive()).then_some(()));
    }
    service.wait_for("an empty directory", || service.leftovers().is_empty().then_some(()));
}

#[test]
fn a_master_that_stops_without_an_arbiter_ends_the_workers_itself() {
    let directory = tempfile::tempdir().unwrap();
    let closed = directory.path().join("closed");
    let mut service = probe(2, &[], &[("BENCH_CLOSE_FILE", closed.to_str().unwrap())]);
    let below = service.descendants();
    let workers = pids(&service);
    // When the master goes on, it finds the signal and the death at once.
    service.signal(SIGSTOP);
    service.process("dirty arbiter").signal(SIGKILL);
    service.signal(SIGTERM);
    service.signal(SIGCONT);
    assert_eq!(service.wait().code(), Some(0));
    for process in &below {
        assert!(!process.is_alive(), "{} is left", process.title);
    }
    assert_eq!(service.leftovers(), Vec::<std::path::PathBuf>::new());
    let closed: BTreeSet<u32> =
        fs::read_to_string(closed).unwrap().lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(closed, workers, "their apps are closed");
}

#[test]
fn an_arbiter_killed_in_the_middle_of_a_stop_leaves_nobody() {
    let service = probe(2, &["--dirty-graceful-timeout", "5"], &[]);
    let (client, before) = (client(&service), service.processes("dirty worker"));
    thread::scope(|scope| {
        let call = scope.spawn(|| client.execute::<Value>(APP, "sleep", (60,)));
        wait_until_running(&service, &client, 1);
        let arbiter = service.process("dirty arbiter");
        // Its calls first, then the workers: one of them has ended already when it is killed, or not.
        arbiter.signal(SIGTERM);
        arbiter.signal(SIGKILL);
        serves_again(&service, &arbiter, 2);
        assert!(matches!(call.join().unwrap(), Err(CallError::Connection { .. })));
    });
    ends_without_trace(service, &before);
}

#[test]
fn an_arbiter_killed_before_it_was_ever_ready_ends_the_service() {
    let flags = ["--dirty-socket", "dirty.sock", "--dirty-app", APP, "--dirty-workers", "2"];
    let mut service = Service::start("probe", &flags, &[("BENCH_INIT_DELAY", "1000")]);
    service.wait_for("the workers", || (pids(&service).len() == 2).then_some(()));
    let below = service.descendants();
    service.process("dirty arbiter").signal(SIGKILL);
    assert_eq!(service.wait().code(), Some(3));
    for process in &below {
        assert!(!process.is_alive(), "{} is left", process.title);
    }
    assert_eq!(service.leftovers(), Vec::<std::path::PathBuf>::new());
}
