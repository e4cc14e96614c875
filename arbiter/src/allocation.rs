//! Which slot's worker loads which apps.
//!
//! ```text
//! four slots           0   1   2   3
//! light:App            x   x   x   x      no limit
//! heavy:App:2          x   x
//! single:App:1         x
//! ```
//!
//! An app with a limit of `N` lives in the first `N` slots. A replacement inherits its slot, so it has the apps of the
//! worker it replaces, and no living worker ever loads another app.

/// An app and the number of workers that load it, the configuration's limit and the app's own already weighed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppLimit {
    /// `module:Name`.
    pub path: String,
    /// Workers that load the app; `None` is all.
    pub limit: Option<u32>,
}

/// The apps of a service and where they go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allocation {
    apps: Vec<AppLimit>,
}

/// An app that asks for more workers than there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shortage<'a> {
    /// `module:Name`.
    pub path: &'a str,
    /// Workers it asks for.
    pub wanted: u32,
    /// Workers there are.
    pub found: u32,
}

impl Allocation {
    /// Takes the apps in the order in which workers load them.
    pub fn new(apps: Vec<AppLimit>) -> Self {
        Self { apps }
    }

    /// All apps, with their limits.
    pub fn apps(&self) -> &[AppLimit] {
        &self.apps
    }

    /// The apps that the worker in `slot` (counted from 0) loads.
    pub fn apps_of(&self, slot: u32) -> impl Iterator<Item = &str> {
        self.apps
            .iter()
            .filter(move |app| app.limit.is_none_or(|limit| slot < limit))
            .map(|app| app.path.as_str())
    }

    /// The fewest workers that the specs allow: the largest limit, at least one.
    pub fn minimum(&self) -> u32 {
        self.limited_slots().max(1)
    }

    /// The slots with an app that not every worker loads are those below this number.
    pub fn limited_slots(&self) -> u32 {
        self.apps.iter().filter_map(|app| app.limit).max().unwrap_or(0)
    }

    /// The most workers that have anything to load; `None` if there is no end to them.
    pub fn most_useful(&self) -> Option<u32> {
        let limits: Option<Vec<u32>> = self.apps.iter().map(|app| app.limit).collect();
        Some(limits?.into_iter().max().unwrap_or(0))
    }

    /// The apps that `worker_count` workers cannot give what they ask for.
    pub fn shortages(&self, worker_count: u32) -> impl Iterator<Item = Shortage<'_>> {
        self.apps.iter().filter_map(move |app| {
            let wanted = app.limit.filter(|limit| *limit > worker_count)?;
            Some(Shortage { path: &app.path, wanted, found: worker_count })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reference_example() -> Allocation {
        let app = |path: &str, limit| AppLimit { path: path.into(), limit };
        Allocation::new(vec![
            app("light:App", None),
            app("heavy:App", Some(2)),
            app("single:App", Some(1)),
            app("off:App", Some(0)),
        ])
    }

    #[test]
    fn apps_fill_the_first_slots_up_to_their_limit() {
        let allocation = reference_example();
        let of = |slot| allocation.apps_of(slot).collect::<Vec<_>>();
        assert_eq!(of(0), ["light:App", "heavy:App", "single:App"]);
        assert_eq!(of(1), ["light:App", "heavy:App"]);
        assert_eq!(of(2), ["light:App"]);
        assert_eq!(of(3), ["light:App"]);
    }

    #[test]
    fn the_largest_limit_is_the_fewest_workers() {
        assert_eq!(reference_example().minimum(), 2);
        assert_eq!(Allocation::new(Vec::new()).minimum(), 1);
    }

    #[test]
    fn workers_beyond_every_limit_are_of_no_use() {
        let app = |path: &str, limit| AppLimit { path: path.into(), limit };
        assert_eq!(reference_example().most_useful(), None);
        let limited = Allocation::new(vec![app("a:A", Some(2)), app("b:B", Some(3)), app("c:C", Some(0))]);
        assert_eq!(limited.most_useful(), Some(3));
        assert_eq!(Allocation::new(Vec::new()).most_useful(), Some(0));
    }

    #[test]
    fn an_app_that_wants_more_workers_than_there_are_is_named() {
        let allocation = reference_example();
        assert_eq!(
            allocation.shortages(1).collect::<Vec<_>>(),
            [Shortage { path: "heavy:App", wanted: 2, found: 1 }]
        );
        assert_eq!(allocation.shortages(2).count(), 0);
    }
}
