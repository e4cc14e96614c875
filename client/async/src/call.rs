//! One call, being put together.

use std::sync::Arc;
use std::time::Duration;

use gunmetal_client_core::{CallError, PendingCall};
use gunmetal_protocol::Args;
use serde::de::DeserializeOwned;

use crate::client::Client;
use crate::stream::ReplyStream;

/// A call that has not been made yet; see [`Client::call`].
#[derive(Debug)]
#[must_use = "a call does nothing until it is executed or streamed"]
pub struct Call<'a> {
    client: &'a Client,
    pending: PendingCall<'a>,
}

impl<'a> Call<'a> {
    pub(crate) fn new(client: &'a Client, app_path: &'a str, action: &'a str) -> Call<'a> {
        Call { client, pending: PendingCall::new(app_path, action, client.config()) }
    }

    /// Sets the arguments.
    pub fn args(mut self, args: impl Into<Args>) -> Call<'a> {
        self.pending.args = args.into();
        self
    }

    /// How long the call may take, from its first poll on; `None`: for ever. For a stream, the time
    /// until its end.
    pub fn timeout(mut self, timeout: impl Into<Option<Duration>>) -> Call<'a> {
        self.pending.timeout = Some(timeout.into());
        self
    }

    /// How long to wait for each chunk of a stream; `None`: for ever.
    pub fn idle_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Call<'a> {
        self.pending.idle_timeout = timeout.into();
        self
    }

    /// Makes the call; see [`Client::execute`].
    ///
    /// # Errors
    ///
    /// Any [`CallError`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels the call.
    pub async fn execute<T: DeserializeOwned + 'static>(self) -> Result<T, CallError> {
        let timeout = self.pending.timeout.unwrap_or(self.client.config().call_timeout);
        self.client.ask(&self.pending.to_outgoing(), timeout).await
    }

    /// Makes the call when the stream is first polled; see [`Client::stream`].
    pub fn stream<T: DeserializeOwned + 'static>(self) -> ReplyStream<T> {
        ReplyStream::new(Arc::clone(&self.client.connections), self.pending.into_owned())
    }
}
