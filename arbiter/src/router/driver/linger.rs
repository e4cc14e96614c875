//! After a burst, the router looks for more for a moment before it sleeps.
//!
//! With many calls in flight the next frames are a few microseconds away. Sleeping until then costs this process the way
//! through the scheduler, and whoever writes to it next a wake-up of another core, which is the largest part of a short
//! call's price. With 16 calls in flight from one client, on two cores, it makes 1.6 to 2 times as many calls a second.
//!
//! Only a turn that moved several frames makes the router linger, so calls that come one by one cost what they did, and an
//! idle router sleeps.

use std::rc::Rc;
use std::time::{Duration, Instant};

use super::Shared;

/// Keeps the router awake for [`LINGER`] after each burst.
pub(super) async fn run(shared: Rc<Shared>) {
    loop {
        shared.busy.notified().await;
        let until = Instant::now() + LINGER;
        while Instant::now() < until {
            // Whoever else wants this processor comes first, then the other tasks and the sockets; the runtime doesn't sleep
            // while a task is about to run.
            std::thread::yield_now();
            tokio::task::yield_now().await;
        }
    }
}

/// What it costs to wake a process on another core and to be woken by it: whoever waits no longer than that pays at most
/// twice what the best choice would have cost.
const LINGER: Duration = Duration::from_micros(50);
