//! The client and its connections.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use gunmetal_client_core::{
    CallError, ClientConfig, ConfigError, ManageReply, Outgoing, Reply, ScanSupport, Status,
};
use gunmetal_protocol::{Args, Bytes, ManageOp, MessageType};
use serde::de::DeserializeOwned;

use crate::call::Call;
use crate::connection::{Connection, Failure};
use crate::reply_iter::ReplyIter;
use crate::stash::Stash;

/// Calls the apps of a dirty arbiter, from ordinary threads.
///
/// Cheap to clone; the clones share their idle connections. A call takes the connection that was
/// used last, or opens one, so that each thread that calls at the same time has its own. Nothing is
/// connected before the first call.
#[derive(Debug, Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: ClientConfig,
    /// Connections without a call, the one used last at the end.
    idle: Mutex<Vec<Connection>>,
    scan_support: Arc<ScanSupport>,
}

impl Client {
    /// A client with these settings.
    #[must_use]
    pub fn new(config: ClientConfig) -> Client {
        let (idle, scan_support) = (Mutex::default(), Arc::default());
        Client { inner: Arc::new(Inner { config, idle, scan_support }) }
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
    /// [`Value`](gunmetal_protocol::Value), or [`Bytes`](gunmetal_protocol::Bytes), which is not copied.
    ///
    /// # Errors
    ///
    /// Any [`CallError`]; [`CallError::Streams`] if the action streams its results.
    pub fn execute<T: DeserializeOwned + 'static>(
        &self,
        app_path: &str,
        action: &str,
        args: impl Into<Args>,
    ) -> Result<T, CallError> {
        self.call(app_path, action).args(args).execute()
    }

    /// Calls `action` of the app at `app_path` and returns its results one by one, as they come.
    ///
    /// Nothing happens before the first is asked for. A reader that pauses holds up this stream
    /// only, in the end its producer; dropping the iterator cancels the call. An action that does
    /// not stream yields its one result. After an error the iterator is over.
    pub fn stream<T: DeserializeOwned + 'static>(
        &self,
        app_path: &str,
        action: &str,
        args: impl Into<Args>,
    ) -> ReplyIter<T> {
        self.call(app_path, action).args(args).stream()
    }

    /// A call of `action` of the app at `app_path`, to be given arguments and limits of its own.
    ///
    /// ```no_run
    /// # use gunmetal_client_blocking::{CallError, Client, args};
    /// # use std::time::Duration;
    /// # fn f(client: Client) -> Result<(), CallError> {
    /// let call = client.call("images:ImageApp", "thumbnail").args(args!["cat.png"; size = 64]);
    /// let thumbnail: Vec<u8> = call.timeout(Duration::from_secs(2)).execute()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn call<'a>(&'a self, app_path: &'a str, action: &'a str) -> Call<'a> {
        Call::new(self, app_path, action)
    }

    /// The tables that all processes of the service share.
    #[must_use]
    pub fn stash(&self) -> Stash {
        Stash::new(self.clone())
    }

    /// The state of the arbiter and its workers.
    ///
    /// # Errors
    ///
    /// [`CallError::Connection`], [`CallError::Timeout`], [`CallError::Protocol`].
    pub fn status(&self) -> Result<Status, CallError> {
        self.ask(&Outgoing::Status, self.inner.config.call_timeout)
    }

    /// Adds or removes `count` dirty workers.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub fn manage(&self, op: ManageOp, count: u32) -> Result<ManageReply, CallError> {
        self.ask(&Outgoing::Manage { op, count }, self.inner.config.call_timeout)
    }

    /// What is known of the arbiter's stash.
    pub(crate) fn scan_support(&self) -> &Arc<ScanSupport> {
        &self.inner.scan_support
    }

    /// Makes a call and returns its result.
    pub(crate) fn ask<T: DeserializeOwned + 'static>(
        &self,
        outgoing: &Outgoing<'_>,
        timeout: Option<Duration>,
    ) -> Result<T, CallError> {
        let value = self.result_of(outgoing, timeout)?;
        outgoing.decode(value)
    }

    /// Makes a call and returns its encoded result.
    pub(crate) fn result_of(
        &self,
        outgoing: &Outgoing<'_>,
        timeout: Option<Duration>,
    ) -> Result<Bytes, CallError> {
        let deadline = timeout.map(|timeout| Instant::now() + timeout);
        let frame = self
            .send(outgoing, deadline)
            .and_then(|mut connection| connection.frame(deadline).map(|frame| (connection, frame)));
        let (connection, frame) = frame.map_err(|failure| self.to_error(failure, outgoing, timeout))?;
        let message_type = frame.header.message_type;
        // After a chunk more would follow: that connection is closed, which cancels the call.
        if message_type != MessageType::Chunk {
            self.give_back(connection);
        }
        match outgoing.read_reply(message_type, frame.payload)? {
            Reply::Result(value) => Ok(value),
            Reply::Chunk(_) | Reply::End => Err(outgoing.streams()),
        }
    }

    /// Sends a request on an idle connection, or a new one.
    pub(crate) fn send(
        &self,
        outgoing: &Outgoing<'_>,
        deadline: Option<Instant>,
    ) -> Result<Connection, Failure> {
        let idle = self.idle().pop();
        if let Some(mut connection) = idle {
            match connection.send(outgoing, deadline) {
                Ok(()) => return Ok(connection),
                // The arbiter had closed it meanwhile, and with it, no doubt, the others.
                Err(Failure::Ended { sent: false, .. }) => self.idle().clear(),
                Err(failure) => return Err(failure),
            }
        }
        let config = &self.inner.config;
        let mut connection = Connection::open(&config.socket_path, config.connect_timeout, deadline)?;
        connection.send(outgoing, deadline)?;
        Ok(connection)
    }

    /// Keeps a connection whose call is over, to its last frame.
    pub(crate) fn give_back(&self, connection: Connection) {
        let mut idle = self.idle();
        if connection.is_in_step() && idle.len() < self.inner.config.max_idle_connections {
            idle.push(connection);
        }
    }

    /// What the caller is told about a failure, `limit` being how long it was ready to wait.
    pub(crate) fn to_error(
        &self,
        failure: Failure,
        outgoing: &Outgoing<'_>,
        limit: Option<Duration>,
    ) -> CallError {
        match failure {
            Failure::TimedOut => outgoing.timed_out(limit.unwrap_or_default()),
            Failure::Ended { end, sent } => end.to_call_error(&self.inner.config.socket_path, sent),
            Failure::Call(error) => error,
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.inner.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
