//! Where log lines go: standard error, or the file that has taken its place.
//!
//! The file takes the place of standard error: so every process to come has it without being given it, a reader of the
//! log also finds what panics, allocators and foreign libraries had to say, and opening it anew is one system call that no
//! thread notices.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use gunmetal_supervise::Account;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::{dup2_stderr, geteuid};

/// Puts the file at `path` in the place of standard error, in this process and all that it forks.
///
/// # Errors
///
/// It cannot be opened. Lines go on to where they went.
pub(crate) fn redirect(path: &Path) -> io::Result<()> {
    // Whoever changes the working directory later still means this file.
    let path = std::path::absolute(path)?;
    if STARTED_WITH.get().is_none() {
        // Only ever the first one: later, standard error may be a log file already.
        let _ = STARTED_WITH.set(io::stderr().as_fd().try_clone_to_owned()?.into());
    }
    let mut log_file = log_file();
    open(&path)?;
    *log_file = Some(path);
    Ok(())
}

/// Whom log files are given to that this process opens from here on: workers that run as another user than the master open
/// them anew themselves.
pub(crate) fn set_owner(owner: Option<Account>) {
    *OWNER.lock().unwrap_or_else(PoisonError::into_inner) = owner;
}

/// Undoes [`redirect`]: lines go to the standard error that this process was started with.
///
/// # Errors
///
/// The system refuses.
pub(super) fn restore() -> io::Result<()> {
    let mut log_file = log_file();
    if let (Some(_), Some(started_with)) = (&*log_file, STARTED_WITH.get()) {
        dup2_stderr(started_with)?;
        *log_file = None;
    }
    Ok(())
}

/// Opens the log file of [`redirect`] anew, after somebody has moved it away. Lines that other threads write meanwhile go
/// to the one or to the other.
pub(crate) fn reopen() {
    let outcome = {
        let log_file = log_file();
        let Some(path) = &*log_file else { return };
        open(path).map_err(|error| (path.display().to_string(), error))
    };
    match outcome {
        Ok(()) => tracing::debug!("Log file opened anew"),
        Err((path, error)) => {
            tracing::error!("log file {path} cannot be opened anew, lines still go to the old one: {error}");
        }
    }
}

/// The standard error that this process was started with, if a log file has taken its place.
pub(crate) fn started_with() -> Option<&'static File> {
    let is_redirected = log_file().is_some();
    STARTED_WITH.get().filter(|_| is_redirected)
}

/// Whether somebody reads the lines as they come.
pub(super) fn is_terminal() -> bool {
    io::stderr().is_terminal()
}

fn open(path: &Path) -> io::Result<()> {
    let owner = OWNER.lock().unwrap_or_else(PoisonError::into_inner);
    // Workers are not asked for it, nor may they.
    let owner = owner.as_ref().filter(|_| geteuid().is_root());
    let mut options = OpenOptions::new();
    // A pipe without a reader is an error, not a reason to wait.
    let mut flags = OFlag::O_NONBLOCK;
    if owner.is_some() && !is_link_of_this_user(path)? {
        flags |= OFlag::O_NOFOLLOW;
    }
    let file = options.create(true).append(true).custom_flags(flags.bits()).open(path)?;
    let flags = OFlag::from_bits_truncate(fcntl(&file, FcntlArg::F_GETFL)?);
    fcntl(&file, FcntlArg::F_SETFL(flags - OFlag::O_NONBLOCK))?;
    let metadata = file.metadata()?;
    // A device is nobody's to give away, and a file with a second name may be something else as well.
    if let Some(owner) = owner.filter(|_| metadata.is_file() && metadata.nlink() == 1) {
        owner.give(&file)?;
    }
    Ok(dup2_stderr(&file)?)
}

/// Whether there is a link at `path`, and the user of this process has made it. In a directory that workers may write to,
/// because they open the log anew themselves, anybody's link could lead to a file that is root's alone.
fn is_link_of_this_user(path: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if !metadata.is_symlink() => Ok(false),
        Ok(metadata) if metadata.uid() == geteuid().as_raw() => Ok(true),
        Ok(metadata) => Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!("it is a link of user {}, who could choose any file of root's", metadata.uid()),
        )),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn log_file() -> MutexGuard<'static, Option<PathBuf>> {
    LOG_FILE.lock().unwrap_or_else(PoisonError::into_inner)
}

static LOG_FILE: Mutex<Option<PathBuf>> = Mutex::new(None);
static OWNER: Mutex<Option<Account>> = Mutex::new(None);
static STARTED_WITH: OnceLock<File> = OnceLock::new();
