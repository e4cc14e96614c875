//! The first moments of a connection: the TLS handshake, and which HTTP the client speaks.

use std::io;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncReadExt;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::socket::{Socket, Stream};
use crate::http::HANDSHAKE_TIMEOUT;

/// The HTTP that a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

/// A connection whose client has begun to speak.
pub(super) struct Opened {
    pub(super) stream: Stream,
    /// What has been read of it.
    pub(super) first: Bytes,
    pub(super) protocol: Protocol,
}

/// Shakes hands if that is wanted, within a time of its own.
pub(super) async fn shake_hands(
    socket: Socket,
    tls: Option<Arc<rustls::ServerConfig>>,
) -> io::Result<Stream> {
    Ok(match tls {
        Some(config) => {
            let handshake = TlsAcceptor::from(config).accept(socket);
            let stream = timeout(HANDSHAKE_TIMEOUT, handshake)
                .await
                .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "the TLS handshake took too long"))??;
            Stream::Tls(Box::new(stream))
        }
        None => Stream::Plain(socket),
    })
}

/// Reads until it is clear what the client speaks.
pub(super) async fn read_first(stream: &mut Stream) -> io::Result<(Bytes, Protocol)> {
    let mut first = BytesMut::with_capacity(FIRST_READ_LEN);
    loop {
        let len = stream.read_buf(&mut first).await?;
        if let Some(protocol) = protocol_of(&first) {
            return Ok((first.freeze(), protocol));
        }
        if len == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// What a client speaks that has begun so; `None` if that is not clear yet. A client may speak HTTP/2 without having said so
/// in the TLS handshake, or without TLS ("prior knowledge", RFC 9113, section 3.3).
fn protocol_of(first: &[u8]) -> Option<Protocol> {
    if first.starts_with(HTTP2_PREFACE) {
        Some(Protocol::Http2)
    } else if HTTP2_PREFACE.starts_with(first) {
        None
    } else {
        Some(Protocol::Http1)
    }
}

/// RFC 9113, section 3.4.
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// As much as hyper reads at first: most requests come in one piece, and are read with one call.
const FIRST_READ_LEN: usize = 8192;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http2_is_known_by_its_preface_however_it_is_cut() {
        for cut in 0..HTTP2_PREFACE.len() {
            assert_eq!(protocol_of(&HTTP2_PREFACE[..cut]), None, "cut at byte {cut}");
        }
        assert_eq!(protocol_of(HTTP2_PREFACE), Some(Protocol::Http2));
        assert_eq!(protocol_of(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0"), Some(Protocol::Http2));
    }

    #[test]
    fn everything_else_is_http1_from_the_first_byte_that_differs() {
        for first in ["GET / HTTP/1.1\r\n", "P0", "PUT", "PRI * HTTP/1.1", "\0"] {
            assert_eq!(protocol_of(first.as_bytes()), Some(Protocol::Http1), "{first:?}");
        }
    }
}
