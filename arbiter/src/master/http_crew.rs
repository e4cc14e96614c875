//! The HTTP workers, seen from the master.

use gunmetal_supervise::{Action, Departure, Event, ExitStatus, WorkerId, WorkerState};

use super::{Master, Phase};
use crate::crew::Crew;
use crate::memory_limit::MemoryLimit;
use crate::{HttpWorkerExit, HttpWorkerProcess, hooks, http_process, report};

impl Master<'_> {
    /// Starts HTTP workers and companions: whom they call is there.
    pub(super) fn start_http(&mut self) {
        self.phase = Phase::Serving { is_up: false };
        self.tell_count(None, self.current.workers());
        self.http = Some(Crew::new(self.current.pool_config(), self.current.heartbeats()));
        self.start_companions();
    }

    pub(super) fn perform_http(&mut self, action: Action) {
        let Some(http) = &mut self.http else { return };
        match action {
            Action::Spawn(worker) => self.spawn_http(worker),
            Action::Serve(worker) => {
                self.memory.begins(worker, http);
                report::action("HTTP worker", &action);
            }
            // It accepts on its own: the SIGTERM that follows is the drain.
            Action::Drain(worker) => http.handle(Event::Drained(worker)),
            Action::Gone { worker, departure, status } => self.http_gone(worker, &departure, status),
            Action::Resized { from, to, .. } => {
                report::action("HTTP worker", &action);
                if from != to {
                    self.tell_count(Some(from), to);
                    if self.phase == (Phase::Serving { is_up: true }) {
                        self.systemd.status(&self.status());
                    }
                }
            }
            Action::Booted => {
                self.http_is_booted = true;
                self.say_if_up();
            }
            Action::ReloadDone => self.reload_done(),
            Action::ReloadFailed(failure) => self.reload_failed(failure),
            Action::GiveUp(failure) => self.give_up(Some("HTTP worker"), &failure),
            Action::PoolStopped if self.phase == Phase::StoppingHttp => self.stop_dirty_if_alone(),
            Action::PoolStopped => self.end_if_empty(),
            action => report::action("HTTP worker", &action),
        }
    }

    fn spawn_http(&mut self, worker: WorkerId) {
        let Some(http) = &mut self.http else { return };
        let generation = self.next.as_ref().unwrap_or(&self.current);
        let age = http.next_age();
        let outcome = http_process::spawn(worker, age, &generation.config, &generation.listeners);
        if let Some(pid) = http.spawned(worker, outcome) {
            tracing::info!("Booting worker with pid: {pid}");
        }
    }

    fn http_gone(&mut self, worker: WorkerId, departure: &Departure, status: Option<ExitStatus>) {
        self.memory.forget(worker);
        let member = self.http.as_mut().and_then(|http| http.forget(worker));
        report::gone("Worker", worker, member.as_ref(), departure, status);
        let (Some(member), Some(status)) = (member, status) else { return };
        let (pid, this) = (member.pid().as_raw().unsigned_abs(), std::process::id());
        let exit = HttpWorkerExit {
            worker: HttpWorkerProcess::new(worker, Some(pid), this, member.age()),
            status,
            cause: report::cause(departure, Some(status)),
        };
        let hooks = &self.current.config.hooks;
        hooks::in_parent("child_exit", || hooks.child_exit(&exit));
    }

    /// There shall be another number of workers.
    fn tell_count(&self, old: Option<u32>, new: u32) {
        let process = self.process();
        let hooks = &self.current.config.hooks;
        hooks::in_parent("nworkers_changed", || hooks.nworkers_changed(&process, new, old));
    }

    /// Has workers that have grown beyond the limit recycled, once a second.
    pub(super) fn look_at_memory(&mut self) {
        let Some(http) = &mut self.http else { return };
        let serving: Vec<WorkerId> = match self.phase {
            Phase::Serving { .. } => http
                .pool()
                .workers()
                .filter(|(_, state)| *state == WorkerState::Serving)
                .map(|(worker, _)| worker)
                .collect(),
            Phase::Booting | Phase::StoppingHttp | Phase::StoppingDirty | Phase::Done => Vec::new(),
        };
        for (worker, reason) in self.memory.look(&serving, http) {
            http.handle(Event::Recycle(worker, reason));
        }
    }

    /// The limit of the configuration in force.
    pub(super) fn set_memory_limit(&mut self) {
        self.memory = MemoryLimit::new("max_rss", self.current.config.max_rss);
    }
}
