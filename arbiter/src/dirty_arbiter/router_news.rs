//! What the router tells the dirty arbiter.

use gunmetal_supervise::{Event, Signal, WorkerState};

use super::{DirtyArbiter, Link, Phase};
use crate::crew::Watch;
use crate::link::{ConfiguredApp, FromRouter, ToRouter};

impl DirtyArbiter<'_> {
    pub(super) fn read_link(&mut self) {
        let Some(link) = self.link.open() else { return };
        match link.receive() {
            Ok(messages) => {
                for message in messages {
                    self.handle_router(message);
                }
            }
            Err(error) => {
                tracing::debug!(%error, "router link lost");
                self.link = Link::Down;
                // One that was told to end is doing so. Any other has ended already, or cannot be told anything more.
                if self.phase == Phase::Running {
                    self.router.signal_all(Signal::SIGKILL);
                }
            }
        }
    }

    fn handle_router(&mut self, message: FromRouter) {
        match message {
            FromRouter::Ready => self.router_ready(),
            FromRouter::Condemn { worker, reason } => {
                // It may have ended since, and the way in which it did says more.
                self.workers.news(Watch::Exit(worker));
                if self.workers.pool().worker_state(worker).is_some() {
                    tracing::warn!(%worker, reason, "dirty worker condemned");
                    self.workers.handle(Event::Condemn(worker, reason));
                }
            }
            FromRouter::Served { worker, calls } => {
                self.workers.handle(Event::Recycle(worker, format!("it has answered {calls} calls")));
            }
            FromRouter::Drained { worker } => self.workers.handle(Event::Drained(worker)),
            FromRouter::Status { token } => {
                let workers = self.worker_reports();
                self.tell_router(Some(ToRouter::Status { token, workers }));
            }
            FromRouter::Manage { token, op, count } => self.manage(token, op, count),
        }
    }

    /// Tells a new router everything there is to know.
    fn router_ready(&mut self) {
        let (router, link) = match std::mem::replace(&mut self.link, Link::Down) {
            Link::Starting(router, link) => (router, link),
            other => {
                self.link = other;
                return;
            }
        };
        self.link = Link::Up(link);
        let stashes = ToRouter::Stashes(self.declared_stashes());
        let configured = |app: &crate::AppLimit| ConfiguredApp { path: app.path.clone(), limit: app.limit };
        let apps = self.config.allocation.apps().iter().map(configured).collect();
        let unavailable = self.availability.unavailable().map(|(path, reason)| ToRouter::AppUnavailable {
            path: path.to_owned(),
            reason: reason.to_owned(),
        });
        let ups = self.workers_that_are(WorkerState::Serving).filter_map(|worker| self.worker_up(worker));
        let messages: Vec<ToRouter> = [stashes, ToRouter::Apps(apps)]
            .into_iter()
            .chain(unavailable)
            .chain(self.without_workers())
            .chain(ups)
            .collect();
        for message in messages {
            self.tell_router(Some(message));
        }
        self.router.handle(Event::Ready(router));
    }

    /// The stash tables that the apps declare, each once.
    fn declared_stashes(&self) -> Vec<String> {
        let mut names = Vec::new();
        for app in self.config.allocation.apps() {
            let declared = self.config.registry.get(&app.path).map_or(&[][..], |factory| factory.stashes());
            for &name in declared {
                if !names.iter().any(|known| known == name) {
                    names.push(name.to_owned());
                }
            }
        }
        names
    }
}
