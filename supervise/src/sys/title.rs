//! The memory from which `ps` reads a process's command line.
//!
//! The kernel lays out a new process's arguments and environment strings one after the other and remembers where
//! they are; `/proc/<pid>/cmdline` is read from that place whatever it holds by then. So a title is written over the
//! strings, after everyone who points at them has been pointed at copies: the arguments' and the environment's
//! pointer arrays. `std::env::args` and `std::env::vars` therefore go on telling the truth.

use std::ffi::{CStr, c_char, c_int};
use std::ptr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use crate::threads::SingleThread;

/// Writable memory that `ps` shows.
struct Area {
    start: *mut u8,
    /// Bytes up to the end of the arguments, the last NUL included.
    args_len: usize,
    /// Bytes up to the end of the environment, the last NUL included.
    len: usize,
}

// SAFETY: the memory is the process's own for as long as it lives, and reached only through `AREA`'s lock.
unsafe impl Send for Area {}

static AREA: Mutex<Option<Area>> = Mutex::new(None);

/// The argument array, as the dynamic linker handed it over; zero and null where it does not.
static ARGC: AtomicUsize = AtomicUsize::new(0);
static ARGV: AtomicPtr<*mut c_char> = AtomicPtr::new(ptr::null_mut());

/// glibc calls the functions in this section before `main`, with main's arguments. The standard library finds its
/// arguments in the same way.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[used]
// SAFETY: the section holds pointers to functions of exactly this type.
#[unsafe(link_section = ".init_array.00098")]
static REMEMBER_ARGS: extern "C" fn(c_int, *mut *mut c_char, *mut *mut c_char) = {
    extern "C" fn remember(argc: c_int, argv: *mut *mut c_char, _envp: *mut *mut c_char) {
        ARGC.store(usize::try_from(argc).unwrap_or(0), Ordering::Relaxed);
        ARGV.store(argv, Ordering::Relaxed);
    }
    remember
};

unsafe extern "C" {
    static mut environ: *mut *mut c_char;
}

/// Finds the memory and moves its users away. Returns whether there is any; repeated calls do nothing more.
pub(crate) fn claim(_proof: &SingleThread) -> bool {
    let Ok(mut area) = AREA.lock() else { return false };
    if area.is_none() {
        // SAFETY: this is the only thread, so nobody reads or writes the arrays meanwhile.
        *area = unsafe { claim_area() };
    }
    area.is_some()
}

/// Writes `title` where `ps` looks, cut to the room there is. Does nothing before [`claim`].
pub(crate) fn write(title: &[u8]) {
    let Ok(guard) = AREA.lock() else { return };
    let Some(area) = guard.as_ref() else { return };
    let len = title.len().min(area.len - 1);
    // SAFETY: `start .. start + area.len` is memory of this process that nothing else refers to since `claim`, and
    // `len < area.len`. The lock keeps other threads out.
    unsafe {
        ptr::copy_nonoverlapping(title.as_ptr(), area.start, len);
        ptr::write_bytes(area.start.add(len), 0, area.len - len);
        // proc(5), `cmdline`: while the last byte of the arguments is NUL the kernel shows them all, padding
        // included; once it is not, it shows one string from the start.
        if len + 1 < area.args_len {
            *area.start.add(area.args_len - 1) = b' ';
        }
    }
}

/// # Safety
///
/// No other thread runs.
unsafe fn claim_area() -> Option<Area> {
    let (argc, argv) = (ARGC.load(Ordering::Relaxed), ARGV.load(Ordering::Relaxed));
    if argc == 0 || argv.is_null() {
        return None;
    }
    // SAFETY: `argv` is main's array of `argc` pointers to strings, valid for the life of the process.
    let (start, args_end) = unsafe {
        let start = *argv;
        (start, end_of_run(argv, argc, start)?)
    };
    // SAFETY: `environ` is null, or a null-terminated array of pointers to strings; the only thread reads it.
    let (env, env_count) = unsafe {
        let env = environ;
        (env, count_pointers(env))
    };
    // The environment's strings follow the arguments', unless somebody has replaced variables since: then the room
    // ends where the first foreign pointer is.
    // SAFETY: as above.
    let end = unsafe { end_of_run(env, env_count, args_end) }.unwrap_or(args_end);
    // SAFETY: both arrays as above. The copies are leaked: pointers to them live as long as the process.
    unsafe {
        for index in 0..argc {
            *argv.add(index) = copy_string(*argv.add(index));
        }
        let mut copy = Vec::with_capacity(env_count + 1);
        for index in 0..env_count {
            copy.push(copy_string(*env.add(index)));
        }
        copy.push(ptr::null_mut());
        environ = Box::leak(copy.into_boxed_slice()).as_mut_ptr();
    }
    let distance = |end: *mut c_char| (end as usize) - (start as usize);
    Some(Area { start: start.cast(), args_len: distance(args_end), len: distance(end) })
}

/// Where the strings of an array end that lie one after the other, the first one at `start`; `None` if there is none.
///
/// # Safety
///
/// `pointers` holds `count` pointers to strings.
unsafe fn end_of_run(pointers: *mut *mut c_char, count: usize, start: *mut c_char) -> Option<*mut c_char> {
    let mut end = None;
    for index in 0..count {
        // SAFETY: `index < count`, and the pointer is to a string.
        unsafe {
            let string = *pointers.add(index);
            if string != end.unwrap_or(start) {
                break;
            }
            end = Some(string.add(CStr::from_ptr(string).count_bytes() + 1));
        }
    }
    end
}

/// # Safety
///
/// `pointers` is null or ends with a null pointer.
unsafe fn count_pointers(pointers: *mut *mut c_char) -> usize {
    let mut count = 0;
    // SAFETY: the null pointer at the end stops the walk.
    while !pointers.is_null() && unsafe { !(*pointers.add(count)).is_null() } {
        count += 1;
    }
    count
}

/// # Safety
///
/// `string` is a string.
unsafe fn copy_string(string: *mut c_char) -> *mut c_char {
    // SAFETY: the caller's word.
    unsafe { CStr::from_ptr(string) }.to_owned().into_raw()
}
