//! The client.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use gunmetal_client_core::{CallError, ClientConfig, ConfigError, ManageReply, Outgoing, Status};
use gunmetal_protocol::{Args, ManageOp};
use serde::de::DeserializeOwned;

use crate::call::Call;
use crate::connections::Connections;
use crate::stash::Stash;
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
    pub(crate) connections: Arc<Connections>,
}

impl Client {
    /// A client with these settings.
    #[must_use]
    pub fn new(config: ClientConfig) -> Client {
        Client { connections: Arc::new(Connections::new(config)) }
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
        &self.connections.config
    }

    /// Calls `action` of the app at `app_path` and returns its result.
    ///
    /// `T` is what the result is decoded into: your own `Deserialize` type, a
    /// [`Value`](gunmetal_protocol::Value), or [`Bytes`](gunmetal_protocol::Bytes), which is not copied.
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
    ///
    /// # Cancel safety
    ///
    /// May be dropped at any time.
    pub async fn status(&self) -> Result<Status, CallError> {
        self.ask(&Outgoing::Status, self.config().call_timeout).await
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
        self.ask(&Outgoing::Manage { op, count }, self.config().call_timeout).await
    }

    /// Makes a call and returns its result.
    pub(crate) async fn ask<T: DeserializeOwned + 'static>(
        &self,
        outgoing: &Outgoing<'_>,
        timeout: Option<Duration>,
    ) -> Result<T, CallError> {
        let value = self.connections.result_of(outgoing, timeout).await?;
        outgoing.decode(value)
    }
}
