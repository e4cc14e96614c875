//! What happens to everyone else when a process dies, hangs or panics. Real processes, real signals; the app is the probe
//! (`examples/probe`).

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod support;

use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use gunmetal::blocking::Client;
use gunmetal::client::CallError;
use gunmetal::{Value, args, value};
use support::Service;
use support::probe::{APP, client, probe, wait_until_running, worker_pids};

const LIMITED: &str = "bench_app:LimitedApp";

#[test]
fn a_worker_killed_while_idle_is_replaced_with_the_same_apps() {
    let service = probe(2, &["--dirty-app", APP, "--dirty-app", "bench_app:LimitedApp:1"]);
    let client = client(&service);
    let before: u32 = client.execute(LIMITED, "pid", ()).unwrap();

    support::kill(before, libc::SIGKILL);

    // The only worker that holds the app is gone: the call waits for the replacement instead of failing.
    let after: u32 = service.wait_for("the replacement", || match client.execute(LIMITED, "pid", ()) {
        Ok(pid) => Some(pid),
        // Handed to the lane before the router saw the death: answered at once, and told so.
        Err(CallError::Worker { .. }) => None,
        Err(other) => panic!("{other}"),
    });
    assert_ne!(before, after);
    let status = client.status().unwrap();
    let replacement = status.workers.iter().find(|worker| worker.pid == i64::from(after)).unwrap();
    assert!(replacement.apps.iter().any(|app| app == APP), "{:?}", replacement.apps);
}

#[test]
fn a_caller_knows_at_once_that_its_worker_was_killed() {
    let service = probe(1, &["--dirty-timeout", "60"]);
    let client = client(&service);
    let pid: u32 = client.execute(APP, "pid", ()).unwrap();
    let call = {
        let client = client.clone();
        thread::spawn(move || (client.execute::<Value>(APP, "sleep", args![30]), Instant::now()))
    };
    wait_until_running(&service, &client, 1);

    let killed = Instant::now();
    support::kill(pid, libc::SIGKILL);
    let (outcome, answered) = call.join().unwrap();

    let Err(CallError::Worker { message, worker_id, .. }) = outcome else { panic!("{outcome:?}") };
    assert_eq!(worker_id.as_deref(), Some(pid.to_string().as_str()), "{message}");
    assert!(message.contains("SIGKILL"), "the cause is missing: {message}");
    assert!(answered - killed < Duration::from_secs(5), "answered {:?} later", answered - killed);
    assert_ne!(client.execute::<u32>(APP, "pid", ()).unwrap(), pid);
}

#[test]
fn a_reader_knows_at_once_that_its_stream_was_killed() {
    let service = probe(1, &[]);
    let client = client(&service);
    let pid: u32 = client.execute(APP, "pid", ()).unwrap();
    let mut stream = client.stream::<u64>(APP, "stream_slow", args![1000, 0.01]);
    assert_eq!(stream.next().unwrap().unwrap(), 0);

    support::kill(pid, libc::SIGKILL);

    let error = stream.find_map(Result::err).expect("the stream ended as if it were whole");
    assert!(matches!(error, CallError::Worker { .. }), "{error:?}");
    assert_ne!(client.execute::<u32>(APP, "pid", ()).unwrap(), pid);
}

#[test]
fn a_hanging_action_times_out_and_costs_its_worker_only() {
    let service = probe(2, &["--dirty-timeout", "1"]);
    let client = client(&service);
    let pids = worker_pids(&client);
    let start = Instant::now();
    let hang = {
        let client = client.clone();
        thread::spawn(move || (client.execute::<Value>(APP, "hang", ()), Instant::now()))
    };
    wait_until_running(&service, &client, 1);
    for i in 0..200 {
        assert_eq!(client.execute::<i64>(APP, "echo", args![i]).unwrap(), i);
    }

    let (outcome, answered) = hang.join().unwrap();
    let Err(CallError::Timeout { timeout, .. }) = outcome else { panic!("{outcome:?}") };
    assert_eq!(timeout, Some(Duration::from_secs(1)));
    assert!(answered - start >= Duration::from_millis(990), "too early: {:?}", answered - start);

    service.wait_for("the replacement of the hanging worker", || {
        let now = worker_pids(&client);
        (now.len() == 2 && now != pids).then_some(())
    });
    let survivors = worker_pids(&client).into_iter().filter(|pid| pids.contains(pid)).count();
    assert_eq!(survivors, 1, "the other worker lives on");
}

