//! Writing without waiting.

use std::io::{self, IoSlice};
use std::os::fd::AsRawFd;

use bytes::Buf;
use gunmetal_protocol::Segments;
use nix::sys::socket::{MsgFlags, UnixAddr, send, sendmsg};
use tokio::io::Interest;
use tokio::net::UnixStream;

/// Writes as much of `segments` as the socket takes; what is left stays in it.
///
/// A peer that is gone is an error and never a SIGPIPE, whatever a parent process did to that signal.
pub(crate) fn send_some(socket: &UnixStream, segments: &mut Segments) -> io::Result<()> {
    while segments.has_remaining() {
        let sent = socket.try_io(Interest::WRITABLE, || {
            let (fd, chunk) = (socket.as_raw_fd(), segments.chunk());
            let sent = if chunk.len() == segments.remaining() {
                send(fd, chunk, MsgFlags::MSG_NOSIGNAL)
            } else {
                let mut slices = [IoSlice::new(&[]); MAX_SLICES];
                let count = segments.chunks_vectored(&mut slices);
                sendmsg::<UnixAddr>(fd, &slices[..count], &[], MsgFlags::MSG_NOSIGNAL, None)
            };
            sent.map_err(io::Error::from)
        });
        match sent {
            Ok(count) => segments.advance(count),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Slices in one write.
const MAX_SLICES: usize = 64;
