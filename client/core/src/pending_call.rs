//! A call that has not been made yet.

use std::borrow::Cow;
use std::time::Duration;

use gunmetal_protocol::Args;

use crate::config::ClientConfig;
use crate::outgoing::Outgoing;

/// What a caller has said about a call so far, before it is executed or streamed.
#[derive(Debug, Clone)]
pub struct PendingCall<'a> {
    app_path: Cow<'a, str>,
    action: Cow<'a, str>,
    /// What the action is given.
    pub args: Args,
    /// The limit of the whole call as the caller set it; `None` if it did not. `Some(None)` is no limit.
    pub timeout: Option<Option<Duration>>,
    /// How long a stream's reader waits for each chunk.
    pub idle_timeout: Option<Duration>,
}

impl<'a> PendingCall<'a> {
    /// A call without arguments, with the limits that `config` sets.
    #[must_use]
    pub fn new(app_path: &'a str, action: &'a str, config: &ClientConfig) -> PendingCall<'a> {
        PendingCall {
            app_path: app_path.into(),
            action: action.into(),
            args: Args::new(),
            timeout: None,
            idle_timeout: config.idle_timeout,
        }
    }

    /// The call as it is sent.
    #[must_use]
    pub fn to_outgoing(&self) -> Outgoing<'_> {
        Outgoing::Request { app_path: &self.app_path, action: &self.action, args: &self.args }
    }

    /// The same, to outlive its caller's strings.
    #[must_use]
    pub fn into_owned(self) -> PendingCall<'static> {
        PendingCall {
            app_path: self.app_path.into_owned().into(),
            action: self.action.into_owned().into(),
            args: self.args,
            timeout: self.timeout,
            idle_timeout: self.idle_timeout,
        }
    }
}
