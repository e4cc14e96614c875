//! Which workers have grown beyond what they may take.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use gunmetal_supervise::{WorkerId, resident_len};

use crate::crew::{Crew, Origin};

/// A limit on the resident memory of each worker of a crew, looked at once a second while there is one.
#[derive(Debug)]
pub(crate) struct MemoryLimit {
    /// The setting, for the log.
    setting: &'static str,
    /// In bytes.
    limit: Option<u64>,
    /// Workers that were too large from the start. Their successors would be as large.
    born_large: BTreeSet<WorkerId>,
    next_look: Option<Instant>,
}

impl MemoryLimit {
    pub(crate) fn new(setting: &'static str, limit: Option<u64>) -> Self {
        let next_look = limit.map(|_| Instant::now() + LOOK_INTERVAL);
        Self { setting, limit, born_large: BTreeSet::new(), next_look }
    }

    /// When [`look`](Self::look) has something to do; never, without a limit.
    pub(crate) fn next_look(&self) -> Option<Instant> {
        self.next_look
    }

    /// A worker begins to serve. If it is too large already, there is no sense in replacing it.
    pub(crate) fn begins(&mut self, worker: WorkerId, crew: &Crew) {
        if crew.member(worker).is_some_and(|member| member.origin() == Origin::Adopted) {
            // What it takes now it need not have taken from its start.
            return;
        }
        let Some((len, limit)) = self.excess(worker, crew) else { return };
        self.born_large.insert(worker);
        tracing::warn!(
            %worker,
            "a worker takes {} MiB from its start, which is more than {} ({} MiB): it is not recycled",
            len >> 20,
            self.setting,
            limit >> 20,
        );
    }

    pub(crate) fn forget(&mut self, worker: WorkerId) {
        self.born_large.remove(&worker);
    }

    /// Those of `serving` that have grown beyond the limit, each with that as the reason for its recycling. None before the
    /// time for the next look has come.
    pub(crate) fn look(&mut self, serving: &[WorkerId], crew: &Crew) -> Vec<(WorkerId, String)> {
        let now = Instant::now();
        if self.next_look.is_none_or(|next| now < next) {
            return Vec::new();
        }
        self.next_look = Some(now + LOOK_INTERVAL);
        let grown = serving.iter().filter(|worker| !self.born_large.contains(worker));
        let reason = |worker: &WorkerId| {
            let (len, limit) = self.excess(*worker, crew)?;
            let (len, limit) = (len >> 20, limit >> 20);
            Some((*worker, format!("it takes {len} MiB, {} is {limit} MiB", self.setting)))
        };
        grown.filter_map(reason).collect()
    }

    /// The memory of a worker that takes more than the limit, and the limit.
    fn excess(&self, worker: WorkerId, crew: &Crew) -> Option<(u64, u64)> {
        let limit = self.limit?;
        let len = resident_len(crew.member(worker)?.pid()).ok()?;
        (len > limit).then_some((len, limit))
    }
}

const LOOK_INTERVAL: Duration = Duration::from_secs(1);
