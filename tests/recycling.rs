//! Dirty workers that have had their share of calls or memory are replaced, and nobody notices.

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod support;

use std::collections::BTreeSet;
use std::path::Path;
use std::thread;

use gunmetal::blocking::Client;
use gunmetal::{Bytes, Value, args};
use support::Service;
use support::probe::{APP, client, probe, wait_until_running, worker_pids};

fn pid(client: &Client) -> u32 {
    client.execute(APP, "pid", ()).unwrap()
}

/// Calls until another worker answers; every call must succeed. Returns the pid of the new one.
fn call_until_replaced(service: &Service, client: &Client, old: u32) -> u32 {
    service.wait_for("the successor", || Some(pid(client)).filter(|pid| *pid != old))
}

fn log_has(service: &Service, words: &str) -> bool {
    service.log().iter().any(|line| line.contains(words))
}

/// The probe with one worker that is recycled after `share` calls, and files that delay its start and make it fail.
struct Recycled {
    service: Service,
    directory: tempfile::TempDir,
}

impl Recycled {
    fn start(flags: &[&str]) -> Recycled {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
        let environment = [("BENCH_INIT_DELAY_FILE", path("delay")), ("BENCH_INIT_FAIL_FILE", path("fail"))];
        let environment: Vec<_> = environment.iter().map(|(name, path)| (*name, path.as_str())).collect();
        let mut all = vec!["--dirty-app", APP, "--dirty-workers", "1"];
        all.extend_from_slice(flags);
        let service = Service::probe(&all, &environment);
        Recycled { service, directory }
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        Path::new(self.directory.path()).join(name)
    }
}

#[test]
fn recycling_under_load_loses_no_call_and_no_chunk() {
    let flags = ["--dirty-max-requests", "40", "--dirty-max-requests-jitter", "20", "--dirty-threads", "2"];
    let service = probe(2, &flags);
    let pids = thread::scope(|scope| {
        let callers: Vec<_> = (0..4)
            .map(|_| {
                let client = client(&service);
                scope.spawn(move || {
                    let mut pids = BTreeSet::new();
                    let mut count = 0_i64;
                    while pids.len() < 6 {
                        count += 1;
                        assert_eq!(client.execute::<i64>(APP, "echo", args![count]).unwrap(), count);
                        pids.insert(pid(&client));
                        let chunks: Result<Vec<u64>, _> =
                            client.stream(APP, "stream_slow", args![5, 0.001]).collect();
                        assert_eq!(chunks.unwrap(), [0, 1, 2, 3, 4]);
                        assert!(count < 100_000, "never recycled often enough: {pids:?}");
                    }
                    pids
                })
            })
            .collect();
        callers.into_iter().flat_map(|caller| caller.join().unwrap()).collect::<BTreeSet<u32>>()
    });
    assert!(pids.len() >= 6, "{pids:?}");
    // Nobody was replaced for another reason, and everybody left in order.
    assert!(!log_has(&service, "replaced:") && !log_has(&service, "SIGKILL"), "{:#?}", service.log());
    let client = client(&service);
    service.wait_for("two workers again", || (service.processes("dirty worker").len() == 2).then_some(()));
    assert_eq!(worker_pids(&client).len(), 2);
}

#[test]
fn a_worker_serves_until_its_successor_is_ready() {
    let probe = Recycled::start(&["--dirty-max-requests", "3"]);
    let client = client(&probe.service);
    let old = pid(&client);
    std::fs::write(probe.file("delay"), "600").unwrap();
    probe.service.wait_for("the start of the successor", || {
        assert_eq!(pid(&client), old);
        log_has(&probe.service, "Recycling dirty worker").then_some(())
    });
    for _ in 0..100 {
        assert_eq!(pid(&client), old);
    }
    let status = client.status().unwrap();
    assert_eq!(status.workers.iter().map(|worker| worker.booted).collect::<Vec<_>>(), [true, false]);
}

#[test]
fn a_successor_that_fails_to_start_leaves_the_old_worker_in_service_and_is_tried_again() {
    let probe = Recycled::start(&["--dirty-max-requests", "3"]);
    let client = client(&probe.service);
    let old = pid(&client);
    std::fs::write(probe.file("fail"), "").unwrap();
    probe.service.wait_for("two failed successors", || {
        assert_eq!(pid(&client), old);
        let failures = probe.service.log();
        let failures = failures.iter().filter(|line| line.contains("its successor failed to start"));
        (failures.count() >= 2).then_some(())
    });
    std::fs::remove_file(probe.file("fail")).unwrap();
    call_until_replaced(&probe.service, &client, old);
}

#[test]
fn what_runs_on_a_recycled_worker_is_not_cut_by_the_graceful_timeout() {
    let flags = ["--dirty-max-requests", "3", "--dirty-threads", "2", "--dirty-graceful-timeout", "0.2"];
    let probe = Recycled::start(&flags);
    let client = client(&probe.service);
    let old = pid(&client);
    // Longer than the graceful timeout after the worker has been replaced, which is after more than a second.
    let stream = {
        let client = client.clone();
        thread::spawn(move || {
            client.stream(APP, "stream_slow", args![40, 0.1]).collect::<Result<Vec<u64>, _>>()
        })
    };
    wait_until_running(&probe.service, &client, 1);
    call_until_replaced(&probe.service, &client, old);
    assert_eq!(stream.join().unwrap().unwrap(), (0..40).collect::<Vec<u64>>());
    probe.service.wait_for("the end of the old worker", || (worker_pids(&client).len() == 1).then_some(()));
}

#[test]
fn the_jitter_is_added_to_the_share() {
    let probe = Recycled::start(&["--dirty-max-requests", "2", "--dirty-max-requests-jitter", "1000000"]);
    let client = client(&probe.service);
    let old = pid(&client);
    (0..10).for_each(|_| assert_eq!(pid(&client), old));
    // Without the jitter it would be recycled after its first second.
    client.execute::<Value>(APP, "sleep", args![2.5]).unwrap();
    assert_eq!(pid(&client), old);
    assert!(!log_has(&probe.service, "Recycling"), "{:#?}", probe.service.log());
}

#[test]
fn a_worker_that_has_grown_too_large_is_replaced_even_while_it_is_busy() {
    let probe = Recycled::start(&["--dirty-max-rss", "28M", "--dirty-threads", "2"]);
    let client = client(&probe.service);
    let old = pid(&client);
    let busy = {
        let client = client.clone();
        thread::spawn(move || {
            client.stream(APP, "stream_slow", args![30, 0.1]).collect::<Result<Vec<u64>, _>>()
        })
    };
    wait_until_running(&probe.service, &client, 1);
    // Kept by the worker for the next one of its kind.
    let large = Bytes::from(vec![1; 30 << 20]);
    client.execute::<Value>(APP, "size", args![large]).unwrap();
    call_until_replaced(&probe.service, &client, old);
    assert_eq!(busy.join().unwrap().unwrap().len(), 30);
    assert!(log_has(&probe.service, "dirty_max_rss is 28 MiB"), "{:#?}", probe.service.log());
}

#[test]
fn a_worker_that_is_too_large_from_its_start_is_left_alone() {
    let probe = Recycled::start(&["--dirty-max-rss", "1M"]);
    let client = client(&probe.service);
    let old = pid(&client);
    assert!(log_has(&probe.service, "it is not recycled"), "{:#?}", probe.service.log());
    // Longer than the interval between two looks.
    client.execute::<Value>(APP, "sleep", args![2.5]).unwrap();
    assert_eq!(pid(&client), old);
}
