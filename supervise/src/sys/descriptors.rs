//! Closing descriptors that nobody in this process needs.

use std::os::fd::RawFd;

use nix::errno::Errno;

/// Closes every descriptor but those in `keep`. Needs Linux 5.9.
///
/// Called in a child right after its fork, where the values that own the others are the parent's copies: the caller
/// sees to it that none of them is used or dropped in this process.
pub(crate) fn close_all_but(keep: &[RawFd]) -> nix::Result<()> {
    let mut keep: Vec<u32> = keep.iter().filter_map(|fd| u32::try_from(*fd).ok()).collect();
    keep.sort_unstable();
    let mut first = 0;
    for kept in keep {
        if kept > first {
            close_range(first, kept - 1)?;
        }
        first = kept + 1;
    }
    close_range(first, u32::MAX)
}

fn close_range(first: u32, last: u32) -> nix::Result<()> {
    // SAFETY: the call takes integers. That no owner of these descriptors acts on them again in this process is the
    // contract of `close_all_but`.
    Errno::result(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) }).map(drop)
}
