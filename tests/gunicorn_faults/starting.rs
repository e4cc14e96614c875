//! Workers that start slowly or not at all.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use gunmetal::args;

use crate::callers::Callers;
use crate::support::probe::{APP, client, wait_until_running, worker_pids};
use crate::support::{self, Service};

/// gunicorn forks 224 times a second for ever. Ours: the end, with exit code 3 and the reason last.
#[test]
fn init_fails_at_the_first_start() {
    let told = tempfile::NamedTempFile::new().unwrap();
    let flags = ["--dirty-only", "--dirty-socket", "dirty.sock", "--dirty-workers", "4"];
    let mut service =
        Service::start("probe", &flags, &[("BENCH_INIT_FAIL_FILE", told.path().to_str().unwrap())]);

    assert_eq!(service.wait().code(), Some(3));
    let last = service
        .wait_for("the last words", || service.log().last().filter(|line| line.contains("init")).cloned());
    assert!(last.contains("init told to fail"), "{:#?}", service.log());
    assert!(service.log().len() < 40, "{:#?}", service.log());
    assert_eq!(service.leftovers(), Vec::<PathBuf>::new());
}

/// gunicorn forks 224 times a second and logs 250 kB. Ours: the others serve, attempts are rare and a line each.
#[test]
fn init_fails_while_others_serve() {
    let directory = tempfile::tempdir().unwrap();
    let told = directory.path().join("fail");
    let service = Service::probe(
        &["--dirty-workers", "2", "--dirty-app", APP],
        &[("BENCH_INIT_FAIL_FILE", told.to_str().unwrap())],
    );
    let client = client(&service);
    let pids = service.wait_for("the workers", || Some(worker_pids(&client)).filter(|pids| pids.len() == 2));
    fs::write(&told, "").unwrap();
    let before = service.log().len();
    support::kill(u32::try_from(pids[0]).unwrap(), libc::SIGKILL);

    let callers = Callers::start(&service, APP, 4);
    let start = Instant::now();
    service.wait_for("five attempts", || (failures(&service) >= 5).then_some(()));
    // 100 ms, 200 ms, 400 ms, 800 ms, each less a jitter of at most a half.
    assert!(start.elapsed() > Duration::from_millis(500), "five attempts in {:?}", start.elapsed());
    let lines = service.log().len() - before;
    assert!(lines < 40, "{lines} lines for five attempts:\n{}", service.log().join("\n"));
    let errors: Vec<_> = callers.stop().into_iter().map(|error| error.to_string()).collect();
    assert!(errors.len() <= 4, "more than what the killed worker had: {errors:?}");

    fs::remove_file(&told).unwrap();
    service.wait_for("the next attempt", || (worker_pids(&client).len() == 2).then_some(()));
}

/// gunicorn's calls fail after 5 s. Ours: they wait.
#[test]
fn init_takes_longer_than_five_seconds() {
    let service = Service::probe(&["--dirty-workers", "1"], &[("BENCH_INIT_DELAY", "6")]);
    let start = Instant::now();
    let calls: Vec<_> = (0..4)
        .map(|i| {
            let client = client(&service);
            thread::spawn(move || client.execute::<i64>(APP, "echo", args![i]))
        })
        .collect();
    for (i, call) in calls.into_iter().enumerate() {
        assert_eq!(call.join().unwrap().unwrap(), i64::try_from(i).unwrap());
    }
    assert!(start.elapsed() > Duration::from_secs(5), "that was no slow start");
}

/// gunicorn gives it calls, which fail. Ours: it gets none before it is ready, and nobody waits for it either.
#[test]
fn a_starting_worker_is_given_nothing() {
    let delay = tempfile::NamedTempFile::new().unwrap();
    fs::write(delay.path(), "0").unwrap();
    let service = slow_starter(1, delay.path());
    let client = client(&service);
    let old = worker_pids(&client)[0];
    fs::write(delay.path(), "3").unwrap();

    service.signal(libc::SIGTTIN);
    let starting = service.wait_for("the fork", || {
        service
            .processes("dirty worker")
            .into_iter()
            .find(|process| i64::from(process.pid) != old && process.is_alive())
    });
    let mut count = 0;
    while worker_pids(&client) == [old] {
        let start = Instant::now();
        let pid = client.execute::<u32>(APP, "pid", ()).unwrap();
        if pid == starting.pid {
            // It may have become ready since we asked.
            assert_eq!(worker_pids(&client).len(), 2, "a worker that is not ready had a call");
            break;
        }
        assert_eq!(i64::from(pid), old);
        assert!(start.elapsed() < Duration::from_secs(2), "a call waited for {:?}", start.elapsed());
        count += 1;
    }
    assert!(count > 10, "only {count} calls in 3 s");
    // From then on it takes its part.
    let calls: Vec<_> = (0..2)
        .map(|_| {
            let client = client.clone();
            thread::spawn(move || client.execute::<f64>(APP, "sleep", args![0.5]).unwrap())
        })
        .collect();
    wait_until_running(&service, &client, 2);
    for call in calls {
        call.join().unwrap();
    }
}

/// The probe whose workers take as many seconds to start as the file says.
pub(crate) fn slow_starter(workers: usize, delay: &Path) -> Service {
    let count = workers.to_string();
    let flags = ["--dirty-workers", &count, "--dirty-app", APP];
    let service = Service::probe(&flags, &[("BENCH_INIT_DELAY_FILE", delay.to_str().unwrap())]);
    let client = client(&service);
    service.wait_for("the workers", || (worker_pids(&client).len() == workers).then_some(()));
    service
}

fn failures(service: &Service) -> usize {
    service.log().iter().filter(|line| line.contains("init told to fail")).count()
}
