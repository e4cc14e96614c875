//! What can go wrong with a call.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use gunmetal_protocol::{DecodeError, EncodeError, ErrorPayload, ErrorType, Value};

use crate::config::ConfigError;
use crate::stash::StashError;

/// Why a call brought no result. The variants are gunicorn's exception classes, and what only a
/// client can meet.
///
/// Who can act: the app's author on [`App`](CallError::App), the operator on
/// [`Connection`](CallError::Connection), [`Worker`](CallError::Worker) and
/// [`NoWorkersAvailable`](CallError::NoWorkersAvailable), the caller on the rest.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The time was up: the caller's own limit, or the arbiter's `dirty_timeout`.
    #[error("{message}")]
    Timeout {
        /// Which call, and whose limit.
        message: String,
        /// The limit, if known.
        timeout: Option<Duration>,
    },
    /// The arbiter could not be reached, or the connection to it broke.
    #[error("{stage} the dirty arbiter at {} failed", socket_path.display())]
    Connection {
        /// The arbiter's socket.
        socket_path: PathBuf,
        /// What was being done.
        stage: ConnectionStage,
        /// A part of the request may have reached the arbiter, so that it may have run.
        request_sent: bool,
        /// What the system said.
        source: io::Error,
    },
    /// The worker that had the call died or failed.
    #[error("{message}")]
    Worker {
        /// What happened.
        message: String,
        /// Which worker, as the arbiter names it.
        worker_id: Option<String>,
        /// Its stack, if it could tell.
        traceback: Option<String>,
    },
    /// The action failed, or could not be called so: it is unknown, the arguments do not fit, it
    /// returned an error, it panicked.
    #[error("{app_path} {action}: {message}")]
    App {
        /// The app.
        app_path: String,
        /// The action.
        action: String,
        /// What the app said.
        message: String,
        /// The error's causes, or the panic's backtrace.
        traceback: Option<String>,
    },
    /// The service has no such app.
    #[error("{message}")]
    AppNotFound {
        /// The app that was called.
        app_path: String,
        /// What the arbiter said, with the names of the apps that it has.
        message: String,
    },
    /// The service has the app, but nobody to serve it now: no worker, or too many calls waiting.
    #[error("{message}")]
    NoWorkersAvailable {
        /// The app that was called.
        app_path: String,
        /// What the arbiter said.
        message: String,
    },
    /// A peer broke the protocol.
    #[error("{message}")]
    Protocol {
        /// Who did, and how.
        message: String,
        /// What was found and what is allowed.
        source: Option<Box<dyn StdError + Send + Sync>>,
    },
    /// An error of no class that this version knows, gunicorn's plain `DirtyError` among them.
    #[error("{message}")]
    Other {
        /// The class's name.
        error_type: String,
        /// What the arbiter said.
        message: String,
    },
    /// `execute` called an action that streams. It was cancelled.
    #[error("{app_path} {action} streams its results: call it with stream() instead of execute()")]
    Streams {
        /// The app.
        app_path: String,
        /// The action.
        action: String,
    },
    /// The arbiter at the other end does not know this operation.
    #[error("the dirty arbiter does not support {operation}")]
    Unsupported {
        /// What was asked for.
        operation: String,
    },
    /// The arguments, or the value for the stash, cannot be sent. Nothing was.
    #[error("what {call} was given cannot be sent")]
    Encode {
        /// Which call.
        call: String,
        /// What is wrong with them.
        source: EncodeError,
    },
    /// The result does not have the type that was asked for, or is no value at all.
    #[error("the result of {call} cannot be decoded")]
    Decode {
        /// Which call.
        call: String,
        /// Where, and what was found.
        source: DecodeError,
    },
    /// The stash refused an operation: no such key, no such table, no room.
    #[error(transparent)]
    Stash(#[from] StashError),
    /// The client does not know where the arbiter is.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// What was being done when a connection failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionStage {
    /// Connecting, up to the arbiter's first answer.
    Connect,
    /// Sending a request.
    Send,
    /// Waiting for a reply, or reading it.
    AwaitReply,
}

