//! What `ps` shows.

use std::ffi::CString;

use nix::sys::prctl;

use crate::sys;
use crate::threads::SingleThread;

/// Shows this process as `title`: in `ps` and `/proc/<pid>/cmdline`, and cut to 15 bytes as the thread's name
/// (`ps -o comm`, `top`).
///
/// There is as much room as the arguments and the environment took when the program started, usually a few hundred
/// bytes or more; a longer title is cut. `std::env::args` and `std::env::vars` are not affected. The first call must
/// come while there is one thread, and moves the environment: a C library that holds on to a pointer that `getenv`
/// gave it before sees the title. In a process that has more threads by then, and where the C library is not glibc,
/// only the thread's name is set.
pub fn set_title(title: &str) {
    if let Ok(proof) = SingleThread::look() {
        sys::title::claim(&proof);
    }
    let bytes: Vec<u8> = title.bytes().filter(|byte| *byte != 0).collect();
    sys::title::write(&bytes);
    if let Ok(name) = CString::new(bytes) {
        // The kernel cuts it.
        let _ = prctl::set_name(&name);
    }
}
