//! A socket whose reads and writes end at a deadline.

use std::io::{self, IoSlice, IoSliceMut, Read};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, connect, sendmsg, setsockopt, socket, sockopt,
};
use nix::sys::time::TimeVal;
use tracing::debug;

/// A connected socket with a deadline, kept by the kernel's own socket timeouts.
///
/// Setting those is a system call, so they are set anew only when what is left until the deadline
/// differs from what they are set to by more than their own grain.
#[derive(Debug)]
pub(crate) struct TimedSocket {
    socket: UnixStream,
    deadline: Option<Instant>,
    /// What the kernel's timeouts are set to; `None`: to none.
    read_timeout: Option<Duration>,
    write_timeout: Option<Duration>,
}

impl TimedSocket {
    /// Connects to the socket at `path`, waiting for a place in its accept queue until `deadline`.
    pub(crate) fn connect(path: &Path, deadline: Instant) -> io::Result<TimedSocket> {
        let address = UnixAddr::new(path)?;
        let socket = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
        let write_timeout = left_until(deadline)?;
        // Linux limits connect() by the send timeout.
        setsockopt(&socket, sockopt::SendTimeout, &to_time_val(write_timeout))?;
        loop {
            match connect(socket.as_raw_fd(), &address) {
                Ok(()) => break,
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return Err(io::ErrorKind::TimedOut.into()),
                Err(error) => return Err(error.into()),
            }
        }
        // As far as the system's limit allows: a large request then needs fewer turns.
        if let Err(error) = setsockopt(&socket, sockopt::SndBuf, &SEND_BUFFER) {
            debug!(%error, "the send buffer keeps its size");
        }
        let (socket, write_timeout) = (UnixStream::from(socket), Some(write_timeout));
        Ok(TimedSocket { socket, deadline: None, read_timeout: None, write_timeout })
    }

    /// Until when reads and writes may wait from now on.
    pub(crate) fn set_deadline(&mut self, deadline: Option<Instant>) {
        self.deadline = deadline;
    }

    /// Writes some of `slices`; never raises SIGPIPE.
    ///
    /// Fails with [`io::ErrorKind::TimedOut`] once the deadline has passed.
    pub(crate) fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        loop {
            let timeout = self.deadline.map(left_until).transpose()?;
            if timeout != self.write_timeout {
                setsockopt(&self.socket, sockopt::SendTimeout, &to_time_val(timeout.unwrap_or_default()))?;
                self.write_timeout = timeout;
            }
            let fd = self.socket.as_raw_fd();
            match sendmsg::<UnixAddr>(fd, slices, &[], MsgFlags::MSG_NOSIGNAL, None) {
                // EAGAIN is the timeout, perhaps a little early; then the loop's start says so.
                Err(Errno::EAGAIN | Errno::EINTR) => {}
                written => return Ok(written?),
            }
        }
    }

    fn read_in_time(
        &mut self,
        mut read: impl FnMut(&mut UnixStream) -> io::Result<usize>,
    ) -> io::Result<usize> {
        loop {
            let timeout = self.deadline.map(left_until).transpose()?;
            if timeout != self.read_timeout {
                self.socket.set_read_timeout(timeout)?;
                self.read_timeout = timeout;
            }
            match read(&mut self.socket) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => return done,
            }
        }
    }
}

impl Read for TimedSocket {
    /// Fails with [`io::ErrorKind::TimedOut`] once the deadline has passed.
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.read_in_time(|socket| socket.read(buf))
    }

    fn read_vectored(&mut self, slices: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.read_in_time(|socket| socket.read_vectored(slices))
    }
}

/// What is left until `deadline`, in whole milliseconds, at least one.
fn left_until(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(io::ErrorKind::TimedOut.into());
    }
    let millis = u64::try_from(left.as_micros().div_ceil(1000)).unwrap_or(u64::MAX);
    Ok(Duration::from_millis(millis).min(LONGEST))
}

fn to_time_val(timeout: Duration) -> TimeVal {
    // Both fit: `timeout` is at most `LONGEST`.
    let seconds = i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX);
    TimeVal::new(seconds, i64::from(timeout.subsec_micros()))
}

/// Longest timeout set at once; a longer wait is continued after it.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
/// Wanted size of a socket's send buffer, in bytes.
const SEND_BUFFER: usize = 4 << 20;
