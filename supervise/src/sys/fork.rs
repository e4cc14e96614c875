//! `fork(2)` for a process with one thread.

use nix::unistd::{ForkResult, Pid};

use crate::threads::SingleThread;

/// Forks. `None` in the child, the child's pid in the parent.
pub(crate) fn fork(_proof: &SingleThread) -> nix::Result<Option<Pid>> {
    // SAFETY: the hazard of fork is another thread that holds a lock (malloc's, stdio's, one of ours) at that
    // moment, which the child could then never take. `SingleThread` proves that this thread is the only one, and no
    // thread can appear between that check and this call, since this thread would have to start it.
    match unsafe { nix::unistd::fork() }? {
        ForkResult::Parent { child } => Ok(Some(child)),
        ForkResult::Child => Ok(None),
    }
}
