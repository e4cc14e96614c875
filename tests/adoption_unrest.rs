//! The dirty arbiter is killed again and again under its master while everything else happens as well.

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod support;

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use gunmetal::Value;
use gunmetal::client::CallError;
use libc::{SIGCONT, SIGHUP, SIGKILL, SIGSTOP, SIGTERM, SIGTTIN, SIGTTOU};
use support::Service;
use support::probe::{APP, client};

/// Numbers that nobody chose; told, so that a failure can be looked at again.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }
}

#[test]
fn whatever_happens_around_the_kills_the_service_comes_back_and_leaves_nothing() {
    let flags = ["--dirty-socket", "dirty.sock", "--dirty-app", APP, "--dirty-workers", "3"];
    let mut service = Service::start("probe", &flags, &[("BENCH_INIT_DELAY", "0.02")]);
    let mut dice = Dice(u64::from(service.pid()));
    service.wait_for("the service", || client(&service).execute::<Value>(APP, "noop", ()).ok());
    service.wait_for("the arbiter's word", || {
        service.log().iter().any(|line| line.contains("Dirty arbiter ready")).then_some(())
    });
    let (stop, answered) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        for caller in 0..4 {
            let (service, stop, answered) = (&service, &stop, &answered);
            scope.spawn(move || {
                let client = client(service);
                while !stop.load(Relaxed) {
                    let outcome = match caller {
                        0 => client.execute::<Value>(APP, "sleep", (0.01,)),
                        _ => client.execute::<Value>(APP, "noop", ()),
                    };
                    match outcome {
                        Ok(_) => _ = answered.fetch_add(1, Relaxed),
                        Err(CallError::Connection { .. } | CallError::Worker { .. }) => {}
                        // All may have been killed, the one that starts included.
                        Err(CallError::NoWorkersAvailable { .. }) => {}
                        Err(error) => panic!("{error:?}"),
                    }
                }
            });
        }
        let first = |title: &str| service.processes(title).into_iter().next();
        for _ in 0..40 {
            let (title, signal) = match dice.roll(8) {
                0 => ("dirty arbiter", SIGHUP),
                1 => ("dirty arbiter", SIGTTIN),
                2 => ("dirty arbiter", SIGTTOU),
                3 => ("dirty worker", SIGKILL),
                4 => ("router", SIGKILL),
                _ => ("dirty arbiter", SIGKILL),
            };
            if let Some(process) = first(title) {
                process.signal(signal);
            }
            thread::sleep(Duration::from_millis(dice.roll(60)));
        }
        let seen = answered.load(Relaxed);
        service.wait_for("answers", || (answered.load(Relaxed) > seen + 100).then_some(()));
        stop.store(true, Relaxed);
    });
    let client = client(&service);
    service.wait_for("peace", || {
        let workers = client.status().ok()?.workers;
        let processes = service.processes("dirty worker").len();
        (workers.iter().all(|worker| worker.booted) && workers.len() == processes).then_some(())
    });
    let below = service.descendants();
    service.signal(SIGTERM);
    assert_eq!(service.wait().code(), Some(0));
    for process in &below {
        assert!(!process.is_alive(), "{} is left", process.title);
    }
    assert_eq!(service.leftovers(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn the_next_arbiter_stays_although_nobody_was_left_to_adopt_and_no_worker_starts() {
    let directory = tempfile::tempdir().unwrap();
    let obstacle = directory.path().join("obstacle");
    let flags = ["--dirty-socket", "dirty.sock", "--dirty-app", APP, "--dirty-workers", "1"];
    let service = Service::start("probe", &flags, &[("BENCH_INIT_FAIL_FILE", obstacle.to_str().unwrap())]);
    service.wait_for("the arbiter's word", || {
        service.log().iter().any(|line| line.contains("Dirty arbiter ready")).then_some(())
    });
    let worker = service.process("dirty worker");
    // The master finds them dead together.
    service.signal(SIGSTOP);
    service.process("dirty arbiter").signal(SIGKILL);
    worker.signal(SIGKILL);
    fs::write(&obstacle, "").unwrap();
    service.signal(SIGCONT);
    let client = client(&service);
    let noop = || client.execute::<Value>(APP, "noop", ());
    let reason = service.wait_for("the refusal", || match noop() {
        Err(CallError::NoWorkersAvailable { message, .. }) => Some(message),
        Ok(_) | Err(_) => None,
    });
    assert!(reason.contains("init told to fail"), "{reason}");
    let arbiter = service.process("dirty arbiter");
    fs::remove_file(&obstacle).unwrap();
    service.wait_for("the next attempt", || noop().ok());
    assert_eq!(service.process("dirty arbiter"), arbiter);
}
