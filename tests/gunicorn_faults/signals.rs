//! Signals to a dirty arbiter that has work.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use gunmetal::blocking::Client;
use gunmetal::client::CallError;
use gunmetal::protocol::{ErrorType, MessageType};
use gunmetal::{Value, args, value};

use crate::callers::Callers;
use crate::starting::slow_starter;
use crate::support::Service;
use crate::support::probe::{APP, client, probe, wait_until_running, worker_pids};
use crate::support::raw::Raw;
use crate::support::traces::Traces;

const LIMITED: &str = "bench_app:LimitedApp";

/// With gunicorn the new workers are killed and calls are lost. Ours: new ones are ready first, and none is lost.
#[test]
fn hup_under_load() {
    let delay = tempfile::NamedTempFile::new().unwrap();
    fs::write(delay.path(), "0").unwrap();
    let service = slow_starter(2, delay.path());
    let traces = Traces::of(&service);
    let client = client(&service);
    fs::write(delay.path(), "0.5").unwrap();
    let callers = Callers::start(&service, APP, 8);
    for _ in 0..3 {
        callers.go_on(&service, 100);
        let before = worker_pids(&client);
        let mut long = Raw::connect(&service);
        long.call(1, "sleep", value!([1.5]));
        long.call(2, "stream_slow", value!([15, 0.1]));
        wait_until_running(&service, &client, 2);

        service.signal(libc::SIGHUP);
        // Again, while the first is on its way.
        service.signal(libc::SIGHUP);

        service.wait_for("two new workers", || {
            let now = worker_pids(&client);
            assert!(now.len() >= 2, "only {} workers were ready", now.len());
            (now.len() == 2 && now.iter().all(|pid| !before.contains(pid))).then_some(())
        });
        // What the old ones were doing has been finished.
        let mut chunks = 0;
        let mut ends = 0;
        while ends < 2 {
            let answer = long.receive().unwrap();
            match answer.message_type {
                MessageType::Chunk => chunks += 1,
                MessageType::Response | MessageType::End => ends += 1,
                _ => panic!("{:?}", answer.error()),
            }
        }
        assert_eq!(chunks, 15);
    }
    callers.go_on(&service, 100);
    let errors = callers.stop();
    assert!(errors.is_empty(), "lost: {errors:?}");
    drop(client);
    traces.are_all_that_is_left(&service, 32 << 10);
}

/// gunicorn cuts all of them after 0.1 s. Ours: they finish, streams too, and nothing is left.
#[test]
fn term_with_calls_running() {
    let mut service = probe(3, &["--dirty-graceful-timeout", "15"]);
    let client = client(&service);
    let processes = service.descendants();
    let mut running = Raw::connect(&service);
    running.call(1, "sleep", value!([2]));
    running.call(2, "stream_slow", value!([20, 0.1]));
    let blocking = {
        let client = client.clone();
        thread::spawn(move || client.execute::<i64>(APP, "sleep", args![1]))
    };
    wait_until_running(&service, &client, 3);
    // Waiting for a lane when the stop comes: taken is taken.
    let mut queued = Raw::connect(&service);
    queued.call(3, "echo", value!(["queued"]));
    queued.is_heard();

    service.signal(libc::SIGTERM);

    assert_eq!(blocking.join().unwrap().unwrap(), 1);
    let mut chunks = 0;
    let mut answered = BTreeSet::new();
    while answered.len() < 2 {
        let answer = running.receive().expect("cut");
        match answer.message_type {
            MessageType::Chunk => chunks += 1,
            MessageType::Response | MessageType::End => assert!(answered.insert(answer.id)),
            _ => panic!("{:?}", answer.error()),
        }
    }
    assert_eq!(chunks, 20);
    assert_eq!(queued.result(3), value!("queued"));
    assert!(running.receive().is_none() && queued.receive().is_none());
    assert_eq!(service.wait().code(), Some(0));
    let alive: Vec<_> = processes.iter().filter(|process| process.is_alive()).collect();
    assert!(alive.is_empty(), "left behind: {alive:#?}");
    assert_eq!(service.leftovers(), Vec::<PathBuf>::new());
}

