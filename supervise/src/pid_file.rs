//! A file that names a service's process, and tells by locks who of that service is alive.
//!
//! Its text, a pid, is for people and scripts. Programs ask the kernel who holds the locks on its two first bytes: that
//! answer cannot be forged, goes away with the process, and never means a stranger that got a reused pid.
//!
//! ```text
//! byte 0   locked by the process that the file names
//! byte 1   locked by the process that keeps the file: the one above, or its parent
//! ```
//!
//! So a file whose first byte is locked and whose second is not names an orphan.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::unistd::{Pid, geteuid};

use crate::file_lock::{holder, is_at, lock};

/// A pid file that this process keeps.
///
/// The locks are the process's, not the descriptor's: a forked child has none of them, and closing any descriptor of the
/// file lets go of them. So the file must be opened nowhere else in the process.
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
    file: File,
    was_left_behind: bool,
}

impl PidFile {
    /// Makes the file, or takes over one that nobody keeps, and keeps it.
    ///
    /// It is made with mode 0600. One that is there is trusted only if it is a regular file of this user's, with one
    /// name, that nobody else may write and that holds a pid or nothing.
    ///
    /// # Errors
    ///
    /// [`PidFileError`], with the path.
    pub fn keep(path: impl Into<PathBuf>) -> Result<PidFile, PidFileError> {
        PidFile::keep_as(path.into(), 0o600)
    }

    /// [`keep`](PidFile::keep) with mode 0644: for scripts of other users to read.
    ///
    /// # Errors
    ///
    /// As [`keep`](PidFile::keep).
    pub fn keep_readable(path: impl Into<PathBuf>) -> Result<PidFile, PidFileError> {
        PidFile::keep_as(path.into(), 0o644)
    }

    fn keep_as(path: PathBuf, mode: u32) -> Result<PidFile, PidFileError> {
        // Each turn lost means that its keeper has removed the file in between.
        for _ in 0..MAX_TURNS {
            let (file, text) = open(&path, mode)?;
            let locks = |source| PidFileError::Locks { path: path.clone(), source };
            if !lock(&file, KEEPER).map_err(locks)? {
                match holder(&file, KEEPER).map_err(locks)? {
                    Some(pid) => return Err(PidFileError::Kept { path, pid: pid.as_raw() }),
                    None => continue,
                }
            }
            if is_at(&file, &path) {
                return Ok(PidFile { path, file, was_left_behind: !text.is_empty() });
            }
        }
        Err(PidFileError::Locks { path, source: Errno::EAGAIN.into() })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it was there before and named a process: of a service that did not end in order.
    #[must_use]
    pub fn was_left_behind(&self) -> bool {
        self.was_left_behind
    }

    /// The process that the file names, if that is alive and not the calling one.
    ///
    /// # Errors
    ///
    /// What `fcntl(2)` refused.
    pub fn named(&self) -> io::Result<Option<Pid>> {
        holder(&self.file, NAMED)
    }

    /// Makes the file name the calling process: the keeper, or a child that inherited the descriptor.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if it names another one that is alive; what the system refused.
    pub fn name_this_process(&self) -> io::Result<()> {
        if !lock(&self.file, NAMED)? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let mut file = &self.file;
        file.set_len(0)?;
        file.seek(SeekFrom::Start(0))?;
        file.write_all(format!("{}\n", std::process::id()).as_bytes())
    }

    /// Moves the file to another path, over what an ended process has left there.
    ///
    /// # Errors
    ///
    /// As [`keep`](PidFile::keep), of what is at the other path; the file then stays where it is.
    pub fn rename(&mut self, to: impl Into<PathBuf>) -> Result<(), PidFileError> {
        let to = to.into();
        // Taken over first: nobody else's file is replaced.
        let there = PidFile::keep(&to)?;
        if let Err(source) = fs::rename(&self.path, &there.path) {
            there.remove();
            return Err(PidFileError::Open { path: to, source });
        }
        self.path = there.path;
        Ok(())
    }

    /// Whether there is another pid file than this one at `path`, and another process keeps it.
    #[must_use]
    pub fn is_other_and_kept(&self, path: &Path) -> bool {
        // Not opened to see that: closing it would let go of the locks of this one.
        if is_at(&self.file, path) {
            return false;
        }
        let file = OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path);
        file.is_ok_and(|file| holder(&file, KEEPER).is_ok_and(|keeper| keeper.is_some()))
    }

    /// Removes the file, if the calling process keeps it, or nobody does.
    pub fn remove(&self) {
        if lock(&self.file, KEEPER).unwrap_or(false) && is_at(&self.file, &self.path) {
            // Gone already is as good.
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl AsFd for PidFile {
    /// For a child that is to be named by it.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Why there is no pid file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PidFileError {
    /// Another process keeps it, and is alive.
    #[error("process {pid} keeps the pid file {}", path.display())]
    Kept {
        /// The file.
        path: PathBuf,
        /// Its keeper; 0 if that cannot be seen from this container.
        pid: i32,
    },
    /// What is there may be somebody's trap, or his treasure: it is left alone.
    #[error("{} is not a pid file of this user: {reason}", path.display())]
    NotTrusted {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// It could not be opened.
    #[error("cannot open the pid file {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system refused.
        source: io::Error,
    },
    /// It could not be locked.
    #[error("cannot lock the pid file {}", path.display())]
    Locks {
        /// The file.
        path: PathBuf,
        /// What the system refused.
        source: io::Error,
    },
}

/// Opens the file, and reads what was in it.
fn open(path: &Path, mode: u32) -> Result<(File, String), PidFileError> {
    let refused = |source| PidFileError::Open { path: path.to_owned(), source };
    let distrusted = |reason: String| PidFileError::NotTrusted { path: path.to_owned(), reason };
    // To open what is not a file may do something.
    match fs::symlink_metadata(path) {
        Ok(metadata) => check(&metadata).map_err(distrusted)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(refused(error)),
    }
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(mode);
    options.custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits());
    let file = options.open(path).map_err(refused)?;
    // It may have been put there in between.
    check(&file.metadata().map_err(refused)?).map_err(distrusted)?;
    let mut text = Vec::new();
    (&file).take(MAX_LEN).read_to_end(&mut text).map_err(refused)?;
    let is_pid = |text: &str| text.trim_end().bytes().all(|digit| digit.is_ascii_digit());
    match String::from_utf8(text) {
        Ok(text) if is_pid(&text) => Ok((file, text)),
        _ => Err(distrusted("it holds something else than a pid".to_owned())),
    }
}

fn check(metadata: &Metadata) -> Result<(), String> {
    let (mode, user, links) = (metadata.mode() & 0o7777, metadata.uid(), metadata.nlink());
    if !metadata.is_file() {
        let kind = if metadata.is_symlink() { "a symbolic link" } else { "not a regular file" };
        return Err(format!("it is {kind}"));
    }
    if user != geteuid().as_raw() {
        return Err(format!("it belongs to user {user}"));
    }
    if mode & 0o022 != 0 {
        return Err(format!("others may write to it (mode {mode:o})"));
    }
    // None at all: its keeper has just removed it.
    if links > 1 { Err(format!("it has {links} names")) } else { Ok(()) }
}

const NAMED: i64 = 0;
const KEEPER: i64 = 1;
/// Longer than any pid.
const MAX_LEN: u64 = 32;
const MAX_TURNS: u32 = 100;

#[cfg(test)]
mod tests;
