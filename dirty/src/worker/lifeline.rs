//! Who the worker lives for.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What ties the worker to the process that started it, where another one may take it over after that one's death.
///
/// Without one, whoever started the worker sees to it that the worker does not outlive it.
pub struct Lifeline {
    /// Readable once the process that started the worker is gone.
    pub parent: OwnedFd,
    /// Called on the worker's main thread at each station, at most once each. If it returns [`Fate::End`], nobody is
    /// left to live for, and the worker ends at once.
    pub at: Box<dyn FnMut(Station) -> Fate + Send>,
}

/// A turn in the worker's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Station {
    /// The apps are made: about to say that it is ready.
    Ready,
    /// Who started it is gone. The apps keep their state, and the next router may come.
    Orphaned,
    /// It begins to drain: nobody needs to take it over.
    Draining,
}

/// What becomes of the worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It goes on.
    GoOn,
    /// It ends, without finishing anything.
    End,
}

/// The lifeline in the hands of the steward.
#[derive(Debug)]
pub(super) struct Tether {
    lifeline: Option<Lifeline>,
    is_orphan: bool,
}

impl Tether {
    pub(super) fn new(lifeline: Option<Lifeline>) -> Self {
        Self { lifeline, is_orphan: false }
    }

    /// What tells that the worker became an orphan, as long as it is none.
    pub(super) fn parent(&self) -> Option<BorrowedFd<'_>> {
        self.lifeline.as_ref().filter(|_| !self.is_orphan).map(|lifeline| lifeline.parent.as_fd())
    }

    pub(super) fn reach(&mut self, station: Station) -> Fate {
        self.is_orphan |= station == Station::Orphaned;
        self.lifeline.as_mut().map_or(Fate::GoOn, |lifeline| (lifeline.at)(station))
    }
}

impl fmt::Debug for Lifeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lifeline").field("parent", &self.parent).finish_non_exhaustive()
    }
}
