//! Settings of glibc's allocator.

/// Sets two thresholds, in bytes; returns whether the allocator took them.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) fn set_thresholds(mmap: libc::c_int, trim: libc::c_int) -> bool {
    // SAFETY: mallopt takes two integers and its own lock.
    let results =
        unsafe { [libc::mallopt(libc::M_MMAP_THRESHOLD, mmap), libc::mallopt(libc::M_TRIM_THRESHOLD, trim)] };
    results == [1, 1]
}

/// Another allocator: nothing to set.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn set_thresholds(_mmap: libc::c_int, _trim: libc::c_int) -> bool {
    false
}