impl fmt::Display for ConnectionStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ConnectionStage::Connect => "connecting to",
            ConnectionStage::Send => "sending to",
            ConnectionStage::AwaitReply => "waiting for",
        })
    }
}

impl CallError {
    /// Whether the request certainly did not run, so that sending it again cannot do its work twice.
    /// It says nothing about whether a second attempt would fare better.
    #[must_use]
    pub fn is_retry_safe(&self) -> bool {
        match self {
            CallError::Connection { request_sent, .. } => !request_sent,
            CallError::AppNotFound { .. }
            | CallError::NoWorkersAvailable { .. }
            | CallError::Unsupported { .. }
            | CallError::Encode { .. }
            | CallError::Stash(_)
            | CallError::Config(_) => true,
            CallError::Timeout { .. }
            | CallError::Worker { .. }
            | CallError::App { .. }
            | CallError::Protocol { .. }
            | CallError::Other { .. }
            | CallError::Streams { .. }
            | CallError::Decode { .. } => false,
        }
    }

    /// What the arbiter's `payload` says about a call of `action` of the app at `app_path` (both
    /// empty if it was no call of an action).
    ///
    /// An app error without app and action, as gunicorn sends it from within a stream, gets those
    /// of the call.
    #[must_use]
    pub fn from_payload(payload: &ErrorPayload, app_path: &str, action: &str) -> CallError {
        let message = payload.message.to_string();
        let app_path = || payload.app_path().unwrap_or(app_path).to_owned();
        let traceback = || payload.traceback().map(str::to_owned);
        let detail = |key: &str| payload.details.get(key).and_then(Value::as_str);
        match &payload.error_type {
            ErrorType::Timeout => CallError::Timeout { message, timeout: payload.time_limit() },
            ErrorType::Connection => CallError::Connection {
                socket_path: detail("socket_path").map(PathBuf::from).unwrap_or_default(),
                stage: ConnectionStage::AwaitReply,
                request_sent: true,
                source: io::Error::other(message),
            },
            ErrorType::Worker => {
                let worker_id = payload.worker_id().and_then(to_name);
                CallError::Worker { message, worker_id, traceback: traceback() }
            }
            ErrorType::App => CallError::App {
                app_path: app_path(),
                action: payload.action().unwrap_or(action).to_owned(),
                message,
                traceback: traceback(),
            },
            ErrorType::AppNotFound => CallError::AppNotFound { app_path: app_path(), message },
            // gunicorn says the same for an app that is not configured; we tell them apart.
            ErrorType::NoWorkersAvailable if detail(REASON) == Some(APP_NOT_CONFIGURED) => {
                CallError::AppNotFound { app_path: app_path(), message }
            }
            ErrorType::NoWorkersAvailable => CallError::NoWorkersAvailable { app_path: app_path(), message },
            ErrorType::Protocol => CallError::Protocol { message, source: None },
            // gunicorn without any worker, or ours without room for the call.
            ErrorType::Dirty if message == NO_DIRTY_WORKERS || detail(REASON) == Some(QUEUE_FULL) => {
                CallError::NoWorkersAvailable { app_path: app_path(), message }
            }
            other => CallError::Other { error_type: other.as_str().to_owned(), message },
        }
    }
}

/// A worker's id: gunicorn sends its pid, we a slot and generation.
fn to_name(id: &Value) -> Option<String> {
    match id {
        Value::Int(id) => Some(id.to_string()),
        Value::Str(id) => Some(id.to_string()),
        _ => None,
    }
}

/// The key in an error's details that tells one cause from another where gunicorn has one class.
const REASON: &str = "reason";
/// [`REASON`] of a call to an app that the service does not have.
const APP_NOT_CONFIGURED: &str = "app_not_configured";
/// [`REASON`] of a call that found too many waiting already.
const QUEUE_FULL: &str = "queue_full";
/// What gunicorn's arbiter says while it has no worker at all.
const NO_DIRTY_WORKERS: &str = "No dirty workers available";

#[cfg(test)]
mod tests;
