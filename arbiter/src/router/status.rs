//! What the router answers by itself: STATUS, and the result of MANAGE. gunicorn's dictionaries, and ours in addition.

use std::time::Instant;

use gunmetal_protocol::{List, Value, value};

use super::dispatcher::Dispatcher;
use crate::link::{ManageOp, ManageReport};

/// The result of STATUS.
pub(crate) fn status(dispatcher: &Dispatcher, server: &str, now: Instant) -> Value {
    let workers: Vec<Value> = dispatcher
        .workers()
        .into_iter()
        .map(|worker| {
            let apps: Vec<Value> = worker.apps.iter().map(|&path| path.into()).collect();
            let uptime = now.saturating_duration_since(worker.since).as_secs_f64();
            value!({
                "pid": i64::from(worker.pid),
                "age": count(worker.age),
                "apps": apps,
                "booted": true,
                // The heartbeats are the parent's business; gunicorn says None too where it can't tell.
                "last_heartbeat": null,
                "uptime": uptime,
                "calls": count(worker.answered_count),
                "running": count(worker.running_count as u64),
            })
        })
        .collect();
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

/// The result of MANAGE.
pub(crate) fn manage_result(op: ManageOp, requested: u32, report: &ManageReport) -> Value {
    let (operation, changed) = match op {
        ManageOp::Add => ("add", "spawned"),
        ManageOp::Remove => ("remove", "removed"),
    };
    let mut result = gunmetal_protocol::Dict::new();
    result.insert("success", true);
    result.insert("operation", operation);
    result.insert("requested", i64::from(requested));
    result.insert(changed, i64::from(report.changed));
    if let Some(reason) = &report.reason {
        result.insert("reason", reason.as_str());
    }
    result.insert("total_workers", i64::from(report.total_workers));
    result.insert("target_workers", i64::from(report.target_workers));
    Value::Dict(result)
}

fn count(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
