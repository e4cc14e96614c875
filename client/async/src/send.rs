//! Writing without waiting.

use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, BorrowedFd};

use bytes::Buf;
use gunmetal_protocol::Segments;
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, UnixAddr, send, sendmsg};

/// Writes as much of `segments` as the socket takes; what is left stays in it.
///
/// A peer that is gone is an error and never a SIGPIPE, whatever a parent process did to that signal.
pub(crate) fn send_some(socket: BorrowedFd<'_>, segments: &mut Segments) -> io::Result<()> {
    while segments.has_remaining() {
        let (fd, chunk) = (socket.as_raw_fd(), segments.chunk());
        let sent = if chunk.len() == segments.remaining() {
            send(fd, chunk, MsgFlags::MSG_NOSIGNAL)
        } else {
            let mut slices = [IoSlice::new(&[]); MAX_SLICES];
            let count = segments.chunks_vectored(&mut slices);
            sendmsg::<UnixAddr>(fd, &slices[..count], &[], MsgFlags::MSG_NOSIGNAL, None)
        };
        match sent {
            Ok(count) => segments.advance(count),
            Err(Errno::EAGAIN) => break,
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Slices in one write.
const MAX_SLICES: usize = 64;
