//! The client, and which connection a call takes.

use std::future::Future;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use gunmetal_client_core::{
    CallError, ClientConfig, ConfigError, ConnectionEnd, ManageReply, Outgoing, Reply, Status,
};
use gunmetal_protocol::{Args, ManageOp, MessageType};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout_at};

use crate::call::Call;
use crate::connect::{self, PeerKind};
use crate::driver::Driver;
use crate::exclusive::{ExclusiveConnection, SendFailure};
use crate::pool::Pool;
use crate::shared::{CallFailure, SharedConnection};
use crate::stream::ReplyStream;

/// Calls the apps of a dirty arbiter.
///
/// Cheap to clone; the clones share their connections. Nothing is connected before the first call,
/// and after the arbiter went away the next call connects again.
///
/// A call needs a tokio runtime with its I/O driver, and its timer where a timeout is set. The
/// runtime that makes the first call drives the shared connection; if that runtime ends, the next
/// call connects anew on its own.
#[derive(Debug, Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: ClientConfig,
    peer: Mutex<Peer>,
    /// Held by the call that connects, while the others wait.
    connecting: tokio::sync::Mutex<()>,
    pool: Pool,
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

impl Client {
    /// A client with these settings.
    #[must_use]
    pub fn new(config: ClientConfig) -> Client {
        let pool = Pool::new(config.max_idle_connections);
        let (peer, connecting) = (Mutex::new(Peer::Unknown), tokio::sync::Mutex::new(()));
        Client { inner: Arc::new(Inner { config, peer, connecting, pool }) }
    }

    /// A client of the arbiter that listens at `socket_path`.
    #[must_use]
    pub fn at(socket_path: impl Into<PathBuf>) -> Client {
        Client::new(ClientConfig::new(socket_path))
    }

    /// A client of the arbiter that the environment names; inside a worker of the service, its own.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if the environment names none.
    pub fn from_env() -> Result<Client, ConfigError> {
        ClientConfig::from_env().map(Client::new)
    }

    /// The client's settings.
    #[must_use]
    pub fn config(&self) -> &ClientConfig {
        &self.inner.config
    }

