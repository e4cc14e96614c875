//! An app as the router knows it: whether it can be served, and the calls that wait for it.

use std::collections::VecDeque;

use super::call::Call;
use super::estimate::Actions;

/// One app.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) path: Box<str>,
    pub(crate) service: Service,
    /// The calls that wait, oldest first.
    pub(crate) queue: VecDeque<Call>,
    pub(crate) actions: Actions,
    /// The lanes, by index, of every worker that holds this app.
    pub(crate) lanes: Vec<usize>,
}

/// Whether calls for an app are taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Service {
    /// Not, or no longer, in the configuration.
    NotConfigured,
    /// Calls are served, or wait for a worker that is being started.
    Offered,
    /// Nothing can serve it, for this reason: calls are refused.
    Unavailable(String),
}

impl App {
    pub(crate) fn new(path: &str, service: Service) -> App {
        App {
            path: path.into(),
            service,
            queue: VecDeque::new(),
            actions: Actions::default(),
            lanes: Vec::new(),
        }
    }
}
