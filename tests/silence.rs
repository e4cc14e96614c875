//! Processes that have stopped without having ended.

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod support;

use std::thread;
use std::time::Duration;

use gunmetal::{Value, args};
use libc::{SIGCONT, SIGSTOP};
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
