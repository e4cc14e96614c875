//! A pool that goes on where another ended.

use super::process::Process;
use super::slot::Slot;
use super::{Phase, Pool, PoolConfig};
use crate::{Action, WorkerId};

impl Pool {
    /// A pool that takes over the workers of one that had booted and whose process died.
    ///
    /// `adopted` serve already, at most one for each slot (a second one is ignored, and the driver's to end): the
    /// pool says [`Serve`](Action::Serve) for each, and from then on they are as its own. `past` are workers that are
    /// gone, or that the driver has ended: their names are not given again. Slots that are missing up to
    /// `config.size` are spawned as usual.
    ///
    /// The pool has [`Booted`](Action::Booted) at once: it is not the first, so a worker that fails to start must end
    /// neither those that serve nor the pool, and is tried again.
    #[must_use]
    pub fn adopting(
        config: PoolConfig,
        past: impl IntoIterator<Item = WorkerId>,
        adopted: impl IntoIterator<Item = WorkerId>,
    ) -> Pool {
        let mut pool = Pool::empty(config);
        for worker in past {
            pool.remember(worker);
        }
        for worker in adopted {
            pool.remember(worker);
            if pool.slots.contains_key(&worker.slot) {
                continue;
            }
            pool.processes.insert(worker, Process::in_service(worker));
            pool.slots.insert(worker.slot, Slot { was_ready: true, ..Slot::held_by(worker) });
            pool.actions.push_back(Action::Serve(worker));
        }
        pool.phase = Phase::Running;
        pool.actions.push_back(Action::Booted);
        pool.fill();
        pool
    }

    /// Sees to it that the worker's name is not given again.
    fn remember(&mut self, worker: WorkerId) {
        let last = self.generations.entry(worker.slot).or_insert(0);
        *last = worker.generation.max(*last);
    }
}