/// Up to the timeout: what runs longer is told so, and the end comes then.
#[test]
fn term_with_calls_over_the_graceful_timeout() {
    let mut service = probe(2, &["--dirty-graceful-timeout", "1"]);
    let client = client(&service);
    let processes = service.descendants();
    let mut running = Raw::connect(&service);
    running.call(1, "sleep", value!([60]));
    running.call(2, "hang", value!([]));
    wait_until_running(&service, &client, 2);
    running.call(3, "echo", value!(["queued"]));
    running.is_heard();
    let start = Instant::now();

    service.signal(libc::SIGTERM);

    let mut told = BTreeSet::new();
    while let Some(answer) = running.receive() {
        // The third has not begun: it may be sent again.
        let expected = if answer.id == 3 { ErrorType::NoWorkersAvailable } else { ErrorType::Dirty };
        assert_eq!(answer.error().error_type, expected, "{answer:?}");
        told.insert(answer.id);
    }
    assert_eq!(told, BTreeSet::from([1, 2, 3]));
    assert_eq!(service.wait().code(), Some(0));
    assert!(start.elapsed() >= Duration::from_millis(990), "cut after {:?}", start.elapsed());
    assert!(start.elapsed() < Duration::from_secs(15), "only after {:?}", start.elapsed());
    let alive: Vec<_> = processes.iter().filter(|process| process.is_alive()).collect();
    assert!(alive.is_empty(), "left behind: {alive:#?}");
    assert_eq!(service.leftovers(), Vec::<PathBuf>::new());
}

/// gunicorn may spawn and kill ten workers a second from then on, and cuts calls. Ours: drained, then stable.
#[test]
fn ttin_and_ttou() {
    let service = probe(2, &[]);
    let traces = Traces::of(&service);
    let client = client(&service);
    let callers = Callers::start(&service, APP, 4);
    for count in 3..=6 {
        service.signal(libc::SIGTTIN);
        has_workers(&service, &client, count);
    }
    callers.go_on(&service, 100);
    let errors = callers.stop();
    assert!(errors.is_empty(), "lost: {errors:?}");
    let mut running = Raw::connect(&service);
    for id in 0..6 {
        running.call(id, "sleep", value!([1.5]));
    }
    wait_until_running(&service, &client, 6);

    // Each of them is busy: no worker can go without one of these calls.
    for count in [5, 4, 3, 2] {
        service.signal(libc::SIGTTOU);
        // One at a time: the kernel makes one of two that wait.
        service.wait_for("the signal to be heard", || {
            let text = format!("resized from={} to={count}", count + 1);
            service.log().iter().any(|line| line.contains(&text)).then_some(())
        });
    }
    for _ in 0..6 {
        let answer = running.receive().unwrap();
        assert_eq!(answer.message_type, MessageType::Response, "cut: {answer:?}");
    }
    has_workers(&service, &client, 2);

    let (stable, log) = (worker_pids(&client), service.log().len());
    thread::sleep(Duration::from_secs(2));
    assert_eq!(worker_pids(&client), stable, "workers come and go");
    assert_eq!(service.log().len(), log, "{}", service.log().join("\n"));
    drop((running, client));
    traces.are_all_that_is_left(&service, 32 << 10);
}