    /// Calls `action` of the app at `app_path` and returns its result.
    ///
    /// `T` is what the result is decoded into: your own `Deserialize` type, a
    /// [`Value`](gunmetal_protocol::Value), or [`Bytes`], which is not copied.
    ///
    /// # Errors
    ///
    /// Any [`CallError`]; [`CallError::Streams`] if the action streams its results.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels the call: the arbiter is told, and a late reply is ignored. The
    /// action may have run.
    pub async fn execute<T: DeserializeOwned + 'static>(
        &self,
        app_path: &str,
        action: &str,
        args: impl Into<Args>,
    ) -> Result<T, CallError> {
        self.call(app_path, action).args(args).execute().await
    }

    /// Calls `action` of the app at `app_path` and returns its results one by one, as they come.
    ///
    /// Nothing happens before the stream is first polled. A reader that pauses holds up this stream
    /// only, in the end its producer; dropping the stream cancels the call. An action that does not
    /// stream yields its one result. After an error the stream is over.
    pub fn stream<T: DeserializeOwned + 'static>(
        &self,
        app_path: &str,
        action: &str,
        args: impl Into<Args>,
    ) -> ReplyStream<T> {
        self.call(app_path, action).args(args).stream()
    }

    /// A call of `action` of the app at `app_path`, to be given arguments and limits of its own.
    ///
    /// ```no_run
    /// # use gunmetal_client::{CallError, Client, args};
    /// # use std::time::Duration;
    /// # async fn f(client: Client) -> Result<(), CallError> {
    /// let call = client.call("images:ImageApp", "thumbnail").args(args!["cat.png"; size = 64]);
    /// let thumbnail: Vec<u8> = call.timeout(Duration::from_secs(2)).execute().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn call<'a>(&'a self, app_path: &'a str, action: &'a str) -> Call<'a> {
        Call::new(self, app_path, action)
    }

    /// The state of the arbiter and its workers.
    ///
    /// # Errors
    ///
    /// [`CallError::Connection`], [`CallError::Timeout`], [`CallError::Protocol`].
    ///
    /// # Cancel safety
    ///
    /// May be dropped at any time.
    pub async fn status(&self) -> Result<Status, CallError> {
        self.ask(Outgoing::Status).await
    }

    /// Adds or removes `count` dirty workers.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not take a request back that the arbiter has received.
    pub async fn manage(&self, op: ManageOp, count: u32) -> Result<ManageReply, CallError> {
        self.ask(Outgoing::Manage { op, count }).await
    }

    async fn ask<T: DeserializeOwned + 'static>(&self, outgoing: Outgoing<'_>) -> Result<T, CallError> {
        let value = self.result_of(&outgoing, self.inner.config.call_timeout).await?;
        outgoing.decode(value)
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
            self.inner.pool.clear();
            result = self.attempt(outgoing, deadline).await;
        }
        let (message_type, payload) = match result {
            Ok(reply) => reply,
            Err(Failure::TimedOut) => return Err(outgoing.timed_out(timeout.unwrap_or_default())),
            Err(Failure::Ended { end, sent }) => {
                return Err(end.to_call_error(&self.inner.config.socket_path, sent));
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
                    let mut peer = self.inner.peer();
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
        let mut peer = self.inner.peer();
        if let Peer::Multiplexing(connection) = &*peer
            && !connection.is_alive()
        {
            *peer = Peer::Unknown;
        }
        peer.clone()
    }

    /// Connects and asks the arbiter what it is, unless another call is doing so already.
    async fn find_peer(&self) -> Result<Peer, Failure> {
        let _turn = self.inner.connecting.lock().await;
        let known = self.peer_now();
        if !matches!(known, Peer::Unknown) {
            return Ok(known);
        }
        let socket_path = &self.inner.config.socket_path;
        let (connection, kind) = self
            .connecting(async {
                let mut connection = connect::connect(socket_path).await?;
                let kind = connect::ask_kind(&mut connection, socket_path).await?;
                Ok((connection, kind))
            })
            .await?;
        let peer = match kind {
            PeerKind::OneAtATime => {
                self.inner.pool.put(connection);
                Peer::OneAtATime
            }
            PeerKind::Multiplexing => {
                let (socket, receive) = connection.into_parts();
                let (read, write) = socket.into_split();
                let max_in_flight = self.inner.config.max_in_flight;
                let shared = Arc::new(SharedConnection::new(write, max_in_flight));
                tokio::spawn(Driver::new(Arc::clone(&shared), read, receive).run());
                Peer::Multiplexing(shared)
            }
        };
        *self.inner.peer() = peer.clone();
        Ok(peer)
    }

    /// A connection for one call alone.
    pub(crate) async fn exclusive(&self) -> Result<ExclusiveConnection, CallError> {
        match self.inner.pool.take() {
            Some(connection) => Ok(connection),
            None => self.connecting(connect::connect(&self.inner.config.socket_path)).await,
        }
    }

    /// Gives a connection back whose call is over.
    pub(crate) fn give_back(&self, connection: ExclusiveConnection) {
        self.inner.pool.put(connection);
    }

    /// Forgets the idle connections, after one of them was found dead.
    pub(crate) fn forget_idle(&self) {
        self.inner.pool.clear();
    }

    /// Limits `connect` to the connect timeout.
    async fn connecting<T>(
        &self,
        connect: impl Future<Output = Result<T, CallError>>,
    ) -> Result<T, CallError> {
        let config = &self.inner.config;
        match tokio::time::timeout(config.connect_timeout, connect).await {
            Ok(result) => result,
            Err(_) => Err(connect::failed(&config.socket_path, std::io::ErrorKind::TimedOut.into())),
        }
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
}

impl Inner {
    fn peer(&self) -> MutexGuard<'_, Peer> {
        self.peer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Peer::Multiplexing(connection) = &*self.peer() {
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
