//! From a path to a connection, and what kind of arbiter is at its other end.

use std::io;
use std::path::Path;
use std::time::Duration;

use gunmetal_client_core::{ConnectionEnd, ConnectionStage, Outgoing, Reply, Status};
use nix::sys::socket::{setsockopt, sockopt};
use tokio::net::UnixStream;
use tokio::time::sleep;
use tracing::debug;

use crate::exclusive::{ExclusiveConnection, SendFailure};
use crate::socket::for_reading;

/// What an arbiter can do with one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PeerKind {
    /// Many calls at once, and CANCEL frames.
    Multiplexing,
    /// One call at a time, as gunicorn's.
    OneAtATime,
}

/// Connects to the arbiter's socket.
pub(crate) async fn connect(socket_path: &Path) -> Result<ExclusiveConnection, ConnectionEnd> {
    let mut pause = FIRST_PAUSE;
    let socket = loop {
        match UnixStream::connect(socket_path).await {
            Ok(socket) => break socket,
            // The accept queue is full. The kernel has no event for "there is room again".
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            Err(error) => return Err(failed(&error)),
        }
    };
    // As far as the system's limit allows: a large request then needs fewer turns.
    if let Err(error) = setsockopt(&socket, sockopt::SndBuf, &SEND_BUFFER) {
        debug!(%error, "the send buffer keeps its size");
    }
    for_reading(socket).map(ExclusiveConnection::new).map_err(|error| failed(&error))
}

/// Asks the arbiter behind a new connection what it can do.
pub(crate) async fn ask_kind(connection: &mut ExclusiveConnection) -> Result<PeerKind, ConnectionEnd> {
    connection.send(&Outgoing::Status).await.map_err(|failure| match failure {
        SendFailure::Ended { end, .. } => end,
        SendFailure::Call(_) => unreachable!("a status request can always be encoded"),
    })?;
    let frame = connection.frame().await?;
    // An arbiter that cannot answer this is spoken to in the plainest way.
    let status = match Outgoing::Status.read_reply(frame.header.message_type, frame.payload) {
        Ok(Reply::Result(value)) => gunmetal_protocol::from_bytes::<Status>(value).ok(),
        _ => None,
    };
    let can = |extension| status.as_ref().is_some_and(|status| status.has_extension(extension));
    let kind = match can(Status::MULTIPLEX) && can(Status::CANCEL) {
        true => PeerKind::Multiplexing,
        false => PeerKind::OneAtATime,
    };
    debug!(?kind, "connected");
    Ok(kind)
}

/// A connection that did not come about.
pub(crate) fn failed(error: &io::Error) -> ConnectionEnd {
    ConnectionEnd::io(ConnectionStage::Connect, error)
}

/// Wanted size of a socket's send buffer, in bytes.
const SEND_BUFFER: usize = 4 << 20;
/// Pauses while the accept queue is full.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);
