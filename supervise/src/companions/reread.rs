//! Another configuration.

use std::sync::Arc;
use std::time::Instant;

use super::companion::{Companion, Rest, State, Then};
use super::{CompanionSpec, Companions, Phase, RereadOutcome};

impl Companions {
    /// Goes by another configuration from now on: starts what is new, stops what is gone, restarts what has changed and was not
    /// stopped by hand. Nothing is done about the others. No two of `specs` may have one name.
    pub fn reread(&mut self, specs: impl IntoIterator<Item = CompanionSpec>, now: Instant) -> RereadOutcome {
        let mut outcome = RereadOutcome::default();
        let mut old = std::mem::take(&mut self.companions);
        for spec in specs {
            let known = old.iter().position(|companion| companion.name() == spec.name);
            let (name, spec) = (spec.name.clone(), Arc::new(spec));
            let mut companion = match known {
                Some(index) => old.remove(index),
                None => Companion::new(Arc::clone(&spec)),
            };
            let list = if known.is_none() || companion.is_leaving() {
                self.add(&mut companion, spec);
                &mut outcome.added
            } else if companion.spec.fingerprint != spec.fingerprint && self.change(&mut companion, spec, now)
            {
                &mut outcome.restarted
            } else {
                &mut outcome.unchanged
            };
            list.push(name);
            self.companions.push(companion);
        }
        for mut companion in old {
            if !companion.is_leaving() {
                outcome.removed.push(companion.name().to_owned());
            }
            self.actions.extend(companion.stop(Then::Remove, |spec| spec.stop_timeout, now));
            companion.redirect(Then::Remove);
            if companion.run().is_some() {
                self.companions.push(companion);
            }
        }
        self.release(now);
        outcome
    }

    /// It is new, or was to be removed and has not ended yet.
    fn add(&self, companion: &mut Companion, spec: Arc<CompanionSpec>) {
        let (rest, then) = match (self.phase == Phase::Stopping, spec.autostart) {
            (false, true) => (Rest::Waiting, Then::START),
            (true, _) | (false, false) => (Rest::NotStarted, Then::Rest(Rest::NotStarted)),
        };
        companion.spec = spec;
        companion.redirect(then);
        if companion.run().is_none() {
            companion.state = State::Resting(rest);
        }
    }

    /// It is configured otherwise. Returns whether it is restarted for that.
    fn change(&mut self, companion: &mut Companion, spec: Arc<CompanionSpec>, now: Instant) -> bool {
        companion.spec = spec;
        match companion.state {
            State::Starting { .. } | State::Running(_) => {
                companion.forgive();
                self.actions.extend(companion.stop(Then::START, |spec| spec.reload_timeout, now));
                true
            }
            State::BackingOff(_) => {
                companion.forgive();
                companion.state = State::Resting(Rest::Waiting);
                true
            }
            State::Stopping { then, .. } => then == Then::START,
            State::Resting(_) => false,
        }
    }
}

impl Companion {
    /// Whether it is configured no more.
    pub(super) fn is_leaving(&self) -> bool {
        matches!(self.state, State::Stopping { then: Then::Remove, .. })
    }
}
