//! The control socket: commands for the manager, one JSON object a line, and one line of answer for each.
//!
//! ```text
//! {"cmd":"stop","name":"scheduler"}   ──▶  Request ──▶ the manager's answer
//! {"ok":true,"message":"…"}           ◀──  Reply   ◀──┘
//! ```
//!
//! Nobody who connects can hurt the manager or the others who do. Nothing here waits: sockets are read and written as far
//! as they go, and the rest is done when they go on. A client's memory is bounded by one line and one answer, and no
//! request of it is read before its last answer has been. Silence in the middle of a line or of an answer ends after
//! [`PATIENCE`]; silence between two requests ends when there are [`MAX_CLIENTS`] and one more comes.

mod client;
mod reply;
mod request;
#[cfg(test)]
mod tests;

use std::io;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::{Duration, Instant};

use gunmetal_supervise::{Pinned, Poller};
use nix::sys::socket::{getsockopt, sockopt};
use nix::unistd::{Uid, geteuid};

use crate::listener::{BindError, SocketFile};

use client::{Client, Interest};

pub(super) use reply::{CompanionStatus, Reply, Runs};
pub(super) use request::Request;

/// The socket, and who is connected to it.
#[derive(Debug)]
pub(super) struct Control {
    listener: UnixListener,
    file: SocketFile,
    clients: Vec<Client>,
    next_client: u64,
    /// Nobody is accepted before this moment: the system had no descriptor left, and would have none at once.
    accept_again: Option<Instant>,
}

/// What there is to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ControlWatch {
    /// Somebody connects.
    Listener,
    /// This client can be read or written, whichever it needs.
    Client(u64),
}

impl Control {
    /// Listens at `path`, with mode 0600 from the first moment on; another mode is set after that.
    ///
    /// # Errors
    ///
    /// Another process listens there, or the system refused.
    pub(super) fn bind(path: &Path, mode: u32) -> Result<Self, BindError> {
        let (listener, file) = listen(path, mode)?;
        Ok(Self { listener, file, clients: Vec::new(), next_client: 0, accept_again: None })
    }

    /// Listens anew at the same path if the file there is gone, or is somebody else's. Returns whether that was so.
    ///
    /// # Errors
    ///
    /// As [`bind`](Self::bind): then everything stays as it is.
    pub(super) fn restore(&mut self, mode: u32) -> Result<bool, BindError> {
        if self.file.is_at(self.file.path()) {
            return Ok(false);
        }
        (self.listener, self.file) = listen(self.file.path(), mode)?;
        Ok(true)
    }

    /// Adds everything that there is to wait for.
    pub(super) fn watch<'fd, T>(&'fd self, poller: &mut Poller<'fd, T>, token: impl Fn(ControlWatch) -> T) {
        if self.accept_again.is_none() {
            poller.readable(&self.listener, token(ControlWatch::Listener));
        }
        for client in &self.clients {
            let token = token(ControlWatch::Client(client.id()));
            match client.interest() {
                Interest::Read => poller.readable(client, token),
                Interest::Write => poller.writable(client, token),
            }
        }
    }

    /// Does what can be done now about something that was waited for; asks `answer` for every request that has arrived.
    pub(super) fn news(&mut self, watch: ControlWatch, answer: &mut dyn FnMut(Request) -> Reply) {
        match watch {
            ControlWatch::Listener => self.accept(),
            ControlWatch::Client(id) => {
                // It may have made room for another one in the same round.
                let Some(index) = self.clients.iter().position(|client| client.id() == id) else { return };
                if self.clients[index].go_on(answer).is_break() {
                    self.clients.swap_remove(index);
                }
            }
        }
    }

    /// When [`tick`](Self::tick) has something to do, if nothing else happens before.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.clients.iter().filter_map(Client::deadline).chain(self.accept_again).min()
    }

    /// Does what is due.
    pub(super) fn tick(&mut self) {
        self.tick_at(Instant::now());
    }

    fn tick_at(&mut self, now: Instant) {
        let is_due = |deadline: Option<Instant>| deadline.is_some_and(|deadline| now >= deadline);
        self.clients.retain(|client| !is_due(client.deadline()));
        if is_due(self.accept_again) {
            self.accept_again = None;
        }
    }

    /// Listens no more. Removes the socket's file, unless another is in its place.
    pub(super) fn close(self) {
        // Before the listener closes: until then nobody else's file can have the number of ours.
        self.file.remove();
    }

    fn accept(&mut self) {
        for _ in 0..MAX_CLIENTS {
            match self.listener.accept() {
                Ok((stream, _)) => self.admit(stream),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // Some errors are those of a client that has gone already, the next one may be fine.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    tracing::warn!(%error, "the companion manager cannot accept who connects to its control socket now");
                    self.accept_again = Some(Instant::now() + ACCEPT_PAUSE);
                    return;
                }
            }
        }
    }

    fn admit(&mut self, stream: UnixStream) {
        let peer =
            getsockopt(&stream, sockopt::PeerCredentials).map(|peer| peer.uid()).map_err(io::Error::from);
        let client =
            stream.set_nonblocking(true).and(peer).map(|peer| (peer, Client::new(self.next_client, stream)));
        let (peer, client) = match client {
            Ok(client) => client,
            Err(error) => return tracing::debug!(%error, "a control connection failed at once"),
        };
        let own = geteuid();
        if !may_command(Uid::from_raw(peer), own) {
            tracing::warn!(user = peer, "a user who may not control the companions has tried to");
            return client.refuse(format!(
                "user {peer} may not control these companions: allowed are user {own}, as which their manager runs, and root"
            ));
        }
        self.next_client += 1;
        if self.clients.len() >= MAX_CLIENTS {
            let idle_longest = self.clients.iter().enumerate().min_by_key(|(_, client)| client.last_active());
            if let Some((index, _)) = idle_longest {
                self.clients.swap_remove(index);
            }
        }
        self.clients.push(client);
    }
}

/// Listens at a path: with mode 0600 from the first moment on, and with another one after that.
fn listen(path: &Path, mode: u32) -> Result<(UnixListener, SocketFile), BindError> {
    let (listener, file) = SocketFile::bind(path)?;
    if mode != PRIVATE
        && let Err(source) = Pinned::socket(path).and_then(|socket| socket.set_mode(mode))
    {
        file.remove();
        return Err(BindError::Refused { address: format!("unix:{}", path.display()), source });
    }
    Ok((listener, file))
}

/// Whether a user may give commands to a manager that runs as `own`.
fn may_command(peer: Uid, own: Uid) -> bool {
    peer == own || peer.is_root()
}

/// Connections at a time. The one that has been idle longest ends when there is one more.
const MAX_CLIENTS: usize = 64;
/// How long the rest of a line, or the reading of an answer, is waited for.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long nobody is accepted once the system had no descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);
/// The mode that a socket has as soon as it is there.
const PRIVATE: u32 = 0o600;
