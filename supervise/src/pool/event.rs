//! What the driver tells the pool.

use crate::{ExitStatus, WorkerId};

/// News for a [`Pool`](crate::Pool).
///
/// Order matters in one place: of a worker that ended, report what its readiness pipe still holds
/// ([`Ready`](Event::Ready), [`InitFailed`](Event::InitFailed)) before [`Exited`](Event::Exited), or its last words
/// are lost. Everything else may come late, twice or never.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The process asked for by [`Action::Spawn`](crate::Action::Spawn) exists.
    Spawned(WorkerId),
    /// It could not be forked; the text says why.
    SpawnFailed(WorkerId, String),
    /// The process says that it is ready.
    Ready(WorkerId),
    /// The process says that it failed to start, and why; it is about to exit.
    InitFailed(WorkerId, String),
    /// The process has ended and was reaped.
    Exited(WorkerId, ExitStatus),
    /// The worker must be replaced, for the reason given: it hangs. What still runs in it beside the hang may finish,
    /// up to [`condemn_timeout`](crate::PoolConfig::condemn_timeout).
    Condemn(WorkerId, String),
    /// Nothing runs in the worker any more: the answer to [`Action::Drain`](crate::Action::Drain).
    Drained(WorkerId),
    /// The worker has not touched its heartbeat for too long: it hangs as a whole.
    HeartbeatStale(WorkerId),
    /// The worker has served its share, or takes more than it should, for the reason given: replace it by a fresh one,
    /// which is ready before this one drains.
    Recycle(WorkerId, String),
    /// The number of slots wanted from now on.
    Resize(u32),
    /// Replace every worker: the new generation is ready before the old one drains.
    Reload,
    /// End every worker and start no more.
    Stop(StopMode),
    /// Time has passed; see [`Pool::next_deadline`](crate::Pool::next_deadline).
    Tick,
}

/// How fast to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopMode {
    /// SIGTERM: what runs may finish, up to the graceful timeout; then SIGKILL.
    Graceful,
    /// SIGINT, and SIGKILL after the kill grace. Overrides a graceful stop under way.
    Now,
}
