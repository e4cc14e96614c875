//! Why a connection is over.

use std::io;
use std::path::Path;

use gunmetal_protocol::HeaderError;

use crate::error::{CallError, ConnectionStage};

/// Why a connection is over. Many calls may have to be told, so it can be cloned, which an
/// [`io::Error`] cannot.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ConnectionEnd {
    /// The arbiter closed it, or our own side is shutting down.
    Closed,
    /// Reading or writing failed.
    Io {
        /// What was being done.
        stage: ConnectionStage,
        /// The system's error number, if it came from there.
        code: Option<i32>,
        /// What kind of error it was.
        kind: io::ErrorKind,
    },
    /// The arbiter sent what is no frame.
    BadFrame(HeaderError),
    /// The arbiter said why, and closed it.
    Refused(String),
}

impl ConnectionEnd {
    /// A connection that ended with `error` at `stage`.
    #[must_use]
    pub fn io(stage: ConnectionStage, error: &io::Error) -> ConnectionEnd {
        ConnectionEnd::Io { stage, code: error.raw_os_error(), kind: error.kind() }
    }

    /// What a call in flight on the connection to `socket_path` is told. `sent`: a part of its
    /// request may have reached the arbiter.
    #[must_use]
    pub fn to_call_error(&self, socket_path: &Path, sent: bool) -> CallError {
        let socket_path = socket_path.to_owned();
        match self {
            ConnectionEnd::Closed => CallError::Connection {
                socket_path,
                stage: ConnectionStage::AwaitReply,
                request_sent: sent,
                source: io::Error::new(io::ErrorKind::UnexpectedEof, "the arbiter closed the connection"),
            },
            ConnectionEnd::Io { stage, code, kind } => CallError::Connection {
                socket_path,
                stage: *stage,
                request_sent: sent,
                source: code.map_or_else(|| io::Error::from(*kind), io::Error::from_raw_os_error),
            },
            ConnectionEnd::BadFrame(error) => CallError::Protocol {
                message: format!("the arbiter at {} sent a broken frame", socket_path.display()),
                source: Some(Box::new(*error)),
            },
            ConnectionEnd::Refused(message) => CallError::Protocol {
                message: format!("the arbiter closed the connection: {message}"),
                source: None,
            },
        }
    }
}
