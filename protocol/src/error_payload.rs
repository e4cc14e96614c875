//! What an ERROR message carries.

use std::fmt;

use bytes::Bytes;
use bytestring::ByteString;

use crate::error::DecodeError;
use crate::value::{Dict, Value};

/// The class of an error, by gunicorn's class names.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorType {
    /// `DirtyError`: none of the others.
    Dirty,
    /// `DirtyTimeoutError`: the action ran past its time limit.
    Timeout,
    /// `DirtyConnectionError`: the arbiter cannot be reached.
    Connection,
    /// `DirtyWorkerError`: the worker died or failed outside the action.
    Worker,
    /// `DirtyAppError`: the action failed.
    App,
    /// `DirtyAppNotFoundError`: the worker does not hold the app.
    AppNotFound,
    /// `DirtyNoWorkersAvailableError`: no worker serves the app.
    NoWorkersAvailable,
    /// `DirtyProtocolError`: the peer's bytes were not what they have to be.
    Protocol,
    /// `StashError`: a stash operation failed.
    Stash,
    /// `StashTableNotFoundError`: no such table.
    StashTableNotFound,
    /// `StashKeyNotFoundError`: no such key in the table.
    StashKeyNotFound,
    /// A class that gunicorn's protocol does not know, by its name.
    Other(ByteString),
}

impl ErrorType {
    /// The class name that goes over the wire.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Dirty => "DirtyError",
            Self::Timeout => "DirtyTimeoutError",
            Self::Connection => "DirtyConnectionError",
            Self::Worker => "DirtyWorkerError",
            Self::App => "DirtyAppError",
            Self::AppNotFound => "DirtyAppNotFoundError",
            Self::NoWorkersAvailable => "DirtyNoWorkersAvailableError",
            Self::Protocol => "DirtyProtocolError",
            Self::Stash => "StashError",
            Self::StashTableNotFound => "StashTableNotFoundError",
            Self::StashKeyNotFound => "StashKeyNotFoundError",
            Self::Other(name) => name,
        }
    }
}

impl From<&str> for ErrorType {
    fn from(name: &str) -> Self {
        match name {
            "DirtyError" => Self::Dirty,
            "DirtyTimeoutError" => Self::Timeout,
            "DirtyConnectionError" => Self::Connection,
            "DirtyWorkerError" => Self::Worker,
            "DirtyAppError" => Self::App,
            "DirtyAppNotFoundError" => Self::AppNotFound,
            "DirtyNoWorkersAvailableError" => Self::NoWorkersAvailable,
            "DirtyProtocolError" => Self::Protocol,
            "StashError" => Self::Stash,
            "StashTableNotFoundError" => Self::StashTableNotFound,
            "StashKeyNotFoundError" => Self::StashKeyNotFound,
            other => Self::Other(other.into()),
        }
    }
}

impl fmt::Display for ErrorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The payload of an ERROR message: a class, a text for the caller, and details under gunicorn's keys.
#[derive(Debug, Clone, PartialEq)]
pub struct ErrorPayload {
    /// The class.
    pub error_type: ErrorType,
    /// What happened, for the caller to read.
    pub message: ByteString,
    /// The fields of gunicorn's exceptions: `app_path`, `action`, `traceback`, `timeout`, ...
    pub details: Dict,
}

impl ErrorPayload {
    /// An error of any class without details.
    #[must_use]
    pub fn new(error_type: ErrorType, message: impl Into<ByteString>) -> Self {
        Self { error_type, message: message.into(), details: Dict::new() }
    }

    /// The same with one more detail.
    #[must_use]
    pub fn with_detail(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.details.insert(key, value);
        self
    }

    /// gunicorn's `DirtyError`.
    #[must_use]
    pub fn dirty(message: impl Into<ByteString>) -> Self {
        Self::new(ErrorType::Dirty, message)
    }

    /// gunicorn's `DirtyTimeoutError`; the time limit is in seconds.
    #[must_use]
    pub fn timeout(message: impl Into<ByteString>, timeout: std::time::Duration) -> Self {
        Self::new(ErrorType::Timeout, message).with_detail("timeout", timeout.as_secs_f64())
    }

    /// gunicorn's `DirtyConnectionError`.
    #[must_use]
    pub fn connection(message: impl Into<ByteString>, socket_path: &str) -> Self {
        Self::new(ErrorType::Connection, message).with_detail("socket_path", socket_path)
    }

    /// gunicorn's `DirtyWorkerError`.
    #[must_use]
    pub fn worker(message: impl Into<ByteString>, worker_id: impl Into<Value>) -> Self {
        Self::new(ErrorType::Worker, message).with_detail("worker_id", worker_id)
    }

