//! More and fewer dirty workers: by signal, or because a client asks.
//!
//! A client that asks for more hears what came of it once every new worker is ready or has failed to start, or after
//! [`PATIENCE`]; those that still start then count as started.

use std::time::{Duration, Instant};

use gunmetal_supervise::{Departure, Event, WorkerId, WorkerState};

use super::{DirtyArbiter, Phase};
use crate::link::{ManageOp, ManageReport, ToRouter};

/// A question whose new workers are not all ready.
#[derive(Debug)]
pub(super) struct Adding {
    token: u64,
    /// Workers that still start.
    starting: Vec<WorkerId>,
    started_count: u32,
    failed_count: u32,
    reason: Option<String>,
    until: Instant,
}

/// The most dirty workers there may be: a wish from outside shall not fork without end.
pub(super) const MOST_BY_SCALING: u32 = 256;

impl DirtyArbiter<'_> {
    /// SIGTTIN.
    pub(super) fn grow(&mut self) {
        let (count, most) = (self.workers.slot_count(), self.most_useful());
        if count >= most {
            let why = if most < self.most() { ALL_AT_LIMIT } else { "There may be no more workers" };
            tracing::warn!("SIGTTIN: {why} ({count} workers)");
            return;
        }
        tracing::info!("SIGTTIN: Increasing dirty workers to {}", count + 1);
        self.workers.handle(Event::Resize(count + 1));
    }

    /// SIGTTOU.
    pub(super) fn shrink(&mut self) {
        let (count, minimum) = (self.workers.slot_count(), self.config.allocation.minimum());
        if count <= minimum {
            tracing::warn!("SIGTTOU: {}", no_fewer(count, minimum));
            return;
        }
        tracing::info!("SIGTTOU: Decreasing dirty workers to {}", count - 1);
        self.workers.handle(Event::Resize(count - 1));
    }

    /// MANAGE.
    pub(super) fn manage(&mut self, token: u64, op: ManageOp, count: u64) {
        let outcome = match (self.phase, op) {
            (Phase::Running, ManageOp::Add) => self.add(token, count),
            (Phase::Running, ManageOp::Remove) => Some(Ok(self.remove(count))),
            (_, _) => Some(Err("the dirty arbiter is stopping".to_owned())),
        };
        if let Some(outcome) = outcome {
            self.tell_router(Some(ToRouter::ManageDone { token, outcome }));
        }
    }

    /// Starts workers. The answer, unless it takes until they are ready.
    fn add(&mut self, token: u64, count: u64) -> Option<Result<ManageReport, String>> {
        let (from, most) = (self.workers.slot_count(), self.most());
        let wanted = from.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
        let target = wanted.min(self.most_useful()).max(from);
        if wanted > most && target == most {
            // Nobody means that many: a few of them would not help.
            return Some(Err(format!(
                "cannot add {count} workers: there may be {most} at most, and there are {from}"
            )));
        }
        let reason = (target < wanted).then(|| ALL_AT_LIMIT.to_owned());
        if target == from {
            return Some(Ok(self.report(0, reason)));
        }
        let before: Vec<u32> = self.workers.pool().slots().collect();
        self.workers.handle(Event::Resize(target));
        let starting = self.workers_that_are(WorkerState::Starting);
        let starting = starting.filter(|worker| {
            !before.contains(&worker.slot) && self.workers.pool().slots().any(|slot| slot == worker.slot)
        });
        let starting: Vec<WorkerId> = starting.collect();
        tracing::info!("Worker management: add {count} workers (spawned: {})", starting.len());
        let until = Instant::now() + PATIENCE;
        self.adding.push(Adding { token, starting, started_count: 0, failed_count: 0, reason, until });
        None
    }

    fn remove(&mut self, count: u64) -> ManageReport {
        let (from, minimum) = (self.workers.slot_count(), self.config.allocation.minimum());
        let target = from.saturating_sub(u32::try_from(count).unwrap_or(u32::MAX)).max(minimum.min(from));
        if target < from {
            self.workers.handle(Event::Resize(target));
        }
        let changed = from.saturating_sub(self.workers.slot_count());
        tracing::info!("Worker management: remove {count} workers (removed: {changed})");
        self.report(changed, (u64::from(changed) < count).then(|| no_fewer(from, minimum)))
    }

    /// What a router is told of apps as long as there are no workers at all: `dirty_workers = 0`.
    pub(super) fn without_workers(&self) -> impl Iterator<Item = ToRouter> {
        let none_at_all = self.workers.slot_count() == 0;
        self.loadable_apps().filter(move |_| none_at_all).map(|path| ToRouter::AppUnavailable {
            path: path.to_owned(),
            reason: "there are no dirty workers".to_owned(),
        })
    }

    /// Calls wait from now on.
    pub(super) fn first_worker_comes(&mut self) {
        let pending = self.loadable_apps().map(|path| ToRouter::AppPending { path: path.to_owned() });
        for message in pending.collect::<Vec<_>>() {
            self.tell_router(Some(message));
        }
    }

    fn loadable_apps(&self) -> impl Iterator<Item = &str> {
        let apps = self.config.allocation.apps().iter();
        apps.filter(|app| app.limit != Some(0)).map(|app| app.path.as_str())
    }

    /// A worker that was added, perhaps, is ready.
    pub(super) fn added(&mut self, worker: WorkerId) {
        for adding in &mut self.adding {
            if adding.drop_starting(worker) {
                adding.started_count += 1;
            }
        }
    }

    /// A worker that was added, perhaps, is gone.
    pub(super) fn not_added(&mut self, worker: WorkerId, departure: &Departure) {
        for adding in &mut self.adding {
            if adding.drop_starting(worker) {
                adding.failed_count += 1;
                let reason = match departure {
                    Departure::StartupFailed(_) | Departure::NotSpawned(_) => departure.to_string(),
                    other => format!("removed before it was ready ({other})"),
                };
                adding.reason.get_or_insert_with(|| format!("a new worker {reason}"));
            }
        }
    }

    /// Answers the questions that need not wait any longer.
    pub(super) fn answer_adding(&mut self) {
        for adding in &mut self.adding {
            // Its spawn was taken back before anybody saw it.
            let unseen =
                adding.starting.extract_if(.., |worker| self.workers.pool().worker_state(*worker).is_none());
            adding.failed_count += u32::try_from(unseen.count()).unwrap_or(u32::MAX);
        }
        let (now, running) = (Instant::now(), self.phase == Phase::Running);
        let (done, waiting) = std::mem::take(&mut self.adding)
            .into_iter()
            .partition(|adding| adding.starting.is_empty() || now >= adding.until || !running);
        self.adding = waiting;
        for adding in done {
            let starting = u32::try_from(adding.starting.len()).unwrap_or(u32::MAX);
            let report = ManageReport {
                failed: adding.failed_count,
                starting,
                ..self.report(adding.started_count + starting, adding.reason)
            };
            self.tell_router(Some(ToRouter::ManageDone { token: adding.token, outcome: Ok(report) }));
        }
    }

    /// When [`answer_adding`](Self::answer_adding) has something to do.
    pub(super) fn adding_deadline(&self) -> Option<Instant> {
        self.adding.iter().map(|adding| adding.until).min()
    }

    fn report(&self, changed: u32, reason: Option<String>) -> ManageReport {
        let total =
            self.workers.pool().workers().filter(|(_, state)| *state != WorkerState::Stopping).count();
        ManageReport {
            changed,
            failed: 0,
            starting: 0,
            reason,
            total_workers: u32::try_from(total).unwrap_or(u32::MAX),
            target_workers: self.workers.slot_count(),
        }
    }

    /// The most workers there may be, the configuration's word being good for any number.
    fn most(&self) -> u32 {
        MOST_BY_SCALING.max(self.config.workers)
    }

    /// The most workers that would have an app to serve.
    fn most_useful(&self) -> u32 {
        self.config.allocation.most_useful().unwrap_or(u32::MAX).min(self.most())
    }
}

impl Adding {
    fn drop_starting(&mut self, worker: WorkerId) -> bool {
        let before = self.starting.len();
        self.starting.retain(|starting| *starting != worker);
        self.starting.len() < before
    }
}

/// Why `count` workers cannot become fewer, in gunicorn's words.
fn no_fewer(count: u32, minimum: u32) -> String {
    match count {
        0 => "There are no workers".to_owned(),
        _ => format!("Cannot decrease below {minimum} workers (required by app specs)"),
    }
}

/// gunicorn's words.
const ALL_AT_LIMIT: &str = "All apps have reached their worker limits";

/// How long a client waits for new workers to be ready: half of what gunicorn's own tool waits for an answer.
const PATIENCE: Duration = Duration::from_secs(5);
