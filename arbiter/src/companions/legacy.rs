//! What a manager that is killed leaves to the next one.

use std::collections::BTreeMap;
use std::io;

use gunmetal_supervise::{ChildSetup, Ledger};

/// What a manager knows that no file tells: in memory that the master makes and that each manager in turn keeps up.
#[derive(Debug)]
pub(crate) struct Legacy {
    /// The companions that were stopped by hand; the process that is entered is the manager that was told to.
    stopped: Ledger,
}

impl Legacy {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { stopped: Ledger::in_memory()? })
    }

    /// Lets a manager keep it.
    pub(super) fn keep(&self, setup: ChildSetup) -> ChildSetup {
        setup.keep(&self.stopped)
    }

    /// The companions that were stopped by hand.
    pub(super) fn stopped(&self) -> io::Result<Stopped<'_>> {
        let entries = self.stopped.entries()?;
        Ok(Stopped {
            ledger: &self.stopped,
            noted: entries.into_iter().map(|(slot, name, _)| (name, slot)).collect(),
        })
    }
}

/// Which companions were stopped by hand, kept up for the next manager.
pub(super) struct Stopped<'a> {
    ledger: &'a Ledger,
    /// By name, where each is noted.
    noted: BTreeMap<String, usize>,
}

impl Stopped<'_> {
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.noted.keys().map(String::as_str)
    }

    /// Notes that it is these.
    pub(super) fn note<'n>(&mut self, names: impl Iterator<Item = &'n str>) -> io::Result<()> {
        let names: Vec<&str> = names.collect();
        let gone: Vec<String> =
            self.noted.keys().filter(|name| !names.contains(&name.as_str())).cloned().collect();
        for name in gone {
            if let Some(slot) = self.noted.remove(&name) {
                self.ledger.clear(slot)?;
            }
        }
        for name in names {
            if !self.noted.contains_key(name) {
                let slot = free(self.noted.values());
                self.ledger.note_this_process(slot, name)?;
                self.noted.insert(name.to_owned(), slot);
            }
        }
        Ok(())
    }
}

/// The first slot that nobody has.
pub(super) fn free<'s>(taken: impl Iterator<Item = &'s usize> + Clone) -> usize {
    let mut slot = 0;
    while taken.clone().any(|taken| *taken == slot) {
        slot += 1;
    }
    slot
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_manager_finds_who_was_stopped_by_hand() {
        let legacy = Legacy::new().unwrap();
        let names = |stopped: &Stopped<'_>| stopped.names().map(str::to_owned).collect::<Vec<_>>();
        let mut stopped = legacy.stopped().unwrap();
        stopped.note(["b", "a", "c"].into_iter()).unwrap();
        stopped.note(["c", "d"].into_iter()).unwrap();
        assert_eq!(names(&stopped), ["c", "d"]);
        assert_eq!(names(&legacy.stopped().unwrap()), ["c", "d"]);
        stopped.note([].into_iter()).unwrap();
        assert_eq!(names(&legacy.stopped().unwrap()), [""; 0]);
    }
}
