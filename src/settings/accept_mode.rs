//! Which worker takes a connection.

/// Which HTTP worker takes a connection that waits at a listener they share, with the runners of this crate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AcceptMode {
    /// Whichever is awake first. The least work for each connection; under load that is not always the least busy one.
    #[default]
    Shared,
    /// The one that has waited for longest, none that has `worker_connections` open. For long-lived connections, which
    /// would stay where chance has put them.
    Fair,
}

impl AcceptMode {
    /// The mode of that name, in any case.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        [Self::Shared, Self::Fair].into_iter().find(|mode| name.eq_ignore_ascii_case(mode.name()))
    }

    /// Its name in the settings.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Shared => "shared",
            Self::Fair => "fair",
        }
    }
}