#[test]
fn a_panic_is_an_app_error_and_the_worker_lives_on() {
    let service = probe(1, &[]);
    let client = client(&service);
    let pid: u32 = client.execute(APP, "pid", ()).unwrap();

    let error = client.execute::<Value>(APP, "panic", args!["out of luck"]).unwrap_err();

    let CallError::App { app_path, action, message, traceback } = error else { panic!("{error:?}") };
    assert_eq!((app_path.as_str(), action.as_str()), (APP, "panic"));
    assert!(message.contains("out of luck"), "{message}");
    assert!(traceback.is_some_and(|trace| trace.contains("app.rs")), "the traceback names no place");
    assert_eq!(client.execute::<u32>(APP, "pid", ()).unwrap(), pid);
}

#[test]
fn init_failing_at_the_first_boot_stops_everything_with_the_reason_last() {
    let directory = tempfile::tempdir().unwrap();
    let told = directory.path().join("fail");
    std::fs::write(&told, "").unwrap();
    let flags = ["--dirty-only", "--dirty-socket", "dirty.sock", "--dirty-workers", "2"];

    let mut service = Service::start("probe", &flags, &[("BENCH_INIT_FAIL_FILE", told.to_str().unwrap())]);

    assert_eq!(service.wait().code(), Some(3));
    let last = service.wait_for("the last words", || service.log().last().cloned());
    assert!(last.contains("init told to fail"), "{:#?}", service.log());
    assert_eq!(service.leftovers(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn a_killed_router_costs_its_calls_and_nothing_else() {
    let service = probe(1, &[]);
    let client = client(&service);
    for _ in 0..3 {
        client.execute::<u64>(APP, "counter", ()).unwrap();
    }
    let waiting = {
        let client = client.clone();
        thread::spawn(move || client.execute::<Value>(APP, "sleep", args![1]))
    };
    wait_until_running(&service, &client, 1);

    service.process("router").signal(libc::SIGKILL);

    assert!(matches!(waiting.join().unwrap(), Err(CallError::Connection { .. })));
    // The same client, without being told anything. Its own connection may not have ended yet: the kernel closes those of
    // a killed process one after the other.
    let count = service.wait_for("the next router", || match client.execute::<u64>(APP, "counter", ()) {
        Ok(count) => Some(count),
        Err(CallError::Connection { .. }) => None,
        Err(other) => panic!("{other}"),
    });
    assert_eq!(count, 4, "the worker kept its state");
}

#[test]
fn a_router_killed_a_few_times_is_replaced_at_once_each_time() {
    let service = probe(1, &[]);
    for round in 1..=4 {
        let router = service.process("router");
        router.signal(libc::SIGKILL);
        service.wait_for("the next router", || {
            let next = service.processes("router").iter().any(|next| next.pid != router.pid);
            (next && client(&service).execute::<i64>(APP, "echo", args![round]).is_ok()).then_some(())
        });
    }
    let waited = service.log().into_iter().find(|line| line.contains("waiting before the next start"));
    assert_eq!(waited, None);
}

#[test]
fn short_calls_never_wait_for_a_busy_worker() {
    let service = probe(2, &[]);
    let client = client(&service);
    let start = Instant::now();
    let long = {
        let client = client.clone();
        thread::spawn(move || client.execute::<Value>(APP, "sleep", args![3]))
    };
    wait_until_running(&service, &client, 1);

    let mut slowest = Duration::ZERO;
    let mut count = 0;
    while start.elapsed() < Duration::from_secs(2) {
        let called = Instant::now();
        client.execute::<Value>(APP, "noop", ()).unwrap();
        slowest = slowest.max(called.elapsed());
        count += 1;
    }

    assert!(slowest < Duration::from_secs(1), "one of {count} short calls took {slowest:?}");
    assert_eq!(long.join().unwrap().unwrap(), value!(3));
}

#[test]
fn term_lets_running_calls_finish_and_leaves_nothing_behind() {
    let mut service = probe(3, &[]);
    let client = client(&service);
    let processes = service.descendants();
    assert!(processes.len() >= 4, "a router and three workers: {processes:#?}");
    let running = {
        let client = client.clone();
        thread::spawn(move || client.execute::<Value>(APP, "sleep", args![1]))
    };
    wait_until_running(&service, &client, 1);

    service.signal(libc::SIGTERM);

    assert_eq!(running.join().unwrap().unwrap(), value!(1));
    assert_eq!(service.wait().code(), Some(0));
    let alive: Vec<_> = processes.iter().filter(|process| process.is_alive()).collect();
    assert!(alive.is_empty(), "left behind: {alive:#?}");
    assert_eq!(service.leftovers(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn term_to_the_whole_process_group_lets_running_calls_finish_too() {
    let mut service = probe(1, &[]);
    let client = client(&service);
    let running = {
        let client = client.clone();
        thread::spawn(move || client.execute::<Value>(APP, "sleep", args![1]))
    };
    wait_until_running(&service, &client, 1);

    for process in service.descendants() {
        process.signal(libc::SIGTERM);
    }
    service.signal(libc::SIGTERM);

    assert_eq!(running.join().unwrap().unwrap(), value!(1));
    assert_eq!(service.wait().code(), Some(0));
}

#[test]
fn a_signal_to_the_process_group_lets_running_calls_finish_and_starts_nobody() {
    use std::os::unix::process::CommandExt;

    for signal in ["TERM", "INT"] {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("dirty.sock");
        let mut command = std::process::Command::new(support::example_binary("probe"));
        command.args(["--dirty-only", "--dirty-workers", "2", "--dirty-socket"]).arg(&socket);
        command.env("TMPDIR", directory.path()).stderr(std::process::Stdio::piped()).process_group(0);
        let mut service = Service::of(command, directory);
        service.wait_for("the dirty socket", || UnixStream::connect(&socket).ok());
        let client = Client::at(&socket);
        let running = {
            let client = client.clone();
            thread::spawn(move || client.execute::<Value>(APP, "sleep", args![1]))
        };
        wait_until_running(&service, &client, 1);

        let group = format!("-{}", service.pid());
        let sent = std::process::Command::new("kill").args([&format!("-{signal}"), "--", &group]).status();
        assert!(sent.unwrap().success());

        assert_eq!(running.join().unwrap().unwrap(), value!(1), "{signal}");
        assert_eq!(service.wait().code(), Some(0), "{signal}");
        let log = service.log();
        let booted = log.iter().filter(|line| line.contains("Booting dirty worker")).count();
        assert_eq!(booted, 2, "{signal}: {log:#?}");
        assert!(!log.iter().any(|line| line.contains("WARNING")), "{signal}: {log:#?}");
    }
}

#[test]
fn a_log_that_cannot_be_written_costs_the_log_only() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("dirty.sock");
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = std::process::Command::new(support::example_binary("probe"));
    command.args(["--dirty-only", "--dirty-workers", "1", "--dirty-socket"]).arg(&socket);
    command.env("TMPDIR", directory.path()).stderr(full);
    let service = Service::of(command, directory);
    service.wait_for("the dirty socket", || UnixStream::connect(&socket).ok());
    let client = Client::at(&socket);
    let pid: u32 = client.execute(APP, "pid", ()).unwrap();

    support::kill(pid, libc::SIGKILL);

    service
        .wait_for("the replacement", || client.execute::<u32>(APP, "pid", ()).ok().filter(|now| *now != pid));
}
