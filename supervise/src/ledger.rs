//! Which processes a parent has started, for the one that takes its place.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::unistd::{Pid, geteuid, getppid};

use crate::{AdoptError, Child, ProcessIdentity};

/// A list of living processes that outlives whoever keeps it, in a file: a parent that is killed so leaves to its successor what
/// it had started.
///
/// A process enters itself, before it does anything else: so there is no moment at which it lives and nobody knows. Should
/// its parent die before that, it ends by itself, in [`Newborn::become_child`](crate::Newborn::become_child).
#[derive(Debug)]
pub struct Ledger {
    file: File,
    /// `None` of one in memory.
    path: Option<PathBuf>,
}

impl Ledger {
    /// An empty one in memory, for whoever inherits it.
    ///
    /// # Errors
    ///
    /// What `memfd_create(2)` refused.
    pub fn in_memory() -> io::Result<Ledger> {
        Ok(Ledger { file: memfd_create("gunmetal-ledger", MFdFlags::MFD_CLOEXEC)?.into(), path: None })
    }

    /// The one at `path`, which is made with mode 0600 if it is not there. What it says of another boot of the machine is
    /// forgotten. Two may have it open at a time, but only one may use it.
    ///
    /// # Errors
    ///
    /// `InvalidData`, if that is no regular file of this user's; otherwise what the system refused.
    pub fn open(path: &Path) -> io::Result<Ledger> {
        let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(flags.bits());
        let file = options.open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() || metadata.uid() != geteuid().as_raw() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it is no regular file of this user"));
        }
        let ledger = Ledger { file, path: Some(path.to_owned()) };
        let boot = fs::read("/proc/sys/kernel/random/boot_id")?;
        let mut header = EMPTY;
        header.iter_mut().zip(boot.trim_ascii_end()).for_each(|(to, from)| *to = *from);
        let mut found = EMPTY;
        if metadata.len() < RECORD_LEN || ledger.file.read_exact_at(&mut found, 0).is_err() || found != header
        {
            ledger.file.set_len(0)?;
            ledger.file.write_all_at(&header, 0)?;
        }
        Ok(ledger)
    }

    /// Removes the file, unless another is in its place.
    pub fn remove(self) {
        let Some(path) = &self.path else { return };
        let own = self.file.metadata().map(|metadata| (metadata.dev(), metadata.ino()));
        let there = fs::symlink_metadata(path).map(|metadata| (metadata.dev(), metadata.ino()));
        if let (Ok(own), Ok(there)) = (own, there)
            && own == there
        {
            // What remains says of nobody that he lives.
            let _ = fs::remove_file(path);
        }
    }

    /// Enters the calling process at `slot`, in the place of who was there.
    ///
    /// # Errors
    ///
    /// `InvalidInput`, if `name` is longer than 239 bytes; otherwise what the system refused.
    pub fn note_this_process(&self, slot: usize, name: &str) -> io::Result<()> {
        self.write(slot, &encode(name, ProcessIdentity::of_this_process()?, getppid())?)
    }

    /// Forgets who is at `slot`: that process has ended.
    ///
    /// # Errors
    ///
    /// What `pwrite(2)` refused.
    pub fn clear(&self, slot: usize) -> io::Result<()> {
        self.write(slot, &EMPTY)
    }

    /// Who is entered, by slot. What is no entry is left out.
    ///
    /// # Errors
    ///
    /// What `pread(2)` refused.
    pub fn entries(&self) -> io::Result<Vec<(usize, String, ProcessIdentity)>> {
        Ok(self.records()?.into_iter().map(|(slot, entry)| (slot, entry.name, entry.identity)).collect())
    }

    /// Handles on the processes that are entered and live although who started them has ended, with their slots and names: for
    /// the successor. Those that have ended are forgotten.
    ///
    /// # Errors
    ///
    /// [`LeftoversError::Kept`] if one of them still has the parent that it was started by, and so none of them is left over.
    pub fn leftovers(&self) -> Result<Vec<(usize, String, Child)>, LeftoversError> {
        let mut leftovers = Vec::new();
        for (slot, Entry { name, identity, parent }) in self.records()? {
            match Child::adopt_orphan_of(parent, identity) {
                Ok(child) => leftovers.push((slot, name, child)),
                Err(AdoptError::Gone { .. }) => self.clear(slot)?,
                Err(AdoptError::NotAnOrphan { parent, .. }) => {
                    return Err(LeftoversError::Kept { name, parent });
                }
                Err(AdoptError::Handle { source, .. }) => return Err(source.into()),
            }
        }
        Ok(leftovers)
    }

    fn records(&self) -> io::Result<Vec<(usize, Entry)>> {
        let count = usize::try_from(self.file.metadata()?.len() / RECORD_LEN).unwrap_or(0);
        let mut entries = Vec::new();
        // The first one is the header.
        for slot in 0..count.saturating_sub(1) {
            let mut record = EMPTY;
            self.file.read_exact_at(&mut record, offset(slot))?;
            entries.extend(decode(&record).map(|entry| (slot, entry)));
        }
        Ok(entries)
    }

    /// In one piece: whoever is killed meanwhile leaves the old record or the new one.
    fn write(&self, slot: usize, record: &Record) -> io::Result<()> {
        self.file.write_all_at(record, offset(slot))
    }
}

