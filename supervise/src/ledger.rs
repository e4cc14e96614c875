//! Which processes a parent has started, for the one that takes its place.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::OFlag;
use nix::unistd::{Pid, geteuid};

use crate::file_lock::{is_at, lock};
use crate::{AdoptError, Child, ProcessIdentity};

/// A list of living processes in a file that outlives whoever keeps it: a parent that is killed so leaves to its successor what it
/// had started, and which names it was told to leave alone.
///
/// One process at a time keeps it, which the kernel knows by a lock. A process that is started enters itself, before it does
/// anything else: so there is no moment at which it lives and nobody knows. Should its parent die before that, it ends by
/// itself, in [`Newborn::become_child`](crate::Newborn::become_child).
#[derive(Debug)]
pub struct Ledger {
    file: File,
    path: PathBuf,
}

impl Ledger {
    /// The ledger at `path`, which is made with mode 0600 if it is not there, for this process to keep until it ends. What it says
    /// of another boot of the machine is forgotten.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Kept`], if another process keeps it.
    pub fn keep(path: &Path) -> Result<Ledger, LedgerError> {
        let refused = |source| LedgerError::Refused { path: path.to_owned(), source };
        loop {
            let file = open(path).map_err(refused)?;
            if !lock(&file, 0).map_err(refused)? {
                return Err(LedgerError::Kept { path: path.to_owned() });
            }
            // Otherwise whoever kept it has removed it in between.
            if is_at(&file, path) {
                let is_new = file.metadata().map_err(refused)?.len() == 0;
                let ledger = Ledger { file, path: path.to_owned() };
                return match ledger.begin(is_new) {
                    Ok(()) => Ok(ledger),
                    Err(error) => {
                        if is_new {
                            ledger.remove();
                        }
                        Err(error)
                    }
                };
            }
        }
    }

    /// Makes sure that what it says is of this boot of the machine.
    fn begin(&self, is_new: bool) -> Result<(), LedgerError> {
        let refused = |source| LedgerError::Refused { path: self.path.clone(), source };
        let boot = fs::read("/proc/sys/kernel/random/boot_id").map_err(refused)?;
        let mut header = EMPTY;
        header[..MAGIC.len()].copy_from_slice(MAGIC);
        header[MAGIC.len()..].iter_mut().zip(boot.trim_ascii_end()).for_each(|(to, from)| *to = *from);
        let mut found = EMPTY;
        if !is_new {
            let read = self.file.read_exact_at(&mut found, 0);
            if read.is_err() || !found.starts_with(MAGIC) {
                return Err(LedgerError::NotALedger { path: self.path.clone() });
            }
        }
        if found != header {
            let write = || {
                self.file.set_len(0)?;
                self.file.write_all_at(&header, 0)
            };
            write().map_err(refused)?;
        }
        Ok(())
    }

    /// Removes the file: nobody that is entered lives.
    pub fn remove(self) {
        if is_at(&self.file, &self.path) {
            // What remains says of nobody that he lives.
            let _ = fs::remove_file(&self.path);
        }
    }

    /// Enters the calling process at `slot`, in the place of who was there. It may take as long as `patience` to end.
    ///
    /// # Errors
    ///
    /// `InvalidInput`, if `name` is longer than 235 bytes; otherwise what the system refused.
    pub fn note_this_process(&self, slot: usize, name: &str, patience: Duration) -> io::Result<()> {
        self.write(slot, &encode(name, Some((ProcessIdentity::of_this_process()?, patience)))?)
    }

    /// Enters a name alone at `slot`: nobody is to be started under it.
    ///
    /// # Errors
    ///
    /// As [`note_this_process`](Self::note_this_process).
    pub fn note_stopped(&self, slot: usize, name: &str) -> io::Result<()> {
        self.write(slot, &encode(name, None)?)
    }

    /// Forgets who is at `slot`.
    ///
    /// # Errors
    ///
    /// What `pwrite(2)` refused.
    pub fn clear(&self, slot: usize) -> io::Result<()> {
        self.write(slot, &EMPTY)
    }

    /// Who is entered, by slot: with a process, or without one if nobody is to be started under that name. What is no entry is left
    /// out.
    ///
    /// # Errors
    ///
    /// What `pread(2)` refused.
    pub fn entries(&self) -> io::Result<Vec<(usize, String, Option<ProcessIdentity>)>> {
        let entries = self.records()?.into_iter();
        Ok(entries.map(|(slot, name, process)| (slot, name, process.map(|(identity, _)| identity))).collect())
    }

    /// Handles on the processes that are entered and live, for the successor of who has started them. Those that have ended are
    /// forgotten.
    ///
    /// # Errors
    ///
    /// What the system refused: then it is not known who lives.
    pub fn leftovers(&self) -> io::Result<Vec<Leftover>> {
        let mut leftovers = Vec::new();
        for (slot, name, process) in self.records()? {
            let Some((identity, patience)) = process else { continue };
            match Child::adopt_from_anybody(identity) {
                Ok(child) => leftovers.push(Leftover { slot, name, patience, child }),
                Err(AdoptError::Handle { source, .. }) => return Err(source),
                Err(AdoptError::Gone { .. } | AdoptError::NotAnOrphan { .. }) => self.clear(slot)?,
            }
        }
        Ok(leftovers)
    }

