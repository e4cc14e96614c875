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

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_kept_descriptor_reaches_the_new_program() {
        use std::os::fd::AsRawFd;
        let file = tempfile::tempfile().unwrap();
        let link = format!("/proc/self/fd/{}", file.as_raw_fd());
        let is_inherited = || Command::new("readlink").arg(&link).output().unwrap().status.success();
        assert!(!is_inherited());
        set_on_exec(&file, OnExec::Keep).unwrap();
        assert!(is_inherited());
        set_on_exec(&file, OnExec::Close).unwrap();
        assert!(!is_inherited());
    }
}
