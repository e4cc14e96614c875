//! Which descriptors survive an exec.

use std::io;
use std::os::fd::AsFd;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};

/// What happens to a descriptor when the process executes another program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnExec {
    /// It is closed, as everything is that this workspace opens.
    Close,
    /// The new program inherits it.
    Keep,
}

/// Says what happens to a descriptor when the process executes another program. A fork is not affected.
///
/// # Errors
///
/// What `fcntl(2)` refused.
pub fn set_on_exec(descriptor: &impl AsFd, on_exec: OnExec) -> io::Result<()> {
    let flags = match on_exec {
        OnExec::Close => FdFlag::FD_CLOEXEC,
        OnExec::Keep => FdFlag::empty(),
    };
    fcntl(descriptor.as_fd(), FcntlArg::F_SETFD(flags))?;
    Ok(())
}
