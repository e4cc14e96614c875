//! Waiting for whatever happens first.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};

/// One wait of a single-threaded loop: descriptors with tokens, and a deadline.
///
/// Built anew for each wait from what the loop owns then. That costs nothing at the numbers a supervisor has, leaves
/// nothing to unregister, and nothing of it is shared with forked children (an epoll set would be).
#[derive(Debug)]
pub struct Poller<'fd, T> {
    descriptors: Vec<PollFd<'fd>>,
    tokens: Vec<T>,
}

impl<'fd, T> Poller<'fd, T> {
    /// A wait for nothing yet.
    #[must_use]
    pub fn new() -> Poller<'fd, T> {
        Poller { descriptors: Vec::new(), tokens: Vec::new() }
    }

    /// Also waits until `descriptor` can be read or has ended.
    pub fn readable(&mut self, descriptor: &'fd impl AsFd, token: T) {
        self.add(descriptor.as_fd(), PollFlags::POLLIN, token);
    }

    /// Also waits until `descriptor` can be written or has failed.
    pub fn writable(&mut self, descriptor: &'fd impl AsFd, token: T) {
        self.add(descriptor.as_fd(), PollFlags::POLLOUT, token);
    }

    /// Waits, and returns the tokens of those that are ready, in the order in which they were added. None after the
    /// deadline, or when a signal handler ran; `None` as a deadline waits for ever.
    ///
    /// # Errors
    ///
    /// What `ppoll(2)` refused.
    pub fn wait(mut self, deadline: Option<Instant>) -> io::Result<Vec<T>> {
        let timeout = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()).into());
        match ppoll(&mut self.descriptors, timeout, None) {
            Ok(_) => {}
            Err(Errno::EINTR) => return Ok(Vec::new()),
            Err(errno) => return Err(errno.into()),
        }
        let is_ready = |descriptor: &PollFd<'_>| descriptor.any().unwrap_or(true);
        let pairs = self.descriptors.iter().zip(self.tokens);
        Ok(pairs.filter(|(descriptor, _)| is_ready(descriptor)).map(|(_, token)| token).collect())
    }

    fn add(&mut self, descriptor: BorrowedFd<'fd>, interest: PollFlags, token: T) {
        self.descriptors.push(PollFd::new(descriptor, interest));
        self.tokens.push(token);
    }
}

impl<T> Default for Poller<'_, T> {
    fn default() -> Self {
        Self::new()
    }
}
