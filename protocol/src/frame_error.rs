//! Why a driver cannot give the next frame.

use std::io;

use crate::error::EncodeError;
use crate::header::HeaderError;

/// A connection gives no more frames.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The peer's bytes are no frame; the connection has to end.
    #[error("broken frame header")]
    Header(#[source] HeaderError),
    /// The peer closed the connection inside a frame.
    #[error("connection closed inside a frame, {missing} bytes before its end or the end of its header")]
    Truncated {
        /// Bytes that were still to come.
        missing: usize,
    },
    /// A frame to be sent is over a limit; nothing of it was written.
    #[error("frame cannot be encoded")]
    Encode(#[source] EncodeError),
    /// Reading or writing failed. After a timeout of the reader, the same call may be made again:
    /// nothing that was read is lost.
    #[error("connection failed")]
    Io(#[source] io::Error),
}

/// `tokio_util` asks for this conversion; which operation failed is known to whoever drives the codec.
impl From<io::Error> for FrameError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
