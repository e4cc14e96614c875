//! Processes that have stopped without having ended.

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod support;

use std::thread;
use std::time::Duration;

use gunmetal::{Value, args};
use libc::{SIGCONT, SIGKILL, SIGSTOP};
use support::probe::{APP, client, probe, worker_pids};

#[test]
fn a_stopped_router_is_replaced_and_the_workers_keep_their_state() {
    let service = probe(1, &["--dirty-timeout", "5"]);
    let counted: i64 = client(&service).execute(APP, "counter", ()).unwrap();
    let router = service.process("router");
    router.signal(SIGSTOP);
    // Its heartbeat is every 2.5 s, and it is given up after 10.
    service.wait_for("another router", || {
        service.processes("router").iter().any(|other| other.pid != router.pid).then_some(())
    });
    assert_eq!(client(&service).execute::<i64>(APP, "counter", ()).unwrap(), counted + 1);
    service.wait_for("the end of the first one", || router.is_reaped().then_some(()));
}

#[test]
fn a_service_that_was_stopped_as_a_whole_goes_on_as_if_nothing_had_been() {
    let service = probe(2, &["--dirty-timeout", "2"]);
    let client = client(&service);
    client.stash().put("table", "key", 1).unwrap();
    let (workers, router) = (worker_pids(&client), service.process("router"));
    let others = service.descendants();
    service.signal(SIGSTOP);
    others.iter().for_each(|process| process.signal(SIGSTOP));
    // Longer than all heartbeats are apart, and than the silence after which somebody is taken for dead.
    thread::sleep(Duration::from_secs(12));
    // Whoever judges the others is the first to wake up.
    service.signal(SIGCONT);
    thread::sleep(Duration::from_millis(200));
    others.iter().for_each(|process| process.signal(SIGCONT));
    assert_eq!(client.execute::<f64>(APP, "sleep", args![1.0]).unwrap(), 1.0);
    client.execute::<Value>(APP, "noop", ()).unwrap();
    assert_eq!(worker_pids(&client), workers);
    assert!(router.is_alive());
    assert_eq!(client.stash().get::<i64>("table", "key").unwrap(), Some(1));
    assert!(!service.log().iter().any(|line| line.contains("no heartbeat")), "{:#?}", service.log());
}

#[test]
fn a_worker_that_dies_while_the_dirty_arbiter_is_stopped_is_said_to_have_died() {
    let service = probe(2, &["--dirty-threads", "3"]);
    let client = client(&service);
    let before = worker_pids(&client);
    let victim = service.process("dirty worker 0");
    service.signal(SIGSTOP);
    victim.signal(SIGKILL);
    // Longer than a thread has to take up a new connection.
    thread::sleep(Duration::from_millis(1500));
    client.execute::<Value>(APP, "noop", ()).unwrap();
    service.signal(SIGCONT);
    service.wait_for("the replacement", || {
        let now = worker_pids(&client);
        (now.len() == 2 && now != before).then_some(())
    });
    let log = service.log();
    let lines = |words: &str| log.iter().filter(|line| line.contains(words)).count();
    assert_eq!(lines("condemned") + lines("did not come back") + lines("SIGABRT"), 0, "{log:#?}");
    assert!(lines("cannot connect to a worker") <= 1, "{log:#?}");
    let pid = format!("(pid: {})", victim.pid);
    assert!(log.iter().any(|line| line.contains(&pid) && line.contains("SIGKILL")), "{log:#?}");
}
