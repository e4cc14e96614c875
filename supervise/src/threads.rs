//! The proof that a process has one thread.

use std::fs;
use std::io;
use std::marker::PhantomData;
use std::thread;
use std::time::Duration;

use nix::errno::Errno;

/// Proof that the calling thread is the only one of its process, as fork and changes of the environment need it.
///
/// It cannot be sent to another thread. Starting a thread while one is held makes it a lie; so it is made where it is
/// used, and not kept.
#[derive(Debug)]
pub struct SingleThread {
    /// Not `Send`, not `Sync`.
    _here: PhantomData<*const ()>,
}

impl SingleThread {
    /// Looks at `/proc/self/task`.
    ///
    /// # Errors
    ///
    /// [`ThreadsError::Many`] names the threads found. A thread that was joined a moment ago may still be listed by
    /// the kernel, so the look is repeated for up to 50 ms before that is said.
    pub fn check() -> Result<SingleThread, ThreadsError> {
        for _ in 1..MAX_LOOKS {
            if let Ok(proof) = SingleThread::look() {
                return Ok(proof);
            }
            thread::sleep(LOOK_INTERVAL);
        }
        SingleThread::look()
    }

    /// Looks once.
    pub(crate) fn look() -> Result<SingleThread, ThreadsError> {
        let names = thread_names().map_err(ThreadsError::Unknown)?;
        match names.len() {
            1 => Ok(SingleThread { _here: PhantomData }),
            _ => Err(ThreadsError::Many { names }),
        }
    }
}

/// Why there is no proof of a single thread.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ThreadsError {
    /// There are others.
    #[error(
        "this process has {} threads ({}) where only one is allowed: something that ran before, such as an async \
         main, a preload or a hook, started a runtime or a thread pool",
        names.len(),
        names.join(", ")
    )]
    Many {
        /// The names of all threads, the first one's included.
        names: Vec<String>,
    },
    /// The kernel would not say.
    #[error("cannot list this process's threads in /proc/self/task")]
    Unknown(#[source] io::Error),
}

fn thread_names() -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir("/proc/self/task")? {
        match fs::read_to_string(entry?.path().join("comm")) {
            Ok(name) => names.push(name.trim_end().to_owned()),
            // A thread that ends between the listing and the look at its name is no thread.
            Err(error) if has_ended(&error) => {}
            Err(error) => return Err(error),
        }
    }
    names.sort();
    Ok(names)
}

fn has_ended(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(Errno::ESRCH as i32)
}

const MAX_LOOKS: u32 = 50;
const LOOK_INTERVAL: Duration = Duration::from_millis(1);
