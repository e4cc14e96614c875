//! The allocator's habits.

use crate::sys;

/// Has the allocator keep large buffers that are freed, instead of giving them back to the kernel and faulting them
/// in again for the next frame (1.5 us per 4 KiB page: 6 ms for 16 MiB).
///
/// Blocks up to 32 MiB, the most glibc takes, come from the heap, which is trimmed only when more than 128 MiB lie
/// free at its end: that is the memory this may cost a process. Call it first thing in a process that moves large
/// payloads. Returns whether it had an effect; other allocators than glibc's have none.
pub fn keep_large_buffers() -> bool {
    keep_buffers_up_to(32 << 20)
}

/// [`keep_large_buffers`], but for those of `len` bytes and more, at most 32 MiB, which the kernel gets back at once: for a
/// process in which such memory is not a buffer but held for long.
pub fn keep_buffers_up_to(len: u32) -> bool {
    let len = i32::try_from(len).unwrap_or(i32::MAX);
    sys::malloc::set_thresholds(len, 128 << 20)
}