/// With gunicorn the app may be left with no worker. Ours: never below what the specs need.
#[test]
fn ttou_or_hup_with_a_limited_app() {
    for limit in [1, 2] {
        let spec = format!("{LIMITED}:{limit}");
        let service = probe(3, &["--dirty-app", APP, "--dirty-app", &spec]);
        let client = client(&service);
        let holders = || {
            let workers = client.status().unwrap().workers;
            let holds = |apps: &[String]| apps.iter().any(|app| app == LIMITED);
            workers.iter().filter(|worker| worker.booted && holds(&worker.apps)).count()
        };
        assert_eq!(holders(), limit);
        let callers = Callers::start(&service, LIMITED, 4);
        for _ in 0..3 {
            service.signal(libc::SIGTTOU);
            callers.go_on(&service, 50);
        }
        service.wait_for("the refusal", || {
            let text = format!("Cannot decrease below {limit} workers (required by app specs)");
            service.log().iter().any(|line| line.contains(&text)).then_some(())
        });
        has_workers(&service, &client, limit);
        assert_eq!(holders(), limit);
        for _ in 0..2 {
            let before = worker_pids(&client);
            service.signal(libc::SIGHUP);
            service.wait_for("the new workers", || {
                assert!(holders() >= limit, "{} workers hold the app", holders());
                let now = worker_pids(&client);
                (now.len() == limit && now.iter().all(|pid| !before.contains(pid))).then_some(())
            });
            callers.go_on(&service, 50);
        }
        let errors = callers.stop();
        assert!(errors.is_empty(), "lost: {errors:?}");
        assert_eq!(holders(), limit);
    }
}

/// It kills gunicorn's. Ours: ignored, with a log line.
#[test]
fn usr2_to_the_dirty_arbiter() {
    let service = probe(1, &[]);
    let client = client(&service);
    let pids = worker_pids(&client);
    let running = {
        let client = client.clone();
        thread::spawn(move || client.execute::<Value>(APP, "sleep", args![0.5]))
    };
    wait_until_running(&service, &client, 1);

    service.signal(libc::SIGUSR2);

    service.wait_for("the line", || {
        service.log().iter().any(|line| line.contains("SIGUSR2 does nothing")).then_some(())
    });
    assert_eq!(running.join().unwrap().unwrap(), value!(0.5));
    // A process that gets it by mistake lives on, too.
    for process in service.descendants() {
        process.signal(libc::SIGUSR2);
    }
    assert_eq!(client.execute::<i64>(APP, "echo", args![1]).unwrap(), 1);
    assert_eq!(worker_pids(&client), pids);
}

/// Whoever calls while the service stops is told so at once, and that the call did not run.
#[test]
fn a_call_that_comes_after_term() {
    let mut service = probe(1, &[]);
    let client = client(&service);
    let (mut running, mut late) = (Raw::connect(&service), Raw::connect(&service));
    running.call(1, "sleep", value!([2]));
    wait_until_running(&service, &client, 1);
    late.is_heard();
    service.signal(libc::SIGTERM);

    // Those that are still taken are answered after the one that runs; the first refusal comes before.
    let mut id = 0;
    let refusal = service.wait_for("a refusal", || {
        id += 1;
        late.call(id, "counter", value!([]));
        late.has_answer().then(|| late.receive().unwrap())
    });
    let error = refusal.error();
    assert_eq!(error.error_type, ErrorType::NoWorkersAvailable, "{error:?}");
    assert_eq!(error.details.get("reason"), Some(&value!("stopping")), "{error:?}");
    assert_eq!(error.app_path(), Some(APP));
    assert!(CallError::from_payload(&error, APP, "counter").is_retry_safe());

    assert_eq!(running.result(1), value!(2));
    let mut ran = 0;
    for _ in 1..id {
        let answer = late.receive().unwrap();
        ran += i64::from(answer.message_type == MessageType::Response);
    }
    assert!(ran < i64::try_from(id).unwrap(), "every call was taken");
    assert!(late.receive().is_none());
    assert_eq!(service.wait().code(), Some(0));
}

fn has_workers(service: &Service, client: &Client, count: usize) {
    service.wait_for("the workers", || {
        (worker_pids(client).len() == count && service.processes("dirty worker").len() == count).then_some(())
    });
}