impl AsFd for Ledger {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Why what is left over is not known.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LeftoversError {
    /// Whoever keeps the ledger lives.
    #[error("{name} is kept by process {parent}")]
    Kept {
        /// One that is entered.
        name: String,
        /// Who has started it, and lives.
        parent: i32,
    },
    /// The ledger cannot be read, or a process cannot be looked at.
    #[error("the ledger cannot be used")]
    Refused(#[from] io::Error),
}

/// A process that has entered itself.
struct Entry {
    name: String,
    identity: ProcessIdentity,
    /// Who had started it.
    parent: Pid,
}

fn encode(
    name: &str,
    ProcessIdentity { pid, start_time }: ProcessIdentity,
    parent: Pid,
) -> io::Result<Record> {
    let mut record = EMPTY;
    let (Ok(name_len), Some(place)) =
        (u8::try_from(name.len()), record.get_mut(NAME_AT..NAME_AT + name.len()))
    else {
        let text = format!("a name of {} bytes is longer than a record holds", name.len());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    };
    place.copy_from_slice(name.as_bytes());
    record[PID_AT..PARENT_AT].copy_from_slice(&pid.as_raw().to_ne_bytes());
    record[PARENT_AT..START_AT].copy_from_slice(&parent.as_raw().to_ne_bytes());
    record[START_AT..LEN_AT].copy_from_slice(&start_time.to_ne_bytes());
    record[LEN_AT] = name_len;
    Ok(record)
}

/// `None` if that is no record of a process.
fn decode(record: &Record) -> Option<Entry> {
    let pid = i32::from_ne_bytes(record[PID_AT..PARENT_AT].try_into().ok()?);
    let parent = i32::from_ne_bytes(record[PARENT_AT..START_AT].try_into().ok()?);
    let start_time = u64::from_ne_bytes(record[START_AT..LEN_AT].try_into().ok()?);
    let name = record.get(NAME_AT..NAME_AT + usize::from(record[LEN_AT]))?;
    let name = std::str::from_utf8(name).ok()?.to_owned();
    let identity = ProcessIdentity { pid: Pid::from_raw(pid), start_time };
    // Otherwise not a process, but a group or everybody.
    (pid > 0).then(|| Entry { name, identity, parent: Pid::from_raw(parent) })
}

fn offset(slot: usize) -> u64 {
    (slot as u64).saturating_add(1).saturating_mul(RECORD_LEN)
}

/// Pid, parent, start time, length of the name, name; zeros up to the end. Each lies within one page. The first one of the file
/// holds the boot of the machine that the others are of.
type Record = [u8; 256];

const RECORD_LEN: u64 = 256;
const EMPTY: Record = [0; 256];

const PID_AT: usize = 0;
const PARENT_AT: usize = 4;
const START_AT: usize = 8;
const LEN_AT: usize = 16;
const NAME_AT: usize = 17;

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> ProcessIdentity {
        ProcessIdentity::of_this_process().unwrap()
    }

