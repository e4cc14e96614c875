//! What the steward and a lane thread agree on about one lane.

use gunmetal_protocol::Segments;

use crate::cancel_token::CancelToken;

/// What the steward and a lane thread agree on about one lane: which request runs, which never will, and which
/// finished replies wait for company. A plain value; [`Lane`](super::lane::Lane) keeps it under a lock.
///
/// Request ids on a lane grow by one, starting at 1.
#[derive(Debug, Default)]
pub(super) struct Gate {
    /// The last request that started.
    started: u64,
    /// The last request that was taken back.
    revoked: u64,
    /// The token of the request that runs.
    running: Option<CancelToken>,
    /// Whether the router has closed the lane.
    is_hung_up: bool,
    /// Finished replies and chunks that were not sent yet.
    pub(super) held: Segments,
    /// Whether the steward looks after what is held.
    is_watched: bool,
}

/// Whether a request may start.
#[derive(Debug)]
pub(super) enum Admission {
    /// It runs from now on, under this token.
    Run(CancelToken),
    /// It was taken back.
    Revoked,
    /// Nobody waits for anything here any more.
    HungUp,
}

impl Gate {
    /// A lane thread wants to start request `id`.
    pub(super) fn admit(&mut self, id: u64) -> Admission {
        if self.is_hung_up {
            return Admission::HungUp;
        }
        if id <= self.revoked {
            return Admission::Revoked;
        }
        self.started = id;
        let token = CancelToken::new();
        self.running = Some(token.clone());
        Admission::Run(token)
    }

    /// The request that ran has ended.
    pub(super) fn end(&mut self) {
        self.running = None;
    }

    /// The router takes back what has not started, up to `upto`; returns the first request that did not start.
    pub(super) fn revoke(&mut self, upto: u64) -> u64 {
        // What has started cannot be taken back; what was taken back stays so.
        if upto > self.started {
            self.revoked = self.revoked.max(upto);
        }
        self.started + 1
    }

    /// The router has closed the lane: nothing starts, and what runs is cancelled.
    pub(super) fn hang_up(&mut self) {
        self.is_hung_up = true;
        if let Some(token) = &self.running {
            token.cancel();
        }
    }

    /// Chunks are held back; returns whether the steward has to be told.
    pub(super) fn watch(&mut self) -> bool {
        !std::mem::replace(&mut self.is_watched, true)
    }

    /// The steward looks after what is held; returns whether there was any. If not, it has to be told the next time.
    pub(super) fn tick(&mut self) -> bool {
        self.is_watched = self.is_watched && !self.held.is_empty();
        self.is_watched
    }

    /// Whether the router has closed the lane.
    pub(super) fn is_hung_up(&self) -> bool {
        self.is_hung_up
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// However admissions and revocations interleave, what the router was told is what happens.
        #[test]
        fn what_was_called_revoked_never_runs(moves in proptest::collection::vec((any::<bool>(), 0..5u64), 0..50)) {
            let (mut gate, mut next, mut revoked) = (Gate::default(), 1, std::collections::BTreeSet::new());
            for (is_revocation, ahead) in moves {
                if is_revocation {
                    let upto = next - 1 + ahead;
                    revoked.extend(gate.revoke(upto)..=upto);
                } else {
                    prop_assert_eq!(runs(gate.admit(next)), !revoked.contains(&next), "request {}", next);
                    next += 1;
                }
            }
        }
    }

    fn runs(admission: Admission) -> bool {
        matches!(admission, Admission::Run(_))
    }

    #[test]
    fn what_has_started_is_not_revoked() {
        let mut gate = Gate::default();
        assert!(runs(gate.admit(1)));
        assert!(runs(gate.admit(2)));
        assert_eq!(gate.revoke(5), 3, "3 is the first that did not start");
        assert!(matches!(gate.admit(3), Admission::Revoked));
        assert!(matches!(gate.admit(5), Admission::Revoked));
        assert!(runs(gate.admit(6)), "sent after the revocation");
    }

    #[test]
    fn a_late_revocation_takes_nothing_back() {
        let mut gate = Gate::default();
        assert!(runs(gate.admit(1)));
        assert_eq!(gate.revoke(1), 2);
        assert!(runs(gate.admit(2)));
    }

    #[test]
    fn a_second_revocation_names_the_same_first() {
        let mut gate = Gate::default();
        assert!(runs(gate.admit(1)));
        assert_eq!(gate.revoke(4), 2);
        assert_eq!(gate.revoke(3), 2);
        assert!(matches!(gate.admit(4), Admission::Revoked), "a shorter revocation takes nothing back");
    }

    #[test]
    fn hanging_up_cancels_what_runs_and_admits_nothing() {
        let mut gate = Gate::default();
        let Admission::Run(token) = gate.admit(1) else { panic!("1 runs") };
        gate.hang_up();
        assert!(token.is_cancelled());
        gate.end();
        assert!(matches!(gate.admit(2), Admission::HungUp));
    }

    #[test]
    fn the_steward_is_told_once_while_chunks_keep_coming() {
        let mut gate = Gate::default();
        assert!(!gate.tick(), "nobody asked");
        gate.held.put_slice(b"chunk");
        assert!(gate.watch());
        assert!(!gate.watch(), "told already");
        assert!(gate.tick());
        gate.held.clear();
        assert!(!gate.tick(), "nothing came");
        gate.held.put_slice(b"chunk");
        assert!(gate.watch(), "told again");
    }

    #[test]
    fn hanging_up_spares_what_has_ended() {
        let mut gate = Gate::default();
        let Admission::Run(token) = gate.admit(1) else { panic!("1 runs") };
        gate.end();
        gate.hang_up();
        assert!(!token.is_cancelled());
    }
}