    fn records(&self) -> io::Result<Vec<(usize, String, Option<Patient>)>> {
        let count = usize::try_from(self.file.metadata()?.len() / RECORD_LEN).unwrap_or(0);
        let mut entries = Vec::new();
        // The first one is the header.
        for slot in 0..count.saturating_sub(1).min(MOST_SLOTS) {
            let mut record = EMPTY;
            self.file.read_exact_at(&mut record, offset(slot))?;
            entries.extend(decode(&record).map(|(name, process)| (slot, name, process)));
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

/// A process that lives, though who has started it does not.
#[derive(Debug)]
pub struct Leftover {
    /// Where it is entered.
    pub slot: usize,
    /// Under which name.
    pub name: String,
    /// How long it may take to end.
    pub patience: Duration,
    /// The process.
    pub child: Child,
}

/// Why a ledger cannot be kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// Another process does.
    #[error("another process keeps {}", path.display())]
    Kept {
        /// The path.
        path: PathBuf,
    },
    /// Something else is at the path, and is left as it is.
    #[error("{} is there and is no ledger of this program", path.display())]
    NotALedger {
        /// The path.
        path: PathBuf,
    },
    /// What the system refused, or what may not be there.
    #[error("cannot keep {}", path.display())]
    Refused {
        /// The path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A process, and how long it may take to end.
type Patient = (ProcessIdentity, Duration);

/// A file of this user's and of nobody else's.
fn open(path: &Path) -> io::Result<File> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(flags.bits());
    let file = options.open(path)?;
    let metadata = file.metadata()?;
    // None at all: its keeper has just removed it.
    if metadata.is_file() && metadata.uid() == geteuid().as_raw() && metadata.nlink() <= 1 {
        return Ok(file);
    }
    let reason = "it is not a regular file of this user's with one name";
    Err(io::Error::new(io::ErrorKind::InvalidData, reason))
}

fn encode(name: &str, process: Option<Patient>) -> io::Result<Record> {
    let mut record = EMPTY;
    let (Ok(name_len), Some(place)) =
        (u8::try_from(name.len()), record.get_mut(NAME_AT..NAME_AT + name.len()))
    else {
        let text = format!("a name of {} bytes is longer than a record holds", name.len());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    };
    place.copy_from_slice(name.as_bytes());
    if let Some((ProcessIdentity { pid, start_time }, patience)) = process {
        let patience = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
        record[PID_AT..START_AT].copy_from_slice(&pid.as_raw().to_ne_bytes());
        record[START_AT..PATIENCE_AT].copy_from_slice(&start_time.to_ne_bytes());
        record[PATIENCE_AT..LEN_AT].copy_from_slice(&patience.to_ne_bytes());
    }
    record[LEN_AT] = name_len;
    Ok(record)
}

/// `None` if that is no record.
fn decode(record: &Record) -> Option<(String, Option<Patient>)> {
    let pid = i32::from_ne_bytes(record[PID_AT..START_AT].try_into().ok()?);
    let start_time = u64::from_ne_bytes(record[START_AT..PATIENCE_AT].try_into().ok()?);
    let patience = u64::from_ne_bytes(record[PATIENCE_AT..LEN_AT].try_into().ok()?);
    let name = record.get(NAME_AT..NAME_AT + usize::from(record[LEN_AT]))?;
    let name = std::str::from_utf8(name).ok().filter(|name| !name.is_empty())?.to_owned();
    match pid {
        0 => Some((name, None)),
        // Not a process, but a group or everybody.
        ..0 => None,
        1.. => {
            let identity = ProcessIdentity { pid: Pid::from_raw(pid), start_time };
            Some((name, Some((identity, Duration::from_millis(patience)))))
        }
    }
}

fn offset(slot: usize) -> u64 {
    (slot as u64).saturating_add(1).saturating_mul(RECORD_LEN)
}

/// Pid, start time, patience in milliseconds, length of the name, name; zeros up to the end. Each lies within one page. The first one of the file says what
/// the file is, and of which boot of the machine.
type Record = [u8; 256];

const MAGIC: &[u8] = b"gunmetal ledger 1 ";
const RECORD_LEN: u64 = 256;
const EMPTY: Record = [0; 256];
/// More than there are companions anywhere: a file that somebody has made long is not read to its end.
const MOST_SLOTS: usize = 1 << 16;

const PID_AT: usize = 0;
const START_AT: usize = 4;
const PATIENCE_AT: usize = 12;
const LEN_AT: usize = 20;
const NAME_AT: usize = 21;

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_millis(1_500);

    /// A ledger in a directory of its own.
    fn ledger() -> (tempfile::TempDir, Ledger) {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::keep(&dir.path().join("ledger")).unwrap();
        (dir, ledger)
    }

    fn identity() -> ProcessIdentity {
        ProcessIdentity::of_this_process().unwrap()
    }

    fn entry(slot: usize, name: &str) -> (usize, String, Option<ProcessIdentity>) {
        (slot, name.to_owned(), Some(identity()))
    }

    #[test]
    fn who_enters_is_found_at_its_slot_until_it_is_cleared() {
        let (_dir, ledger) = ledger();
        ledger.note_this_process(3, "scheduler", PATIENCE).unwrap();
        ledger.note_this_process(1, "rq-default", PATIENCE).unwrap();
        ledger.note_stopped(2, "rq-long").unwrap();
        let expected = [entry(1, "rq-default"), (2, "rq-long".to_owned(), None), entry(3, "scheduler")];
        assert_eq!(ledger.entries().unwrap(), expected);
        ledger.clear(3).unwrap();
        assert_eq!(ledger.entries().unwrap(), expected[..2]);
    }

    #[test]
    fn a_later_entry_takes_the_place_of_an_earlier_one_whole() {
        let (_dir, ledger) = ledger();
        ledger.note_this_process(0, "a-long-name", PATIENCE).unwrap();
        ledger.note_this_process(0, "b", PATIENCE).unwrap();
        assert_eq!(ledger.entries().unwrap(), [entry(0, "b")]);
    }

    #[test]
    fn a_name_is_kept_up_to_its_last_byte_or_refused() {
        let (_dir, ledger) = ledger();
        let longest = "n".repeat(235);
        ledger.note_this_process(0, &longest, PATIENCE).unwrap();
        for too_long in [236, 300] {
            let error = ledger.note_this_process(0, &"n".repeat(too_long), PATIENCE).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{error}");
        }
        assert_eq!(ledger.entries().unwrap(), [entry(0, &longest)]);
    }

    #[test]
    fn garbage_is_no_entry_and_hides_none() {
        let (_dir, ledger) = ledger();
        ledger.write(0, &[0xff; 256]).unwrap();
        ledger.note_this_process(1, "scheduler", PATIENCE).unwrap();
        let mut record = encode("\u{e9}", Some((identity(), PATIENCE))).unwrap();
        // Half a character.
        record[LEN_AT] = 1;
        ledger.write(2, &record).unwrap();
        // To send a signal to process -1 is to send it to many.
        let everybody = ProcessIdentity { pid: Pid::from_raw(-1), start_time: 1 };
        ledger.write(3, &encode("all", Some((everybody, PATIENCE))).unwrap()).unwrap();
        ledger.file.write_all_at(&[1; 100], offset(5)).unwrap();
        assert_eq!(ledger.entries().unwrap(), [entry(1, "scheduler")]);
    }

    #[test]
    fn who_has_ended_is_no_leftover_and_is_forgotten() {
        let (_dir, ledger) = ledger();
        let gone = ProcessIdentity { start_time: identity().start_time.wrapping_sub(1), ..identity() };
        ledger.write(0, &encode("gone", Some((gone, PATIENCE))).unwrap()).unwrap();
        assert!(ledger.leftovers().unwrap().is_empty());
        assert!(ledger.entries().unwrap().is_empty());
    }

    #[test]
    fn a_file_is_found_again_and_forgets_another_boot() {
        let (dir, ledger) = ledger();
        let path = dir.path().join("ledger");
        ledger.note_this_process(2, "scheduler", PATIENCE).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        drop(ledger);
        let ledger = Ledger::keep(&path).unwrap();
        assert_eq!(ledger.entries().unwrap().len(), 1);
        ledger.file.write_all_at(b"another boot", MAGIC.len() as u64).unwrap();
        drop(ledger);
        let ledger = Ledger::keep(&path).unwrap();
        assert!(ledger.entries().unwrap().is_empty());
        ledger.remove();
        assert!(!path.exists());
    }

    #[test]
    fn what_is_no_ledger_is_neither_touched_nor_followed_nor_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::write(path("precious"), "data").unwrap();
        fs::hard_link(path("precious"), path("hard")).unwrap();
        std::os::unix::fs::symlink("elsewhere", path("soft")).unwrap();
        nix::unistd::mkfifo(&path("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        fs::write(path("other"), "data").unwrap();
        for name in ["hard", "soft", "pipe"] {
            let error = Ledger::keep(&path(name)).unwrap_err();
            assert!(matches!(error, LedgerError::Refused { .. }), "{name}: {error}");
        }
        assert!(matches!(Ledger::keep(&path("other")), Err(LedgerError::NotALedger { .. })));
        assert!(!path("elsewhere").exists());
        for name in ["precious", "other"] {
            assert_eq!(fs::read(path(name)).unwrap(), b"data");
        }
    }
}
