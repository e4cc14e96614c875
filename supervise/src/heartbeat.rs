//! A sign of life that costs one system call.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, RawFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::libc::{EOPNOTSUPP, O_TMPFILE};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::{Pid, geteuid};

use crate::Account;

/// A file without a name, made by a parent before the fork; the child touches it, the parent looks at its age.
///
/// The file's modification time holds the monotonic clock, which all processes of a machine share, and not the time
/// of day: setting the clock makes no worker look dead.
#[derive(Debug)]
pub struct Heartbeat {
    file: File,
}

impl Heartbeat {
    /// Makes a fresh heartbeat, touched now, in `dir`, which should be on a file system in memory: a touch on a busy
    /// disk can take as long as the disk.
    ///
    /// # Errors
    ///
    /// What the file system refused.
    pub fn create_in(dir: &Path) -> io::Result<Heartbeat> {
        let heartbeat = Heartbeat { file: nameless_file(dir)? };
        heartbeat.touch()?;
        Ok(heartbeat)
    }

    /// Gives it to the account that the child will run as: who only has a file open may not touch it.
    ///
    /// # Errors
    ///
    /// What the file system refused.
    pub fn give_to(&self, account: &Account) -> io::Result<()> {
        account.give(&self.file)
    }

    /// The heartbeat that the process `pid` holds as its descriptor `number`, to be looked at only. It belongs to this user,
    /// or to the account that the process runs as.
    ///
    /// # Errors
    ///
    /// `InvalidData` if that is no such heartbeat; otherwise what the file system refused.
    pub fn of_process(pid: Pid, number: RawFd, account: Option<&Account>) -> io::Result<Heartbeat> {
        let file = File::open(format!("/proc/{pid}/fd/{number}"))?;
        let metadata = file.metadata()?;
        let owner = account.map_or(geteuid().as_raw(), |account| account.uid);
        if !metadata.is_file() || metadata.nlink() > 0 || metadata.uid() != owner {
            let text = format!("descriptor {number} of process {pid} is no heartbeat");
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        Ok(Heartbeat { file })
    }

    /// Says: alive.
    ///
    /// # Errors
    ///
    /// What the file system refused.
    pub fn touch(&self) -> io::Result<()> {
        self.file.set_modified(UNIX_EPOCH + monotonic_now()?)
    }

    /// How long ago the last touch was.
    ///
    /// # Errors
    ///
    /// What the file system refused.
    pub fn age(&self) -> io::Result<Duration> {
        Ok(monotonic_now()?.saturating_sub(self.last_touch()?))
    }

    /// When the last touch was, on the monotonic clock: to be compared with another answer of this value, such as the
    /// one from before the fork, which tells whether the child has ever touched it.
    ///
    /// # Errors
    ///
    /// What the file system refused.
    pub fn last_touch(&self) -> io::Result<Duration> {
        let touched: SystemTime = self.file.metadata()?.modified()?;
        Ok(touched.duration_since(UNIX_EPOCH).unwrap_or_default())
    }
}

impl AsFd for Heartbeat {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

fn nameless_file(dir: &Path) -> io::Result<File> {
    match options().custom_flags(O_TMPFILE).open(dir) {
        // Not every file system can (NFS, older overlays).
        Err(error) if error.raw_os_error() == Some(EOPNOTSUPP) => briefly_named_file(dir),
        result => result,
    }
}

/// The pid and the count make the name ours; if it is there all the same, it is refused.
fn briefly_named_file(dir: &Path) -> io::Result<File> {
    let count = NAMED_COUNT.fetch_add(1, Ordering::Relaxed);
    let path = dir.join(format!("gunmetal-heartbeat-{}-{count}", std::process::id()));
    let file = options().create_new(true).open(&path)?;
    fs::remove_file(&path)?;
    Ok(file)
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    options
}

/// Files that had a name for a moment.
static NAMED_COUNT: AtomicU32 = AtomicU32::new(0);

fn monotonic_now() -> io::Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_MONOTONIC)?.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_touch_makes_it_young_again() {
        let heartbeat = Heartbeat::create_in(&std::env::temp_dir()).unwrap();
        let hour = Duration::from_secs(3600);
        let an_hour_ago = monotonic_now().unwrap().saturating_sub(hour);
        heartbeat.file.set_modified(UNIX_EPOCH + an_hour_ago).unwrap();
        let stale = heartbeat.age().unwrap();
        heartbeat.touch().unwrap();
        let fresh = heartbeat.age().unwrap();
        assert!(fresh < stale, "{fresh:?} after the touch, {stale:?} before");
    }

    #[test]
    fn another_process_sees_it_by_the_number_of_its_descriptor() {
        use std::os::fd::AsRawFd;
        let heartbeat = Heartbeat::create_in(&std::env::temp_dir()).unwrap();
        let number = heartbeat.as_fd().as_raw_fd();
        let seen = Heartbeat::of_process(nix::unistd::getpid(), number, None).unwrap();
        assert_eq!(seen.last_touch().unwrap(), heartbeat.last_touch().unwrap());
        heartbeat.touch().unwrap();
        assert_eq!(seen.last_touch().unwrap(), heartbeat.last_touch().unwrap());
    }

    #[test]
    fn a_file_with_a_name_is_no_heartbeat() {
        use std::os::fd::AsRawFd;
        let file = tempfile::NamedTempFile::new().unwrap();
        let number = file.as_file().as_fd().as_raw_fd();
        let error = Heartbeat::of_process(nix::unistd::getpid(), number, None).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
    }

    #[test]
    fn it_has_no_name_however_it_is_made() {
        let dir = tempfile::tempdir().unwrap();
        let _heartbeat = Heartbeat::create_in(dir.path()).unwrap();
        let _other = Heartbeat { file: briefly_named_file(dir.path()).unwrap() };
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
