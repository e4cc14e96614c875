//! The load comes from the clients of the real gunicorn package, in processes of their own.

use std::collections::BTreeMap;
use std::process::{Child, Stdio};

use serde::Deserialize;

use crate::duration;
use crate::support::Service;
use crate::support::python::{python_command, scripts};
use crate::unrest::Restless;

/// What `load.py` has to tell.
#[derive(Debug, Deserialize)]
struct Outcome {
    calls: u64,
    chunks: u64,
    stash: u64,
    errors: BTreeMap<String, u64>,
}

/// The blocking clients, of calls and of the stash.
#[test]
fn hup_ttin_and_ttou_lose_nothing_of_gunicorns_blocking_clients() {
    let restless = Restless::start(&[]);
    let load = load(&restless.service, &["--processes", "3", "--threads", "4", "--stash"]);
    restless.signals(duration());
    let outcome = outcome(load);
    assert!(outcome.errors.is_empty(), "{outcome:#?}");
    assert!(outcome.calls > 100 && outcome.chunks > 100 && outcome.stash > 100, "{outcome:#?}");
    restless.ends_without_traces(64 << 10);
}

/// The same while workers are recycled all the time as well.
#[test]
fn recycled_workers_lose_nothing_of_gunicorns_clients() {
    let restless = Restless::start(&["--dirty-max-requests", "100", "--dirty-max-requests-jitter", "50"]);
    let load = load(&restless.service, &["--processes", "2", "--threads", "4", "--tasks", "20", "--stash"]);
    restless.signals(duration());
    let outcome = outcome(load);
    assert!(outcome.errors.is_empty(), "{outcome:#?}");
    assert!(outcome.calls > 100 && outcome.chunks > 100 && outcome.stash > 100, "{outcome:#?}");
    assert!(restless.recycled_count() > 10, "only {} recycled", restless.recycled_count());
    restless.ends_without_traces(64 << 10);
}

/// The async client, several hundred of it.
#[test]
fn hup_ttin_and_ttou_lose_nothing_of_hundreds_of_gunicorns_async_clients() {
    let restless = Restless::start(&["--dirty-threads", "2"]);
    let load = load(&restless.service, &["--processes", "2", "--threads", "0", "--tasks", "200"]);
    restless.signals(duration());
    let outcome = outcome(load);
    assert!(outcome.errors.is_empty(), "{outcome:#?}");
    assert!(outcome.calls > 1000 && outcome.chunks > 100, "{outcome:#?}");
    restless.ends_without_traces(48 << 10);
}

/// Whatever fails had been given to a worker that was killed.
#[test]
fn killed_workers_cost_gunicorns_clients_only_the_calls_that_they_had() {
    let restless = Restless::start(&[]);
    let load = load(&restless.service, &["--processes", "3", "--threads", "4", "--stash"]);
    let killed = restless.kills(duration());
    let outcome = outcome(load);
    for error in outcome.errors.keys() {
        let of_killed =
            killed.iter().any(|pid| error.contains(&format!("Worker {pid} was killed by signal 9")));
        assert!(error.starts_with("call: DirtyWorkerError: ") && of_killed, "{error}\nkilled: {killed:?}");
    }
    let failed: u64 = outcome.errors.values().sum();
    assert!(failed <= 12 * killed.len() as u64, "{failed} calls for {} kills", killed.len());
    assert!(outcome.calls > 100 && outcome.stash > 100, "{outcome:#?}");
    restless.ends_without_traces(64 << 10);
}

fn load(service: &Service, flags: &[&str]) -> Child {
    let mut command = python_command();
    command.arg(scripts().join("load.py")).arg("--socket").arg(service.socket()).args(flags);
    command.args(["--seconds", &duration().as_secs_f64().to_string()]);
    command.stdout(Stdio::piped()).stdin(Stdio::null()).spawn().unwrap()
}

fn outcome(load: Child) -> Outcome {
    let output = load.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let outcome = serde_json::from_slice(&output.stdout).unwrap();
    println!("{outcome:?}");
    outcome
}