    /// gunicorn's `DirtyAppError`; an empty `traceback` is left out, as there.
    #[must_use]
    pub fn app(message: impl Into<ByteString>, app_path: &str, action: &str, traceback: &str) -> Self {
        let mut error = Self::new(ErrorType::App, message);
        for (key, text) in [("app_path", app_path), ("action", action), ("traceback", traceback)] {
            if !text.is_empty() {
                error.details.insert(key, text);
            }
        }
        error
    }

    /// gunicorn's `DirtyAppNotFoundError`, with its message.
    #[must_use]
    pub fn app_not_found(app_path: &str) -> Self {
        Self::new(ErrorType::AppNotFound, format!("Dirty app not found: {app_path}"))
            .with_detail("app_path", app_path)
    }

    /// gunicorn's `DirtyNoWorkersAvailableError`, with its message.
    #[must_use]
    pub fn no_workers_available(app_path: &str) -> Self {
        Self::new(ErrorType::NoWorkersAvailable, format!("No workers available for app: {app_path}"))
            .with_detail("app_path", app_path)
    }

    /// gunicorn's `DirtyProtocolError`; the first 100 bytes of what was received go along in hex.
    #[must_use]
    pub fn protocol(message: impl Into<ByteString>, received: &[u8]) -> Self {
        let error = Self::new(ErrorType::Protocol, message);
        if received.is_empty() {
            return error;
        }
        let shown = &received[..received.len().min(SHOWN_LEN)];
        error.with_detail("raw_data", shown.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
    }

    /// gunicorn's `StashTableNotFoundError`, with its message.
    #[must_use]
    pub fn stash_table_not_found(table: &str) -> Self {
        Self::new(ErrorType::StashTableNotFound, format!("Stash table not found: {table}"))
    }

    /// gunicorn's `StashKeyNotFoundError`, with its message.
    #[must_use]
    pub fn stash_key_not_found(table: &str, key: &str) -> Self {
        Self::new(ErrorType::StashKeyNotFound, format!("Key not found in {table}: {key}"))
    }

    /// The app that was called, if the error says.
    #[must_use]
    pub fn app_path(&self) -> Option<&str> {
        self.details.get("app_path")?.as_str()
    }

    /// The action that was called, if the error says.
    #[must_use]
    pub fn action(&self) -> Option<&str> {
        self.details.get("action")?.as_str()
    }

    /// The traceback, error chain or panic message, if the error has one.
    #[must_use]
    pub fn traceback(&self) -> Option<&str> {
        self.details.get("traceback")?.as_str()
    }

    /// The time limit that was passed, if the error says.
    #[must_use]
    pub fn time_limit(&self) -> Option<std::time::Duration> {
        let seconds = match self.details.get("timeout")? {
            Value::Float(seconds) => *seconds,
            // Whole seconds are what people configure; beyond 2^53 no one does.
            #[allow(clippy::cast_precision_loss)]
            Value::Int(seconds) => *seconds as f64,
            _ => return None,
        };
        std::time::Duration::try_from_secs_f64(seconds).ok()
    }

    /// The worker concerned, if the error says: gunicorn's process id or whatever the peer names it by.
    #[must_use]
    pub fn worker_id(&self) -> Option<&Value> {
        self.details.get("worker_id")
    }

    /// Decodes the payload of an ERROR message, as leniently as gunicorn does: what lacks is filled in,
    /// and an `error` that is no dict is taken as the message.
    ///
    /// # Errors
    ///
    /// The payload is not one dict within the limits.
    pub fn decode(payload: Bytes) -> Result<Self, DecodeError> {
        let mut dict = match Value::decode(payload)? {
            Value::Dict(dict) => dict,
            other => return Err(DecodeError::NotADict { message: "ERROR", found: other.kind() }),
        };
        let mut error = match dict.remove("error") {
            Some(Value::Dict(error)) => error,
            Some(Value::Str(message)) => return Ok(Self::dirty(message)),
            _ => return Ok(Self::dirty(UNKNOWN)),
        };
        let error_type = match error.get("error_type") {
            Some(Value::Str(name)) => ErrorType::from(&**name),
            _ => ErrorType::Dirty,
        };
        let message = match error.remove("message") {
            Some(Value::Str(message)) => message,
            Some(other) => format!("{other:?}").into(),
            None => UNKNOWN.into(),
        };
        let details = match error.remove("details") {
            Some(Value::Dict(details)) => details,
            _ => Dict::new(),
        };
        Ok(Self { error_type, message, details })
    }
}

impl fmt::Display for ErrorPayload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.error_type, self.message)
    }
}

impl std::error::Error for ErrorPayload {}

/// Bytes of a broken message that an error shows.
const SHOWN_LEN: usize = 100;

/// gunicorn's text for an error that says nothing.
const UNKNOWN: &str = "Unknown error";