    #[test]
    fn who_enters_is_found_at_its_slot_until_it_is_cleared() {
        let ledger = Ledger::in_memory().unwrap();
        ledger.note_this_process(3, "scheduler").unwrap();
        ledger.note_this_process(1, "rq-default").unwrap();
        let expected = [(1, "rq-default".to_owned(), identity()), (3, "scheduler".to_owned(), identity())];
        assert_eq!(ledger.entries().unwrap(), expected);
        ledger.clear(3).unwrap();
        assert_eq!(ledger.entries().unwrap(), expected[..1]);
    }

    #[test]
    fn a_later_entry_takes_the_place_of_an_earlier_one_whole() {
        let ledger = Ledger::in_memory().unwrap();
        ledger.note_this_process(0, "a-long-name").unwrap();
        ledger.note_this_process(0, "b").unwrap();
        assert_eq!(ledger.entries().unwrap(), [(0, "b".to_owned(), identity())]);
    }

    #[test]
    fn a_name_is_kept_up_to_its_last_byte_or_refused() {
        let ledger = Ledger::in_memory().unwrap();
        let longest = "n".repeat(239);
        ledger.note_this_process(0, &longest).unwrap();
        for too_long in [240, 300] {
            let error = ledger.note_this_process(0, &"n".repeat(too_long)).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{error}");
        }
        assert_eq!(ledger.entries().unwrap(), [(0, longest, identity())]);
    }

    #[test]
    fn garbage_is_no_entry_and_hides_none() {
        let ledger = Ledger::in_memory().unwrap();
        ledger.write(0, &[0xff; 256]).unwrap();
        ledger.note_this_process(1, "scheduler").unwrap();
        let mut record = encode("\u{e9}", identity(), getppid()).unwrap();
        // Half a character.
        record[LEN_AT] = 1;
        ledger.write(2, &record).unwrap();
        // To send a signal to process 0 or -1 is to send it to many.
        for (slot, pid) in [(3, 0), (4, -1)] {
            ledger
                .write(
                    slot,
                    &encode("all", ProcessIdentity { pid: Pid::from_raw(pid), start_time: 1 }, getppid())
                        .unwrap(),
                )
                .unwrap();
        }
        ledger.file.write_all_at(&[1; 100], offset(5)).unwrap();
        assert_eq!(ledger.entries().unwrap(), [(1, "scheduler".to_owned(), identity())]);
    }

    #[test]
    fn who_has_ended_is_no_leftover_and_is_forgotten() {
        let ledger = Ledger::in_memory().unwrap();
        let gone = ProcessIdentity { start_time: identity().start_time.wrapping_sub(1), ..identity() };
        ledger.write(0, &encode("gone", gone, getppid()).unwrap()).unwrap();
        assert!(ledger.leftovers().unwrap().is_empty());
        assert!(ledger.entries().unwrap().is_empty());
    }

    #[test]
    fn who_has_the_parent_that_has_started_it_is_not_left_over() {
        let ledger = Ledger::in_memory().unwrap();
        ledger.note_this_process(0, "scheduler").unwrap();
        assert!(matches!(ledger.leftovers(), Err(LeftoversError::Kept { .. })));
        assert_eq!(ledger.entries().unwrap().len(), 1);
    }

    #[test]
    fn a_file_is_found_again_and_forgets_another_boot() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger");
        let ledger = Ledger::open(&path).unwrap();
        ledger.note_this_process(2, "scheduler").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(Ledger::open(&path).unwrap().entries().unwrap().len(), 1);
        ledger.file.write_all_at(b"another boot", 0).unwrap();
        let again = Ledger::open(&path).unwrap();
        assert!(again.entries().unwrap().is_empty());
        again.remove();
        assert!(!path.exists());
        fs::write(&path, "another file").unwrap();
        ledger.remove();
        assert!(path.exists());
    }

    #[test]
    fn no_link_is_followed_and_no_pipe_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let (link, pipe) = (dir.path().join("link"), dir.path().join("pipe"));
        std::os::unix::fs::symlink("elsewhere", &link).unwrap();
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(Ledger::open(&link).is_err());
        assert!(!dir.path().join("elsewhere").exists());
        assert!(Ledger::open(&pipe).is_err());
    }
}
