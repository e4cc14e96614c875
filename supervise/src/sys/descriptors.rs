//! Closing descriptors that nobody in this process needs.

use std::fs;
use std::os::fd::RawFd;

use nix::errno::Errno;

/// Closes every descriptor but those in `keep`.
///
/// Called in a child right after its fork, where the values that own the others are the parent's copies: the caller
/// sees to it that none of them is used or dropped in this process.
pub(crate) fn close_all_but(keep: &[RawFd]) -> nix::Result<()> {
    let mut keep = keep.to_vec();
    keep.sort_unstable();
    keep.dedup();
    match close_gaps(&keep) {
        // Linux before 5.9, or a sandbox that does not know the call.
        Err(Errno::ENOSYS | Errno::EPERM) => close_listed(&keep),
        result => result,
    }
}

fn close_gaps(keep: &[RawFd]) -> nix::Result<()> {
    let mut first: u32 = 0;
    for kept in keep.iter().filter_map(|fd| u32::try_from(*fd).ok()) {
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

fn close_listed(keep: &[RawFd]) -> nix::Result<()> {
    let listing = fs::read_dir("/proc/self/fd").map_err(|_| Errno::ENOSYS)?;
    let open: Vec<RawFd> =
        listing.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<RawFd>().ok()).collect();
    // The listing's own descriptor is in the list and closed by now: EBADF is no failure.
    for fd in open.into_iter().filter(|fd| !keep.contains(fd)) {
        // SAFETY: as in `close_range`.
        unsafe { libc::close(fd) };
    }
    Ok(())
}
