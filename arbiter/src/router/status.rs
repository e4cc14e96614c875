//! The results of STATUS and MANAGE: gunicorn's dictionaries, and ours in addition.

use std::time::Instant;

use gunmetal_protocol::{Dict, List, Value, value};
use gunmetal_supervise::WorkerState;

use super::dispatcher::{Dispatcher, WorkerView};
use crate::link::{ManageOp, ManageReport, WorkerReport};

/// The result of STATUS. Without `reports` from the parent it has only workers that are or were ready, and no heartbeats.
pub(crate) fn status(
    dispatcher: &Dispatcher,
    reports: Option<&[WorkerReport]>,
    server: &str,
    now: Instant,
) -> Value {
    let views = dispatcher.workers();
    let mut workers: Vec<(u64, Value)> = match reports {
        Some(reports) => reports
            .iter()
            .map(|report| {
                let view = views.iter().find(|view| view.worker == report.worker);
                (report.age, Value::Dict(reported_worker(report, view, now)))
            })
            .collect(),
        None => views.iter().map(|view| (view.age, Value::Dict(known_worker(view, now)))).collect(),
    };
    workers.sort_by_key(|(age, _)| *age);
    let workers: Vec<Value> = workers.into_iter().map(|(_, worker)| worker).collect();
    let worker_count = count(workers.len() as u64);
    let apps: Vec<Value> = dispatcher.configured().map(Value::from).collect();
    value!({
        // The dirty arbiter is the router's parent; its pid is the one that an operator signals.
        "arbiter_pid": i64::from(std::os::unix::process::parent_id()),
        "workers": (List::from(workers)),
        "worker_count": worker_count,
        "apps": apps,
        "server": server,
        "extensions": ["cancel", "multiplex", "stash-scan"],
    })
}

/// A worker as the parent sees it, and the router, if that has met it.
fn reported_worker(report: &WorkerReport, view: Option<&WorkerView<'_>>, now: Instant) -> Dict {
    let apps: Vec<Value> = report.apps.iter().map(|path| path.as_str().into()).collect();
    let state = match report.state {
        WorkerState::Starting => "starting",
        WorkerState::Standby => "standby",
        WorkerState::Serving => "serving",
        WorkerState::Draining => "draining",
        WorkerState::Stopping => "stopping",
    };
    let mut worker = Dict::new();
    worker.insert("pid", i64::from(report.pid));
    worker.insert("age", count(report.age));
    worker.insert("apps", apps);
    worker.insert("booted", report.booted);
    worker.insert("last_heartbeat", report.heartbeat_age.map_or(Value::None, Value::from));
    worker.insert("state", state);
    insert_traffic(&mut worker, view, now);
    worker
}

/// A worker as the router sees it.
fn known_worker(view: &WorkerView<'_>, now: Instant) -> Dict {
    let apps: Vec<Value> = view.apps.iter().map(|&path| path.into()).collect();
    let mut worker = Dict::new();
    worker.insert("pid", i64::from(view.pid));
    worker.insert("age", count(view.age));
    worker.insert("apps", apps);
    worker.insert("booted", true);
    // gunicorn says None too where it can't tell.
    worker.insert("last_heartbeat", Value::None);
    worker.insert("state", if view.is_leaving { "draining" } else { "serving" });
    insert_traffic(&mut worker, Some(view), now);
    worker
}

fn insert_traffic(worker: &mut Dict, view: Option<&WorkerView<'_>>, now: Instant) {
    let uptime = view.map(|view| now.saturating_duration_since(view.since).as_secs_f64());
    worker.insert("uptime", uptime.map_or(Value::None, Value::from));
    worker.insert("calls", count(view.map_or(0, |view| view.answered_count)));
    worker.insert("running", count(view.map_or(0, |view| view.running_count as u64)));
}

/// The result of MANAGE.
pub(crate) fn manage_result(op: ManageOp, requested: u64, report: &ManageReport) -> Value {
    let (operation, changed) = match op {
        ManageOp::Add => ("add", "spawned"),
        ManageOp::Remove => ("remove", "removed"),
    };
    let mut result = Dict::new();
    result.insert("success", report.failed == 0);
    result.insert("operation", operation);
    result.insert("requested", count(requested));
    result.insert(changed, i64::from(report.changed));
    if let Some(reason) = &report.reason {
        result.insert("reason", reason.as_str());
    }
    result.insert("total_workers", i64::from(report.total_workers));
    result.insert("target_workers", i64::from(report.target_workers));
    if op == ManageOp::Add {
        result.insert("starting", i64::from(report.starting));
        result.insert("failed", i64::from(report.failed));
    }
    Value::Dict(result)
}

fn count(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
