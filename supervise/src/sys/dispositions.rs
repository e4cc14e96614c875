//! What a process does when a signal arrives.

use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, sigprocmask};

/// Sets one signal to its default.
pub(crate) fn set_default(signal: Signal) -> nix::Result<()> {
    // SAFETY: no handler is installed, so none can run code that is not async-signal-safe.
    unsafe { nix::sys::signal::signal(signal, SigHandler::SigDfl) }.map(drop)
}

/// Sets every signal to its default, with three exceptions, and unblocks all but `held`.
///
/// SIGPIPE stays ignored, as the Rust runtime has it: a peer that went away is an error of the write, not the end of
/// the process. SIGSEGV and SIGBUS keep the runtime's handler, which names the thread whose stack overflowed.
pub(crate) fn reset(held: &SigSet) -> nix::Result<()> {
    let exceptions = [Signal::SIGKILL, Signal::SIGSTOP, Signal::SIGPIPE, Signal::SIGSEGV, Signal::SIGBUS];
    for signal in Signal::iterator().filter(|signal| !exceptions.contains(signal)) {
        set_default(signal)?;
    }
    for signal in libc::SIGRTMIN()..=libc::SIGRTMAX() {
        // SAFETY: as in `set_default`.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    // SAFETY: as in `set_default`; ignoring runs no code either.
    unsafe { nix::sys::signal::signal(Signal::SIGPIPE, SigHandler::SigIgn) }?;
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(held), None)
}
