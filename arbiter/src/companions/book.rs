//! What a manager that is killed leaves to whoever comes next.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use gunmetal_supervise::{Ledger, LedgerError, Leftover};

/// The ledger, with what stands where in it. Who keeps it is the manager: there is one at a time, whatever becomes of the socket.
pub(super) struct Book {
    ledger: Ledger,
    /// Where companions are noted that were stopped by hand.
    stopped: BTreeMap<String, usize>,
}

impl Book {
    /// The ledger beside the control socket.
    pub(super) fn keep(control_socket: &Path) -> Result<Self, LedgerError> {
        let mut path = control_socket.as_os_str().to_owned();
        path.push(".ledger");
        let path = PathBuf::from(path);
        let ledger = Ledger::keep(&path)?;
        let entries = ledger.entries().map_err(|source| LedgerError::Refused { path, source })?;
        let stopped = entries.into_iter().filter(|(_, _, process)| process.is_none());
        let stopped = stopped.map(|(slot, name, _)| (name, slot)).collect();
        Ok(Self { ledger, stopped })
    }

    pub(super) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The companions that were stopped by hand.
    pub(super) fn stopped(&self) -> impl Iterator<Item = &str> {
        self.stopped.keys().map(String::as_str)
    }

    /// The processes that another manager has left.
    pub(super) fn leftovers(&self) -> io::Result<Vec<Leftover>> {
        self.ledger.leftovers()
    }

    /// A slot that nobody has: neither one of the companions that were stopped, nor `processes`.
    pub(super) fn free_slot(&self, processes: impl Iterator<Item = usize> + Clone) -> usize {
        let mut slot = 0;
        while self.stopped.values().copied().chain(processes.clone()).any(|taken| taken == slot) {
            slot += 1;
        }
        slot
    }

    /// Notes that these are the companions that were stopped by hand.
    pub(super) fn note_stopped<'n>(
        &mut self,
        names: impl Iterator<Item = &'n str>,
        processes: impl Iterator<Item = usize> + Clone,
    ) -> io::Result<()> {
        let names: Vec<&str> = names.collect();
        let gone: Vec<String> =
            self.stopped().filter(|name| !names.contains(name)).map(str::to_owned).collect();
        for name in gone {
            if let Some(slot) = self.stopped.remove(&name) {
                self.ledger.clear(slot)?;
            }
        }
        for name in names {
            if !self.stopped.contains_key(name) {
                let slot = self.free_slot(processes.clone());
                self.stopped.insert(name.to_owned(), slot);
                self.ledger.note_stopped(slot, name)?;
            }
        }
        Ok(())
    }

    /// Nobody is left.
    pub(super) fn close(self) {
        self.ledger.remove();
    }

    /// The same, unless the next manager has something to read in it.
    pub(super) fn close_unless_needed(self) {
        if self.ledger.entries().is_ok_and(|entries| entries.is_empty()) {
            self.ledger.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_manager_finds_who_was_stopped_by_hand() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("c.sock");
        let mut book = Book::keep(&socket).unwrap();
        // A process has the first slot.
        let processes = || [0].into_iter();
        book.note_stopped(["b", "a", "c"].into_iter(), processes()).unwrap();
        book.note_stopped(["c", "d"].into_iter(), processes()).unwrap();
        assert_eq!(book.free_slot(processes()), 2);
        drop(book);
        let mut book = Book::keep(&socket).unwrap();
        assert_eq!(book.stopped().collect::<Vec<_>>(), ["c", "d"]);
        book.note_stopped([].into_iter(), processes()).unwrap();
        assert_eq!(book.stopped().count(), 0);
        book.close();
        assert!(!dir.path().join("c.sock.ledger").exists());
    }
}
