//! The lanes that the steward looks after.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use nix::poll::PollFlags;
use tracing::debug;

use super::lane::Lane;
use crate::link::FromWorker;

/// The lanes that nobody has hung up.
#[derive(Debug, Default)]
pub(super) struct WatchedLanes {
    lanes: Vec<Watched>,
    is_draining: bool,
    /// Whether some lane holds chunks back, which leave with the next tick.
    is_ticking: bool,
}

#[derive(Debug)]
struct Watched {
    lane: Arc<Lane>,
    /// What is held did not fit the router's buffer.
    wants_flush: bool,
}

impl WatchedLanes {
    pub(super) fn push(&mut self, lane: Arc<Lane>) {
        self.lanes.push(Watched { lane, wants_flush: false });
    }

    /// What to poll for, the highest index first, so that a lane which is removed moves none that follow.
    pub(super) fn to_poll(&self) -> impl Iterator<Item = (usize, BorrowedFd<'_>, PollFlags)> {
        // Having shut down our own side we would be told so for ever; a peer that closes still shows as POLLHUP.
        let hang_up = if self.is_draining { PollFlags::empty() } else { rdhup() };
        self.lanes.iter().enumerate().rev().map(move |(at, watched)| {
            let output = if watched.wants_flush { PollFlags::POLLOUT } else { PollFlags::empty() };
            (at, watched.lane.stream().as_fd(), hang_up | output)
        })
    }

    /// Poll has news of a lane.
    pub(super) fn look_after(&mut self, at: usize, flags: PollFlags) {
        let gone = PollFlags::POLLHUP | PollFlags::POLLERR | PollFlags::POLLNVAL | rdhup();
        if flags.intersects(gone) {
            let watched = self.lanes.swap_remove(at);
            debug!(lane = watched.lane.id(), "lane hung up");
            watched.lane.gate().hang_up();
        } else {
            let watched = &mut self.lanes[at];
            watched.wants_flush = !watched.lane.flush_now();
            self.is_ticking |= !watched.wants_flush;
        }
    }

    /// Takes back what has not started on a lane; `None` if there is no such lane.
    pub(super) fn revoke(&mut self, lane: u64, upto: u64) -> Option<FromWorker> {
        // Names are a router's own: after a new router connected, the latest lane is meant.
        let watched = self.lanes.iter_mut().rev().find(|watched| watched.lane.id() == lane)?;
        Some(watched.revoke(upto))
    }

    /// Lets nothing more start on any lane; returns what to tell the router.
    pub(super) fn drain(&mut self) -> Vec<FromWorker> {
        self.is_draining = true;
        let drain = |watched: &mut Watched| {
            let revoked = watched.revoke(u64::MAX);
            watched.lane.stop_reading();
            revoked
        };
        self.lanes.iter_mut().map(drain).collect()
    }

    /// Some lane may have begun to hold chunks back.
    pub(super) fn start_ticking(&mut self) {
        self.is_ticking = true;
    }

    /// Sends the chunks that lanes hold back; returns whether there will be more to look for.
    pub(super) fn tick(&mut self) -> bool {
        if !std::mem::take(&mut self.is_ticking) {
            return false;
        }
        for watched in &mut self.lanes {
            if watched.lane.gate().tick() {
                watched.wants_flush = !watched.lane.flush_now();
                // Where the router's buffer is full, its reading is the next event and not the clock.
                self.is_ticking |= !watched.wants_flush;
            }
        }
        self.is_ticking
    }
}

impl Watched {
    fn revoke(&mut self, upto: u64) -> FromWorker {
        let first = self.lane.gate().revoke(upto);
        self.wants_flush = !self.lane.flush_now();
        FromWorker::Revoked { lane: self.lane.id(), first }
    }
}

/// POLLRDHUP, which nix has no name for.
fn rdhup() -> PollFlags {
    PollFlags::from_bits_retain(nix::libc::POLLRDHUP)
}
