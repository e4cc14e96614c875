//! Reading and writing as the worker needs it: vectored, and never a SIGPIPE.

use std::io::{self, IoSlice};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

use bytes::Buf;
use gunmetal_protocol::Segments;
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, sendmsg, setsockopt, sockopt};

/// Sends all of `out`, blocking while the peer's buffer is full.
pub(super) fn send_all(stream: &UnixStream, out: &mut Segments) -> io::Result<()> {
    while out.has_remaining() {
        send_some(stream, out, MsgFlags::empty())?;
    }
    Ok(())
}

/// Sends what can be sent without blocking.
pub(super) fn send_now(stream: &UnixStream, out: &mut Segments) -> io::Result<()> {
    while out.has_remaining() {
        match send_some(stream, out, MsgFlags::MSG_DONTWAIT) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            other => other?,
        }
    }
    Ok(())
}

/// Lets the kernel take [`SEND_BUFFER_LEN`] before a write blocks; it may grant less.
pub(super) fn widen(stream: &UnixStream) {
    // A smaller buffer is slower, not wrong.
    let _ = setsockopt(stream, sockopt::SndBuf, &SEND_BUFFER_LEN);
}

fn send_some(stream: &UnixStream, out: &mut Segments, flags: MsgFlags) -> io::Result<()> {
    let mut slices = [IoSlice::new(&[]); MAX_SLICES];
    let used = out.chunks_vectored(&mut slices);
    // Not `write_vectored`: a worker's SIGPIPE may be at its default, which ends the process.
    let flags = flags | MsgFlags::MSG_NOSIGNAL;
    match sendmsg::<()>(stream.as_raw_fd(), &slices[..used], &[], flags, None) {
        Ok(count) => out.advance(count),
        Err(Errno::EINTR) => {}
        Err(errno) => return Err(errno.into()),
    }
    Ok(())
}

/// Enough for a 1 MiB result to leave in one system call; also what a stream's reader may lag behind.
const SEND_BUFFER_LEN: usize = 1 << 20;

/// Parts of one vectored write.
const MAX_SLICES: usize = 16;
