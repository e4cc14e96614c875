//! Which processes a parent has started, for the one that takes its place.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;

use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::unistd::Pid;

use crate::{AdoptError, Child, ProcessIdentity};

/// A list of living processes that outlives whoever keeps it: a file in memory, made by the grandparent and inherited by
/// each parent in turn. A parent that is killed so leaves to its successor what it had started.
///
/// A process enters itself, before it does anything else: so there is no moment at which it lives and nobody knows. Should
/// its parent die before that, it ends by itself, in [`Newborn::become_child`](crate::Newborn::become_child).
#[derive(Debug)]
pub struct Ledger {
    file: File,
}

impl Ledger {
    /// An empty one.
    ///
    /// # Errors
    ///
    /// What `memfd_create(2)` refused.
    pub fn new() -> io::Result<Ledger> {
        Ok(Ledger { file: memfd_create("gunmetal-ledger", MFdFlags::MFD_CLOEXEC)?.into() })
    }

    /// Enters the calling process at `slot`, in the place of who was there.
    ///
    /// # Errors
    ///
    /// `InvalidInput`, if `name` is longer than 243 bytes; otherwise what the system refused.
    pub fn note_this_process(&self, slot: usize, name: &str) -> io::Result<()> {
        self.write(slot, &encode(name, ProcessIdentity::of_this_process()?)?)
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
        let slot_count = usize::try_from(self.file.metadata()?.len() / RECORD_LEN).unwrap_or(0);
        let mut entries = Vec::new();
        for slot in 0..slot_count {
            let mut record = EMPTY;
            self.file.read_exact_at(&mut record, offset(slot))?;
            entries.extend(decode(&record).map(|(name, identity)| (slot, name, identity)));
        }
        Ok(entries)
    }

