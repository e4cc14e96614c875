//! How long an action takes, learned from its answers.

use std::collections::HashMap;
use std::time::Duration;

/// The measured actions of one app.
#[derive(Debug, Default)]
pub(crate) struct Actions {
    by_name: HashMap<Box<str>, usize>,
    estimates: Vec<Estimate>,
}

impl Actions {
    /// The place of an action, given on first sight; `None` when there is no room for more names.
    pub(crate) fn index(&mut self, name: &str) -> Option<usize> {
        if let Some(&index) = self.by_name.get(name) {
            return Some(index);
        }
        if self.estimates.len() == MAX_ACTIONS || name.len() > MAX_NAME_LEN {
            return None;
        }
        self.by_name.insert(name.into(), self.estimates.len());
        self.estimates.push(Estimate::default());
        Some(self.estimates.len() - 1)
    }

    /// The expected service time, `None` while unknown or for an action that streams.
    pub(crate) fn expected(&self, action: Option<usize>) -> Option<Duration> {
        action.and_then(|index| self.estimates[index].0)
    }

    /// One call of this action was served in `took`.
    pub(crate) fn served(&mut self, action: Option<usize>, took: Duration) {
        if let Some(index) = action {
            self.estimates[index].served(took);
        }
    }

    /// The action turned out to stream: how long it takes says nothing, nothing may wait behind it.
    pub(crate) fn streams(&mut self, action: Option<usize>) {
        if let Some(index) = action {
            self.estimates[index].0 = None;
        }
    }
}

/// A moving average that believes bad news faster than good.
#[derive(Debug, Default)]
struct Estimate(Option<Duration>);

impl Estimate {
    fn served(&mut self, took: Duration) {
        self.0 = Some(match self.0 {
            None => took,
            Some(known) if took > known => known + (took - known) / 4,
            Some(known) => known - (known - took) / 8,
        });
    }
}

/// How many action names are measured per app. Names come from clients: without a bound, a client that makes them up
/// would fill the router's memory. Actions beyond it are served like those not measured yet.
const MAX_ACTIONS: usize = 1024;

/// Actions with longer names, in bytes, are not measured, for the same reason.
const MAX_NAME_LEN: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_sample_is_the_estimate() {
        let mut actions = Actions::default();
        let action = actions.index("work");
        assert_eq!(actions.expected(action), None);
        actions.served(action, Duration::from_micros(40));
        assert_eq!(actions.expected(action), Some(Duration::from_micros(40)));
    }

    #[test]
    fn an_estimate_rises_faster_than_it_falls() {
        let mut estimate = Estimate(Some(Duration::from_micros(80)));
        estimate.served(Duration::from_micros(160));
        assert_eq!(estimate.0, Some(Duration::from_micros(100)));
        estimate.served(Duration::from_micros(20));
        assert_eq!(estimate.0, Some(Duration::from_micros(90)));
    }

    #[test]
    fn made_up_names_do_not_fill_the_memory() {
        let mut actions = Actions::default();
        for name in 0..MAX_ACTIONS {
            assert!(actions.index(&name.to_string()).is_some());
        }
        assert_eq!(actions.index("one more"), None);
        assert_eq!(Actions::default().index(&"x".repeat(10_000)), None);
        assert_eq!(actions.index("7"), Some(7));
        actions.served(None, Duration::from_secs(1));
        assert_eq!(actions.expected(None), None);
    }
}
