//! What the dirty arbiter knows of its workers, for the STATUS that the router answers.

use gunmetal_supervise::{WorkerId, WorkerState};

use super::DirtyArbiter;
use crate::crew::Member;
use crate::link::WorkerReport;

impl DirtyArbiter<'_> {
    /// Every worker that has a process.
    pub(super) fn worker_reports(&self) -> Vec<WorkerReport> {
        let workers = self.workers.pool().workers();
        workers.filter_map(|(worker, state)| self.worker_report(worker, state)).collect()
    }

    fn worker_report(&self, worker: WorkerId, state: WorkerState) -> Option<WorkerReport> {
        let member = self.workers.member(worker)?;
        Some(WorkerReport {
            worker,
            pid: u32::try_from(member.pid().as_raw()).unwrap_or_default(),
            age: member.age(),
            apps: self.config.allocation.apps_of(worker.slot).map(str::to_owned).collect(),
            state,
            booted: member.is_booted(),
            heartbeat_age: self.heartbeat_age(member),
        })
    }

    /// Seconds since the worker touched its heartbeat, rounded as gunicorn's; nothing if it is not asked to.
    fn heartbeat_age(&self, member: &Member) -> Option<f64> {
        self.config.timeout?;
        let age = member.heartbeat_age()?.as_secs_f64();
        Some((age * 100.0).round() / 100.0)
    }
}
