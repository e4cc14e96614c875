//! Descriptors that this process was started with.

use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};

/// Takes over an open descriptor that came through an exec. `None` if there is none of that number.
///
/// What this program opens is close-on-exec; what came through an exec cannot be. So a descriptor without the flag is
/// owned by nobody here, and one that was taken before has the flag.
pub(crate) fn take(number: RawFd) -> nix::Result<Option<OwnedFd>> {
    if number <= 2 {
        return Ok(None);
    }
    // SAFETY: borrowed for two calls that only look at the number's flags and set one. A number that is not open is an error
    // of the first.
    let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
    let flags = match fcntl(descriptor, FcntlArg::F_GETFD) {
        Ok(flags) => FdFlag::from_bits_retain(flags),
        Err(Errno::EBADF) => return Ok(None),
        Err(errno) => return Err(errno),
    };
    if flags.contains(FdFlag::FD_CLOEXEC) {
        return Ok(None);
    }
    fcntl(descriptor, FcntlArg::F_SETFD(flags | FdFlag::FD_CLOEXEC))?;
    // SAFETY: it is open, and no value owns it: all that this program opens has had the flag from the start, and the line
    // above keeps this function from giving it away twice.
    Ok(Some(unsafe { OwnedFd::from_raw_fd(number) }))
}
