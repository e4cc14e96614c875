//! What operators ask for, and what they are answered.

/// What to do with a companion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompanionCommand {
    /// Have it run.
    Start,
    /// Have it not run, until another command.
    Stop,
    /// Have it run by another process.
    Restart,
}

/// What has become of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandOutcome {
    /// A process is started.
    Started,
    /// A process is started once these are running.
    Waiting(Vec<String>),
    /// The process has been asked to end.
    Stopping,
    /// It has no process, and none to come.
    Stopped,
    /// The process has been asked to end, and another one will follow.
    Restarting,
    /// There was nothing to do: it is in this state.
    Already(super::CompanionState),
}

/// Why a command was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// No such companion.
    #[error("no companion is called {name:?}; there are: {known}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// Those that there are.
        known: String,
    },
    /// It has to end first.
    #[error("{name} is stopping; poll status and retry")]
    IsStopping {
        /// The companion.
        name: String,
    },
    /// All are to end.
    #[error("the companion manager is stopping")]
    ManagerStops,
}

/// What another configuration has changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RereadOutcome {
    /// New, and started.
    pub added: Vec<String>,
    /// Configured no more, and stopped.
    pub removed: Vec<String>,
    /// Configured otherwise, and started anew.
    pub restarted: Vec<String>,
    /// Nothing was done: they are configured as before, or were stopped by hand.
    pub unchanged: Vec<String>,
}
