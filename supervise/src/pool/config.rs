//! The settings of a pool.

use std::time::Duration;

use crate::RestartPolicy;

/// The settings of a [`Pool`](crate::Pool).
#[derive(Debug, Clone, PartialEq)]
pub struct PoolConfig {
    /// Slots at the start.
    pub size: u32,
    /// The fewest slots a resize may leave.
    pub minimum: u32,
    /// The most slots a resize may reach: a wish from outside must not fork without end.
    pub maximum: u32,
    /// How long a worker may take from fork to ready; `None` for ever. One that takes longer is ended and counts as
    /// failed to start.
    pub boot_timeout: Option<Duration>,
    /// How long a worker that is asked to leave may finish what runs. One that was recycled takes as long as it needs. `None` is as
    /// long as its heart beats.
    pub graceful_timeout: Option<Duration>,
    /// How long what runs beside the hang in a condemned worker may go on.
    pub condemn_timeout: Duration,
    /// How long a worker serves at least before it is recycled: a reason that comes back at once, such as a limit that
    /// every worker exceeds from its start, shall not make a pool do nothing but start workers.
    pub recycle_interval: Duration,
    /// How long after SIGABRT, SIGINT or a late SIGTERM the SIGKILL follows.
    pub kill_grace: Duration,
    /// When a worker that ended is started again.
    pub restarts: RestartPolicy,
    /// Seed of the jitter of restart delays: draw it from the kernel, after the fork.
    pub jitter_seed: u64,
}

impl Default for PoolConfig {
    /// One slot, a minute to boot, 30 s to finish, 1 s from SIGABRT to SIGKILL.
    fn default() -> Self {
        PoolConfig {
            size: 1,
            minimum: 1,
            maximum: 1024,
            boot_timeout: Some(Duration::from_secs(60)),
            graceful_timeout: Some(Duration::from_secs(30)),
            condemn_timeout: Duration::from_secs(30),
            recycle_interval: Duration::from_secs(1),
            kill_grace: Duration::from_secs(1),
            restarts: RestartPolicy::default(),
            jitter_seed: 0,
        }
    }
}
