//! Which connection a call takes.

use std::future::Future;
use std::io;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use gunmetal_client_core::{
    CallError, ClientConfig, ConnectionEnd, ConnectionStage, Outgoing, Reply, ScanSupport,
};
use gunmetal_protocol::MessageType;
use tokio::time::{Instant, timeout, timeout_at};

use crate::connect::{self, PeerKind};
use crate::driver::Driver;
use crate::exclusive::{ExclusiveConnection, SendFailure};
use crate::pool::Pool;
use crate::shared::{CallFailure, SharedConnection};

/// The connections of a client and its clones.
#[derive(Debug)]
pub(crate) struct Connections {
    pub(crate) config: ClientConfig,
    peer: Mutex<Peer>,
    /// Held by the call that connects, while the others wait: how often that failed, and how.
    connecting: tokio::sync::Mutex<()>,
    failures: Mutex<Failures>,
    pool: Pool,
    /// What is known of the arbiter's stash.
    pub(crate) scan_support: Arc<ScanSupport>,
}

/// Attempts to connect the shared connection that came to nothing.
#[derive(Debug, Default)]
struct Failures {
    count: u64,
    last: Option<ConnectionEnd>,
}

/// What is known about the arbiter.
#[derive(Debug, Clone)]
enum Peer {
    /// Nothing yet, or it has gone away.
    Unknown,
    /// It takes many calls on one connection.
    Multiplexing(Arc<SharedConnection>),
    /// It takes one call at a time on each connection.
    OneAtATime,
}

impl Connections {
    pub(crate) fn new(config: ClientConfig) -> Connections {
        let pool = Pool::new(config.max_idle_connections);
        let (peer, failures) = (Mutex::new(Peer::Unknown), Mutex::default());
        let (connecting, scan_support) = (tokio::sync::Mutex::new(()), Arc::default());
        Connections { config, peer, connecting, failures, pool, scan_support }
    }

    /// Makes a call and returns its encoded result.
    pub(crate) async fn result_of(
        &self,
        outgoing: &Outgoing<'_>,
        timeout: Option<Duration>,
    ) -> Result<Bytes, CallError> {
        let deadline = timeout.map(|timeout| Instant::now() + timeout);
        let mut result = self.attempt(outgoing, deadline).await;
        if result.as_ref().is_err_and(is_unsent) {
            // The connection was found dead with nothing of the request written.
            self.pool.clear();
            result = self.attempt(outgoing, deadline).await;
        }
        let (message_type, payload) = match result {
            Ok(reply) => reply,
            Err(Failure::TimedOut) => return Err(outgoing.timed_out(timeout.unwrap_or_default())),
            Err(Failure::Ended { end, sent }) => {
                return Err(end.to_call_error(&self.config.socket_path, sent));
            }
            Err(Failure::Call(error)) => return Err(error),
        };
        match outgoing.read_reply(message_type, payload)? {
            Reply::Result(value) => Ok(value),
            Reply::Chunk(_) | Reply::End => Err(outgoing.streams()),
        }
    }

    /// Makes the call on a connection of the kind that the arbiter understands.
    async fn attempt(&self, outgoing: &Outgoing<'_>, deadline: Option<Instant>) -> Result<Answer, Failure> {
        let peer = match self.peer_now() {
            Peer::Unknown => Box::pin(before(deadline, self.find_peer())).await?,
            known => known,
        };
        match peer {
            Peer::Multiplexing(connection) => Ok(connection.call(outgoing, deadline).await?),
            Peer::OneAtATime | Peer::Unknown => {
                let answer = Box::pin(before(deadline, self.call_alone(outgoing))).await;
                if let Err(Failure::Ended { .. } | Failure::Call(CallError::Connection { .. })) = answer {
                    // What listens at the path next may be of another kind.
                    let mut peer = self.lock_peer();
                    if matches!(*peer, Peer::OneAtATime) {
                        *peer = Peer::Unknown;
                    }
                }
                answer
            }
        }
    }

    /// What is known about the arbiter at this moment.
    fn peer_now(&self) -> Peer {
        let mut peer = self.lock_peer();
        if let Peer::Multiplexing(connection) = &*peer
            && !connection.is_alive()
        {
            *peer = Peer::Unknown;
        }
        peer.clone()
    }

