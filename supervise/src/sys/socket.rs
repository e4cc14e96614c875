//! Options of sockets that nobody else has a safe function for.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

/// Sets `TCP_DEFER_ACCEPT` on a listening socket.
pub(crate) fn set_defer_accept(listener: BorrowedFd<'_>, secs: libc::c_int) -> io::Result<()> {
    let len = libc::socklen_t::try_from(size_of::<libc::c_int>()).map_err(io::Error::other)?;
    // SAFETY: the option is an int, and the kernel reads that many bytes of one that lives longer than the call.
    let result = unsafe {
        libc::setsockopt(
            listener.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_DEFER_ACCEPT,
            (&raw const secs).cast(),
            len,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// `accept4(2)`, called once, whatever comes of it.
pub(crate) fn accept_once(listener: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    // SAFETY: without a buffer for the address the kernel writes nothing into this process.
    let accepted =
        unsafe { libc::accept4(listener.as_raw_fd(), ptr::null_mut(), ptr::null_mut(), libc::SOCK_CLOEXEC) };
    if accepted < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor, for this call, so nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(accepted) })
}
