//! Which dirty worker holds which apps, in a running service.

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod support;

use std::collections::BTreeSet;

use gunmetal::Value;
use gunmetal::blocking::Client;
use gunmetal::client::CallError;
use libc::{SIGKILL, SIGTTIN};
use support::Service;
use support::probe::{APP, client, worker_pids};

const LIMITED: &str = "bench_app:LimitedApp";
const ATTR_LIMITED: &str = "bench_app:AttrLimitedApp";

fn probe(apps: &[&str], workers: usize, ready: usize) -> (Service, Client) {
    let count = workers.to_string();
    let mut flags = vec!["--dirty-workers", &count];
    apps.iter().for_each(|app| flags.extend(["--dirty-app", app]));
    let service = Service::probe(&flags, &[]);
    let client = client(&service);
    service.wait_for("the workers", || (worker_pids(&client).len() == ready).then_some(()));
    (service, client)
}

fn apps(client: &Client) -> Vec<Vec<String>> {
    client.status().unwrap().workers.into_iter().map(|worker| worker.apps).collect()
}

/// The pids that answer calls to `app`.
fn who_answers(client: &Client, app: &str) -> BTreeSet<i64> {
    (0..40).map(|_| client.execute::<i64>(app, "pid", ()).unwrap()).collect()
}

fn refusal(client: &Client, app: &str) -> String {
    match client.execute::<Value>(app, "noop", ()).unwrap_err() {
        CallError::NoWorkersAvailable { message, .. } => message,
        other => panic!("{other:?}"),
    }
}

#[test]
fn apps_are_distributed_as_in_gunicorns_example() {
    let (_service, client) = probe(&[APP, ATTR_LIMITED, "bench_app:LimitedApp:1"], 4, 4);
    let expected: [&[&str]; 4] = [&[APP, ATTR_LIMITED, LIMITED], &[APP, ATTR_LIMITED], &[APP], &[APP]];
    assert_eq!(apps(&client), expected);
    let pids = worker_pids(&client);
    assert!(who_answers(&client, ATTR_LIMITED).iter().all(|pid| pids[..2].contains(pid)));
    assert_eq!(who_answers(&client, LIMITED), [pids[0]].into());
}

#[test]
fn the_configured_limit_overrides_the_apps_own() {
    let (_service, client) = probe(&[APP, "bench_app:AttrLimitedApp:3"], 4, 4);
    let having = apps(&client).iter().filter(|apps| apps.iter().any(|app| app == ATTR_LIMITED)).count();
    assert_eq!(having, 3);
}

#[test]
fn a_replacement_has_the_apps_of_the_worker_it_replaces() {
    let (service, client) = probe(&[APP, ATTR_LIMITED, "bench_app:LimitedApp:1"], 3, 3);
    let pids = worker_pids(&client);
    support::kill(u32::try_from(pids[1]).unwrap(), SIGKILL);
    let replacement = service.wait_for("the replacement", || {
        let workers = client.status().unwrap().workers;
        let new = workers.into_iter().find(|worker| worker.booted && !pids.contains(&worker.pid))?;
        Some(new.apps)
    });
    assert_eq!(replacement, [APP, ATTR_LIMITED]);
    assert_eq!(worker_pids(&client).iter().filter(|pid| pids.contains(pid)).count(), 2);
}

#[test]
fn an_app_that_asks_for_more_workers_than_there_are_is_named_at_the_start() {
    let (service, client) = probe(&[APP, "bench_app:LimitedApp:5"], 2, 2);
    let words = "bench_app:LimitedApp asks for 5 workers, but there are only 2: it will live in 2";
    assert!(service.log().iter().any(|line| line.contains("WARN") && line.contains(words)), "{words}");
    assert_eq!(apps(&client), [[APP, LIMITED], [APP, LIMITED]]);
}

#[test]
fn an_app_with_limit_0_is_refused_at_once() {
    let (_service, client) = probe(&[APP, "bench_app:LimitedApp:0"], 1, 1);
    assert!(refusal(&client, LIMITED).contains(LIMITED));
    client.execute::<Value>(APP, "noop", ()).unwrap();
}

#[test]
fn without_dirty_workers_calls_are_refused_at_once_until_there_is_one() {
    let (service, client) = probe(&[APP, "bench_app:LimitedApp:0"], 0, 0);
    let words = service.wait_for("the router", || {
        client.execute::<Value>(APP, "noop", ()).err().map(|error| error.to_string())
    });
    assert!(words.contains("there are no dirty workers"), "{words}");
    service.signal(SIGTTIN);
    service.wait_for("the first worker", || client.execute::<Value>(APP, "noop", ()).ok());
    refusal(&client, LIMITED);
}
