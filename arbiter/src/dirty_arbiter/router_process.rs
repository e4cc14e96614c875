//! The router process, at the moment of its birth.

use std::io;
use std::os::unix::net::UnixListener;
use std::time::Duration;

use gunmetal_supervise::{Signal, Signals, keep_buffers_up_to, spawn_child};

use super::router_link::RouterLink;
use crate::crew::{Member, Pulse};
use crate::router::{self, RouterConfig};
use crate::{DirtyConfig, report};

/// Forks a router on the socket that clients connect to; it says on the link when it accepts them.
pub(super) fn spawn(
    age: u64,
    config: &DirtyConfig,
    listener: &UnixListener,
) -> io::Result<(Member, RouterLink)> {
    let (link, theirs) = RouterLink::pair()?;
    let mut theirs = Some(theirs);
    let listener = listener.try_clone()?;
    let mut listener = Some(listener);
    // Both processes have a copy; the fork decides who uses which.
    let mut pulse = silence(config).map(|_| Pulse::new(&config.processes)).transpose()?;
    let child = spawn_child(|newborn| {
        let (Some(link), Some(listener)) = (theirs.take(), listener.take()) else { return 1 };
        let heartbeat = pulse.take().map(|pulse| pulse.heartbeat);
        let mut setup = config
            .processes
            .worker_setup("router")
            .keep(&link)
            .keep(&listener)
            .hold_back(UNHEARD)
            .own_group()
            .death_signal(Signal::SIGKILL);
        if let Some(heartbeat) = &heartbeat {
            setup = setup.keep(heartbeat);
        }
        if let Err(error) = newborn.become_child(setup) {
            tracing::error!(error = report::chain(&error), "router cannot be set up");
            return 1;
        }
        // Held for good and never read.
        let _deaf = match Signals::block(UNHEARD) {
            Ok(signals) => signals,
            Err(error) => {
                tracing::error!(%error, "router cannot block signals");
                return 1;
            }
        };
        keep_buffers_up_to(STASHED_LEN);
        let config = RouterConfig {
            dirty_timeout: config.timeout,
            stash_limit: config.stash_limit,
            reopen_logs: config.reopen_logs,
            heartbeat: heartbeat.zip(silence(config).map(|silence| silence / 4)),
            ..RouterConfig::new(listener, link)
        };
        match router::run(config) {
            Ok(()) => 0,
            Err(error) => {
                tracing::error!(error = report::chain(&error), "router failed");
                1
            }
        }
    })
    .map_err(io::Error::other)?;
    drop((theirs, listener));
    Ok((Member::new(child, age, None, pulse), link))
}

/// The silence after which a router is taken for dead; none where workers may take for ever, too.
pub(super) fn silence(config: &DirtyConfig) -> Option<Duration> {
    Some(config.timeout?.clamp(LEAST_SILENCE, LONGEST_SILENCE))
}

/// It has much to do at times, and the stash to lose.
const LEAST_SILENCE: Duration = Duration::from_secs(10);
/// Nobody is served meanwhile.
const LONGEST_SILENCE: Duration = Duration::from_secs(60);

/// What is sent to the whole process group, by a terminal or by systemd, is not for the router: it has calls to finish and
/// leaves when its parent says so, or is gone.
const UNHEARD: [Signal; 6] =
    [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGUSR1, Signal::SIGUSR2, Signal::SIGQUIT];

/// The router's own buffers are shorter; what is longer are values of the stash, of which the kernel gets the memory back when
/// they are removed.
const STASHED_LEN: u32 = 1 << 20;
