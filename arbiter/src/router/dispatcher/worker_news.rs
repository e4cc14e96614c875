//! News from the parent: which apps there are, which workers come and go.

use std::time::Instant;

use gunmetal_supervise::WorkerId;

use super::app::{App, Service};
use super::deadlines::NEWS_GRACE;
use super::worker::{Worker, WorkerState};
use super::{Dispatcher, Failure};
use crate::link::{ConfiguredApp, WorkerUp};

impl Dispatcher {
    /// These are the configured apps, and no others.
    pub(crate) fn configure(&mut self, configured: &[ConfiguredApp]) {
        let mut kept = vec![false; self.apps.len()];
        for app in configured {
            let service = match app.limit {
                Some(0) => Service::Unavailable("its limit is 0 workers".to_owned()),
                Some(_) | None => Service::Offered,
            };
            let index = self.app_index(&app.path);
            kept.resize(self.apps.len(), false);
            kept[index] = true;
            self.set_service(index, service);
        }
        for (index, _) in kept.iter().enumerate().filter(|(_, kept)| !**kept) {
            self.set_service(index, Service::NotConfigured);
        }
    }

    /// Nothing can serve the app for now.
    pub(crate) fn app_unavailable(&mut self, path: &str, reason: String) {
        if let Some(index) = self.configured_index(path) {
            self.set_service(index, Service::Unavailable(reason));
        }
    }

    /// A worker that will hold the app is being started.
    pub(crate) fn app_pending(&mut self, path: &str) {
        if let Some(index) = self.configured_index(path) {
            self.set_service(index, Service::Offered);
        }
    }

    /// A worker is ready.
    pub(crate) fn worker_up(&mut self, up: &WorkerUp, now: Instant) {
        if self.worker_index(up.worker).is_some() {
            return;
        }
        let apps: Vec<_> = up.apps.iter().map(|path| self.app_index(path)).collect();
        for &app in apps
            .iter()
            .filter(|&&app| matches!(self.apps[app].service, Service::Unavailable(_)))
            .collect::<Vec<_>>()
        {
            self.set_service(app, Service::Offered);
        }
        let worker = Worker {
            id: up.worker,
            pid: up.pid,
            age: up.age,
            apps,
            since: now,
            state: WorkerState::Up,
            is_refusing: false,
            answered_count: 0,
            max_calls: up.max_calls,
        };
        let index = self.workers.iter().position(Option::is_none).unwrap_or(self.workers.len());
        if index == self.workers.len() {
            self.workers.push(None);
        }
        self.workers[index] = Some(worker);
        for _ in 0..up.threads {
            self.open(index, now);
        }
    }

    /// The worker is to be given nothing new.
    pub(crate) fn worker_stopping(&mut self, id: WorkerId) {
        if let Some(index) = self.worker_index(id)
            && let Some(worker) = &mut self.workers[index]
        {
            match worker.state {
                // One that was condemned before, and may have drained: said again, so that nobody waits for it.
                WorkerState::Up | WorkerState::Leaving { .. } => {
                    worker.state = WorkerState::Leaving { drained: false };
                }
                WorkerState::Gone { .. } => {}
            }
            self.check_drained(index);
        }
    }

    /// The worker's process has ended, in this way.
    pub(crate) fn worker_gone(&mut self, id: WorkerId, cause: String, now: Instant) {
        let Some(worker_index) = self.worker_index(id) else { return };
        if let Some(worker) = &mut self.workers[worker_index] {
            worker.state = WorkerState::Gone { cause };
        }
        for index in 0..self.lanes.len() {
            if self.lanes[index].as_ref().is_some_and(|lane| lane.worker == worker_index) {
                self.end_of_process(index, now + NEWS_GRACE, now);
            }
        }
        self.drop_worker_without_lanes(worker_index);
    }

    /// Why calls for this app are not served.
    pub(super) fn refusal(&self, app: usize) -> Failure {
        let app_path = self.apps[app].path.to_string();
        match &self.apps[app].service {
            Service::Unavailable(reason) => Failure::AppUnavailable { app_path, reason: reason.clone() },
            Service::NotConfigured | Service::Offered => self.not_configured(&app_path),
        }
    }

    pub(super) fn not_configured(&self, app_path: &str) -> Failure {
        let configured = self.configured().map(str::to_owned).collect();
        Failure::AppNotConfigured { app_path: app_path.to_owned(), configured }
    }

    fn set_service(&mut self, app: usize, service: Service) {
        self.apps[app].service = service;
        if self.apps[app].service != Service::Offered && !self.apps[app].queue.is_empty() {
            let failure = self.refusal(app);
            self.fail_waiting(app, &failure);
        }
    }

    fn configured_index(&self, path: &str) -> Option<usize> {
        let &index = self.app_by_path.get(path)?;
        (self.apps[index].service != Service::NotConfigured).then_some(index)
    }

    /// The place of an app, given on first sight. Paths come from the parent, not from clients.
    fn app_index(&mut self, path: &str) -> usize {
        if let Some(&index) = self.app_by_path.get(path) {
            return index;
        }
        self.apps.push(App::new(path, Service::NotConfigured));
        self.app_by_path.insert(path.into(), self.apps.len() - 1);
        self.apps.len() - 1
    }

    fn worker_index(&self, id: WorkerId) -> Option<usize> {
        self.workers.iter().position(|worker| worker.as_ref().is_some_and(|worker| worker.id == id))
    }
}