    /// Connects and asks the arbiter what it is, unless another call is doing so already.
    async fn find_peer(&self) -> Result<Peer, Failure> {
        let failed_before = self.lock_failures().count;
        let _turn = self.connecting.lock().await;
        let known = self.peer_now();
        if !matches!(known, Peer::Unknown) {
            return Ok(known);
        }
        if let Failures { count, last: Some(end) } = &*self.lock_failures()
            && *count != failed_before
        {
            // It failed while this call waited; to try on behalf of each one that waits takes too long.
            return Err(self.not_connected(end.clone()));
        }
        let connecting = async {
            let mut connection = connect::connect(&self.config.socket_path).await?;
            let kind = connect::ask_kind(&mut connection).await?;
            Ok((connection, kind))
        };
        let (connection, kind) = self.connecting(connecting).await.map_err(|end| {
            let mut failures = self.lock_failures();
            failures.count += 1;
            failures.last = Some(end.clone());
            self.not_connected(end)
        })?;
        let peer = match kind {
            PeerKind::OneAtATime => {
                self.pool.put(connection);
                Peer::OneAtATime
            }
            PeerKind::Multiplexing => {
                let (read, receive) = connection.into_parts();
                let write = read.as_fd().try_clone_to_owned().map_err(|error| Failure::Ended {
                    end: Arc::new(connect::failed(&error)),
                    sent: false,
                })?;
                let max_in_flight = self.config.max_in_flight;
                let shared = Arc::new(SharedConnection::new(write, max_in_flight));
                tokio::spawn(Driver::new(Arc::clone(&shared), read, receive).run());
                Peer::Multiplexing(shared)
            }
        };
        *self.lock_peer() = peer.clone();
        Ok(peer)
    }

    /// What a call is told that found no connection.
    fn not_connected(&self, end: ConnectionEnd) -> Failure {
        match end {
            // Nobody listens, or nobody answers.
            ConnectionEnd::Io { stage: ConnectionStage::Connect, .. } => {
                Failure::Call(end.to_call_error(&self.config.socket_path, false))
            }
            // A router that was about to be replaced; its successor may do better.
            _ => Failure::Ended { end: Arc::new(end), sent: false },
        }
    }

    /// A connection for one call alone.
    pub(crate) async fn exclusive(&self) -> Result<ExclusiveConnection, CallError> {
        let socket_path = &self.config.socket_path;
        match self.pool.take() {
            Some(connection) => Ok(connection),
            None => {
                let connected = self.connecting(connect::connect(socket_path)).await;
                connected.map_err(|end| end.to_call_error(socket_path, false))
            }
        }
    }

    /// Gives a connection back whose call is over.
    pub(crate) fn give_back(&self, connection: ExclusiveConnection) {
        self.pool.put(connection);
    }

    /// Forgets the idle connections, after one of them was found dead.
    pub(crate) fn forget_idle(&self) {
        self.pool.clear();
    }

    /// Limits `connect` to the connect timeout.
    async fn connecting<T>(
        &self,
        connect: impl Future<Output = Result<T, ConnectionEnd>>,
    ) -> Result<T, ConnectionEnd> {
        let timed_out = |_| Err(connect::failed(&io::ErrorKind::TimedOut.into()));
        timeout(self.config.connect_timeout, connect).await.unwrap_or_else(timed_out)
    }

    /// Makes a call on a connection that it has to itself.
    async fn call_alone(&self, outgoing: &Outgoing<'_>) -> Result<Answer, Failure> {
        let mut connection = self.exclusive().await?;
        connection.send(outgoing).await?;
        let ended = |end| Failure::Ended { end: Arc::new(end), sent: true };
        let frame = connection.frame().await.map_err(ended)?;
        let message_type = frame.header.message_type;
        // After a chunk more would follow: that connection is closed, which cancels the call.
        if message_type != MessageType::Chunk {
            self.give_back(connection);
        }
        Ok((message_type, frame.payload))
    }

    fn lock_peer(&self) -> MutexGuard<'_, Peer> {
        self.peer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_failures(&self) -> MutexGuard<'_, Failures> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Connections {
    fn drop(&mut self) {
        if let Peer::Multiplexing(connection) = &*self.lock_peer() {
            connection.close();
        }
    }
}

/// The first frame of a reply.
type Answer = (MessageType, Bytes);

/// Why there is no reply.
#[derive(Debug)]
enum Failure {
    TimedOut,
    Ended { end: Arc<ConnectionEnd>, sent: bool },
    Call(CallError),
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Failure {
        Failure::Call(error)
    }
}

impl From<CallFailure> for Failure {
    fn from(failure: CallFailure) -> Failure {
        match failure {
            CallFailure::TimedOut => Failure::TimedOut,
            CallFailure::Ended { end, sent } => Failure::Ended { end, sent },
            CallFailure::Call(error) => Failure::Call(error),
        }
    }
}

impl From<SendFailure> for Failure {
    fn from(failure: SendFailure) -> Failure {
        match failure {
            SendFailure::Ended { end, sent } => Failure::Ended { end: Arc::new(end), sent },
            SendFailure::Call(error) => Failure::Call(error),
        }
    }
}

/// Whether a connection ended under the call before any of its request was written.
fn is_unsent(failure: &Failure) -> bool {
    matches!(failure, Failure::Ended { sent: false, .. })
}

/// Gives `step` until `deadline`.
async fn before<T>(
    deadline: Option<Instant>,
    step: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    match deadline {
        Some(deadline) => timeout_at(deadline, step).await.unwrap_or(Err(Failure::TimedOut)),
        None => step.await,
    }
}