    /// Handles on the processes that are entered and live, children of `parent` by now, with their slots and names: for
    /// the successor of who has started them. Those that have ended are forgotten.
    ///
    /// # Errors
    ///
    /// As [`entries`](Ledger::entries) and [`clear`](Ledger::clear). A process that cannot be had is told to the log, and
    /// stays entered.
    pub fn leftovers(&self, parent: Pid) -> io::Result<Vec<(usize, String, Child)>> {
        let mut leftovers = Vec::new();
        for (slot, name, identity) in self.entries()? {
            match Child::adopt(identity, parent) {
                Ok(child) => leftovers.push((slot, name, child)),
                Err(AdoptError::Gone { .. }) => self.clear(slot)?,
                Err(error @ AdoptError::NotAnOrphan { .. }) => {
                    tracing::error!(name, slot, %error, "process not taken over");
                }
                Err(AdoptError::Handle { pid, source }) => {
                    tracing::error!(name, slot, pid, error = %source, "process not taken over");
                }
            }
        }
        Ok(leftovers)
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

fn encode(name: &str, ProcessIdentity { pid, start_time }: ProcessIdentity) -> io::Result<Record> {
    let mut record = EMPTY;
    let (Ok(name_len), Some(place)) =
        (u8::try_from(name.len()), record.get_mut(NAME_AT..NAME_AT + name.len()))
    else {
        let text = format!("a name of {} bytes is longer than a record holds", name.len());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    };
    place.copy_from_slice(name.as_bytes());
    record[PID_AT..START_AT].copy_from_slice(&pid.as_raw().to_ne_bytes());
    record[START_AT..LEN_AT].copy_from_slice(&start_time.to_ne_bytes());
    record[LEN_AT] = name_len;
    Ok(record)
}

/// `None` if that is no record of a process.
fn decode(record: &Record) -> Option<(String, ProcessIdentity)> {
    let pid = i32::from_ne_bytes(record[PID_AT..START_AT].try_into().ok()?);
    let start_time = u64::from_ne_bytes(record[START_AT..LEN_AT].try_into().ok()?);
    let name = record.get(NAME_AT..NAME_AT + usize::from(record[LEN_AT]))?;
    let name = std::str::from_utf8(name).ok()?.to_owned();
    // Not a process, but a group or everybody.
    (pid > 0).then(|| (name, ProcessIdentity { pid: Pid::from_raw(pid), start_time }))
}

fn offset(slot: usize) -> u64 {
    (slot as u64).saturating_mul(RECORD_LEN)
}

/// Pid, start time, length of the name, name; zeros up to the end. Each lies within one page.
type Record = [u8; 256];

const RECORD_LEN: u64 = 256;
const EMPTY: Record = [0; 256];

const PID_AT: usize = 0;
const START_AT: usize = 4;
const LEN_AT: usize = 12;
const NAME_AT: usize = 13;

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> ProcessIdentity {
        ProcessIdentity::of_this_process().unwrap()
    }

    #[test]
    fn who_enters_is_found_at_its_slot_until_it_is_cleared() {
        let ledger = Ledger::new().unwrap();
        ledger.note_this_process(3, "scheduler").unwrap();
        ledger.note_this_process(1, "rq-default").unwrap();
        let expected = [(1, "rq-default".to_owned(), identity()), (3, "scheduler".to_owned(), identity())];
        assert_eq!(ledger.entries().unwrap(), expected);
        ledger.clear(3).unwrap();
        assert_eq!(ledger.entries().unwrap(), expected[..1]);
    }

    #[test]
    fn a_later_entry_takes_the_place_of_an_earlier_one_whole() {
        let ledger = Ledger::new().unwrap();
        ledger.note_this_process(0, "a-long-name").unwrap();
        ledger.note_this_process(0, "b").unwrap();
        assert_eq!(ledger.entries().unwrap(), [(0, "b".to_owned(), identity())]);
    }

    #[test]
    fn a_name_is_kept_up_to_its_last_byte_or_refused() {
        let ledger = Ledger::new().unwrap();
        let longest = "n".repeat(243);
        ledger.note_this_process(0, &longest).unwrap();
        for too_long in [244, 300] {
            let error = ledger.note_this_process(0, &"n".repeat(too_long)).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{error}");
        }
        assert_eq!(ledger.entries().unwrap(), [(0, longest, identity())]);
    }

    #[test]
    fn garbage_is_no_entry_and_hides_none() {
        let ledger = Ledger::new().unwrap();
        ledger.write(0, &[0xff; 256]).unwrap();
        ledger.note_this_process(1, "scheduler").unwrap();
        let mut record = encode("\u{e9}", identity()).unwrap();
        // Half a character.
        record[LEN_AT] = 1;
        ledger.write(2, &record).unwrap();
        // To send a signal to process 0 or -1 is to send it to many.
        for (slot, pid) in [(3, 0), (4, -1)] {
            ledger
                .write(
                    slot,
                    &encode("all", ProcessIdentity { pid: Pid::from_raw(pid), start_time: 1 }).unwrap(),
                )
                .unwrap();
        }
        ledger.file.write_all_at(&[1; 100], offset(5)).unwrap();
        assert_eq!(ledger.entries().unwrap(), [(1, "scheduler".to_owned(), identity())]);
    }

    #[test]
    fn who_has_ended_is_no_leftover_and_is_forgotten() {
        let ledger = Ledger::new().unwrap();
        let gone = ProcessIdentity { start_time: identity().start_time.wrapping_sub(1), ..identity() };
        ledger.write(0, &encode("gone", gone).unwrap()).unwrap();
        assert!(ledger.leftovers(nix::unistd::getppid()).unwrap().is_empty());
        assert!(ledger.entries().unwrap().is_empty());
    }

    #[test]
    fn who_belongs_to_somebody_else_is_not_taken_over_and_stays() {
        let ledger = Ledger::new().unwrap();
        ledger.note_this_process(0, "scheduler").unwrap();
        assert!(ledger.leftovers(nix::unistd::getpid()).unwrap().is_empty());
        assert_eq!(ledger.entries().unwrap().len(), 1);
    }
}
