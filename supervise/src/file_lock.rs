//! Locks on files, by which the kernel tells who lives.
//!
//! They are a process's, not a descriptor's: a forked child has none of them, and closing any descriptor of the file lets go of
//! them.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::unistd::Pid;

/// Whether the path still leads to this file.
pub(crate) fn is_at(file: &File, path: &Path) -> bool {
    let same = |here: Metadata, there: Metadata| (here.dev(), here.ino()) == (there.dev(), there.ino());
    file.metadata().is_ok_and(|here| fs::symlink_metadata(path).is_ok_and(|there| same(here, there)))
}

/// Locks a byte for this process, until it ends; `false` if another one has it.
pub(crate) fn lock(file: &File, byte: i64) -> io::Result<bool> {
    match fcntl(file, FcntlArg::F_SETLK(&flock(byte))) {
        Ok(_) => Ok(true),
        Err(Errno::EAGAIN | Errno::EACCES) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// Which other process has locked a byte.
pub(crate) fn holder(file: &File, byte: i64) -> io::Result<Option<Pid>> {
    let mut found = flock(byte);
    fcntl(file, FcntlArg::F_GETLK(&mut found))?;
    let is_locked = i32::from(found.l_type) != nix::libc::F_UNLCK;
    Ok(is_locked.then(|| Pid::from_raw(found.l_pid)))
}

fn flock(byte: i64) -> nix::libc::flock {
    // The constants are small numbers, of a wider type than the fields that take them.
    #[allow(clippy::cast_possible_truncation)]
    let (kind, from_start) = (nix::libc::F_WRLCK as i16, nix::libc::SEEK_SET as i16);
    nix::libc::flock { l_type: kind, l_whence: from_start, l_start: byte, l_len: 1, l_pid: 0 }
}
