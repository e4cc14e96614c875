//! What the dirty arbiter does for its two pools.

use std::path::Path;

use gunmetal_supervise::{
    Action, Departure, Event, ExitStatus, Signal, StartupFailure, StopMode, WorkerId, WorkerState,
};

use super::adoption::note_slot_count;
use super::worker_files::{Duty, WorkerFiles};
use super::worker_lifeline::Service;
use super::{DirtyArbiter, Link, router_process, worker_process};
use crate::crew::Member;
use crate::link::{ToRouter, WorkerUp};
use crate::{DirtyWorker, DirtyWorkerExit, ServiceError, hooks, report};

impl DirtyArbiter<'_> {
    /// Does what the pools ask for, until they ask for nothing more.
    pub(super) fn perform(&mut self) {
        loop {
            if let Some(action) = self.next_router_action() {
                self.perform_router(action);
            } else if let Some(action) = self.workers.next_action(|_, signal| Some(for_worker(signal))) {
                self.perform_worker(action);
            } else {
                return;
            }
        }
    }

    /// A router that listens to its link is stopped through it: it has calls to finish.
    fn next_router_action(&mut self) -> Option<Action> {
        let link = &mut self.link;
        self.router.next_action(|_, signal| match (signal, &mut *link) {
            (Signal::SIGTERM, Link::Up(link)) => {
                link.send(&ToRouter::DrainAll);
                None
            }
            (Signal::SIGINT, Link::Up(link)) => {
                link.send(&ToRouter::Stop);
                None
            }
            // It hears no signal, and has no calls yet.
            (_, _) => Some(Signal::SIGKILL),
        })
    }

    fn perform_router(&mut self, action: Action) {
        match action {
            Action::Spawn(router) => {
                let age = self.router.next_age();
                let outcome =
                    router_process::spawn(age, self.config, &self.socket.listener).map(|(member, link)| {
                        self.link = Link::Starting(router, link);
                        member
                    });
                if let Some(pid) = self.router.spawned(router, outcome) {
                    tracing::info!("Booting router with pid: {pid}");
                }
            }
            Action::Drain(router) => self.router.handle(Event::Drained(router)),
            Action::Gone { worker: router, departure, status } => {
                self.router_gone(router, &departure, status)
            }
            Action::Booted => {
                self.booted.router = true;
                self.say_ready();
            }
            Action::GiveUp(failure) => self.give_up("router", &failure),
            Action::PoolStopped => self.router_stopped(),
            action => report::action("router", &action),
        }
    }

    fn router_gone(&mut self, router: WorkerId, departure: &Departure, status: Option<ExitStatus>) {
        let member = self.router.forget(router);
        report::gone("Router", router, member.as_ref(), departure, status);
        self.link = Link::Down;
        // Nobody is left who could be answered.
        self.adding.clear();
        // Nobody is left who could say that these have nothing to do, and nobody who could give them anything.
        let draining: Vec<WorkerId> = self.workers_that_are(WorkerState::Draining).collect();
        for worker in draining {
            self.workers.handle(Event::Drained(worker));
        }
    }

    fn perform_worker(&mut self, action: Action) {
        match action {
            Action::Spawn(worker) => {
                let age = self.workers.next_age();
                let (files, service) = (self.files(worker), self.service());
                let outcome = worker_process::spawn(worker, age, self.config, &files, service);
                if let Some(pid) = self.workers.spawned(worker, outcome) {
                    let apps: Vec<&str> = self.config.allocation.apps_of(worker.slot).collect();
                    tracing::info!("Booting dirty worker with pid: {pid} ({})", apps.join(", "));
                }
            }
            Action::Serve(worker) => {
                self.files(worker).note(Duty::Serving);
                self.availability.serves(worker.slot, &self.config.allocation);
                self.measure_out(worker);
                self.added(worker);
                let up = self.worker_up(worker);
                self.tell_router(up);
            }
            Action::Drain(worker) => {
                self.files(worker).note(Duty::Waiting);
                match &mut self.link {
                    Link::Up(link) => link.send(&ToRouter::WorkerStopping { worker }),
                    Link::Down | Link::Starting(..) => self.workers.handle(Event::Drained(worker)),
                }
            }
            Action::Resized { from, to, .. } => {
                if from == 0 && to > 0 {
                    self.first_worker_comes();
                }
                if self.parent.is_some() {
                    note_slot_count(&self.run_dir, (to != self.config.workers).then_some(to));
                }
                report::action("dirty worker", &action);
            }
            Action::Gone { worker, departure, status } => self.worker_gone(worker, &departure, status),
            Action::Booted => {
                self.booted.workers = true;
                self.say_ready();
            }
            Action::GiveUp(failure) => self.give_up("dirty worker", &failure),
            Action::PoolStopped => self.end_if_empty(),
            Action::RecycleStarted { worker, reason } => {
                let pid = self.workers.member(worker).map_or(0, |member| member.pid().as_raw());
                tracing::info!(%worker, "Recycling dirty worker (pid: {pid}): {reason}");
            }
            action => report::action("dirty worker", &action),
        }
    }

    /// Ends all workers. If this process does not live to see it, the next one must not take them over.
    pub(super) fn stop_workers(&mut self, mode: StopMode) {
        self.workers.pool().workers().for_each(|(worker, _)| self.files(worker).note(Duty::Waiting));
        self.workers.handle(Event::Stop(mode));
    }

    fn worker_gone(&mut self, worker: WorkerId, departure: &Departure, status: Option<ExitStatus>) {
        self.recycling.forget(worker);
        self.not_added(worker, departure);
        let member = self.workers.forget(worker);
        report::gone("Dirty worker", worker, member.as_ref(), departure, status);
        if let (Some(member), Some(status)) = (&member, status) {
            self.tell_exit_hook(worker, member, departure, status);
        }
        self.files(worker).remove();
        self.tell_router(Some(ToRouter::WorkerGone { worker, cause: report::cause(departure, status) }));
        if let Departure::StartupFailed(reason) | Departure::NotSpawned(Some(reason)) = departure {
            let mut serving = self.workers_that_are(WorkerState::Serving);
            if serving.any(|other| other.slot == worker.slot) {
                return;
            }
            drop(serving);
            let slots: Vec<u32> = self.workers.pool().slots().collect();
            for (path, reason) in
                self.availability.failed(worker.slot, reason, &slots, &self.config.allocation)
            {
                self.tell_router(Some(ToRouter::AppUnavailable { path, reason }));
            }
        }
    }

    fn tell_exit_hook(&self, worker: WorkerId, member: &Member, departure: &Departure, status: ExitStatus) {
        let (pid, arbiter_pid) = (member.pid().as_raw().unsigned_abs(), std::process::id());
        let exit = DirtyWorkerExit {
            worker: DirtyWorker::new(worker, pid, arbiter_pid, member.age(), self.config),
            status,
            cause: report::cause(departure, Some(status)),
        };
        hooks::in_parent("dirty_worker_exit", || self.config.hooks.dirty_worker_exit(&exit));
    }

    pub(super) fn workers_that_are(&self, wanted: WorkerState) -> impl Iterator<Item = WorkerId> {
        self.workers.pool().workers().filter(move |(_, state)| *state == wanted).map(|(worker, _)| worker)
    }

    /// What the router must know of a worker; `None` if there is none.
    pub(super) fn worker_up(&self, worker: WorkerId) -> Option<ToRouter> {
        let max_calls = self.recycling.share(worker);
        let member = self.workers.member(worker)?;
        Some(ToRouter::WorkerUp(WorkerUp {
            worker,
            pid: u32::try_from(member.pid().as_raw()).unwrap_or_default(),
            age: member.age(),
            apps: self.config.allocation.apps_of(worker.slot).map(str::to_owned).collect(),
            socket: self.files(worker).socket().to_string_lossy().into_owned(),
            threads: self.config.threads,
            max_calls,
        }))
    }

    fn files(&self, worker: WorkerId) -> WorkerFiles {
        WorkerFiles::new(&self.run_dir, worker)
    }

    /// What keeps workers alive when this process dies; `None` without a master.
    fn service(&self) -> Option<Service> {
        let (run_dir, socket) = (self.run_dir.clone(), self.socket.file().clone());
        let pid_file = self.socket.pid_file().map(Path::to_owned);
        self.parent.as_ref().map(|master| Service { master: master.pid(), run_dir, socket, pid_file })
    }

    /// A router that is not up is told everything when it is.
    pub(super) fn tell_router(&mut self, message: Option<ToRouter>) {
        if let (Some(message), Link::Up(link)) = (message, &mut self.link) {
            link.send(&message);
        }
    }

    fn say_ready(&mut self) {
        if !(self.booted.workers && self.booted.router) {
            return;
        }
        tracing::info!("Dirty arbiter ready (pid: {})", std::process::id());
        if let Some(Err(error)) = self.ready.take().map(gunmetal_supervise::ReadyWriter::ready) {
            tracing::debug!(%error, "the master does not listen");
        }
    }

    /// Nobody of the first generation can be done without: nothing else is worth waiting for.
    fn give_up(&mut self, role: &str, failure: &StartupFailure) {
        self.failure.get_or_insert(ServiceError::startup(Some(role), failure));
        self.stop(StopMode::Now);
    }
}

/// To a worker SIGINT is a polite wish, as SIGTERM is; "at once" is SIGQUIT.
fn for_worker(signal: Signal) -> Signal {
    if signal == Signal::SIGINT { Signal::SIGQUIT } else { signal }
}
