//! Which apps nobody can serve, as far as failed starts tell.

use std::collections::BTreeMap;

use crate::Allocation;

/// The slots whose workers fail to start, and the apps that have no other slot.
///
/// A slot counts as failing from a failed start until a worker serves in it: a new attempt may fail like the last one,
/// and its callers should not wait for it.
#[derive(Debug, Default)]
pub(super) struct Availability {
    failing: BTreeMap<u32, String>,
    /// Apps that the router has been told about, and the reason.
    unavailable: BTreeMap<String, String>,
}

impl Availability {
    /// A worker of `slot` failed to start, and none serves in it. Returns the apps that nobody can serve since.
    pub(super) fn failed(
        &mut self,
        slot: u32,
        reason: &str,
        slots: &[u32],
        allocation: &Allocation,
    ) -> Vec<(String, String)> {
        self.failing.retain(|failing, _| slots.contains(failing));
        self.failing.insert(slot, reason.to_owned());
        let reason = format!("its workers fail to start: {reason}");
        let mut news = Vec::new();
        for path in allocation.apps_of(slot) {
            let others = slots.iter().filter(|other| !self.failing.contains_key(other));
            let is_served = others.into_iter().any(|other| allocation.apps_of(*other).any(|app| app == path));
            if !is_served && self.unavailable.insert(path.to_owned(), reason.clone()).is_none() {
                news.push((path.to_owned(), reason.clone()));
            }
        }
        news
    }

    /// A worker serves in `slot`.
    pub(super) fn serves(&mut self, slot: u32, allocation: &Allocation) {
        self.failing.remove(&slot);
        for path in allocation.apps_of(slot) {
            self.unavailable.remove(path);
        }
    }

    /// The apps that nobody can serve, with the reason: for a router that is new.
    pub(super) fn unavailable(&self) -> impl Iterator<Item = (&str, &str)> {
        self.unavailable.iter().map(|(path, reason)| (path.as_str(), reason.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::AppLimit;

    fn allocation() -> Allocation {
        let app = |path: &str, limit| AppLimit { path: path.into(), limit };
        Allocation::new(vec![app("all:App", None), app("one:App", Some(1))])
    }

    fn paths(news: Vec<(String, String)>) -> Vec<String> {
        news.into_iter().map(|(path, _)| path).collect()
    }

    #[test]
    fn an_app_is_lost_when_its_last_slot_fails() {
        let (mut availability, allocation) = (Availability::default(), allocation());
        assert_eq!(paths(availability.failed(0, "no file", &[0, 1], &allocation)), ["one:App"]);
        assert_eq!(paths(availability.failed(0, "no file", &[0, 1], &allocation)), [""; 0]);
        assert_eq!(paths(availability.failed(1, "no file", &[0, 1], &allocation)), ["all:App"]);
    }

    #[test]
    fn a_worker_that_serves_brings_its_apps_back() {
        let (mut availability, allocation) = (Availability::default(), allocation());
        availability.failed(0, "no file", &[0], &allocation);
        assert_eq!(availability.unavailable().count(), 2);
        availability.serves(0, &allocation);
        assert_eq!(availability.unavailable().count(), 0);
        assert_eq!(availability.failed(0, "no file", &[0], &allocation).len(), 2);
    }
}
