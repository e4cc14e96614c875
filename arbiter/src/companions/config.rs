//! What companions are told to be, after their configuration has been read and checked.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use gunmetal_supervise::Signal;

use crate::ProcessConfig;

/// What the companion manager runs.
#[derive(Clone)]
pub struct CompanionsConfig {
    /// The companions, in the order in which they are shown. No two have one name, and each that one depends on is there.
    pub companions: Vec<CompanionConfig>,
    /// Where the manager listens for commands, absolute. Only one manager at a time listens there: a second one, such as that
    /// of an upgrade, starts its companions once the first has ended its own.
    pub control_socket: PathBuf,
    /// The mode of that socket.
    pub control_socket_mode: u32,
    /// Time after which a manager that stops leaves processes that even SIGKILL has not ended, beyond the longest
    /// [`stop_timeout`](CompanionConfig::stop_timeout).
    pub shutdown_buffer: Duration,
    /// Time for all companions to end when the manager stops; `None` is what each is given by itself.
    pub manager_stop_timeout: Option<Duration>,
    /// What all processes of the service have in common. Companions run as its account, the manager as the master does.
    pub processes: ProcessConfig,
    /// Reads the companions again: at the command `reread` and at SIGHUP.
    pub reread: RereadCompanions,
    /// Makes true of the manager's process, and so of companions that it will fork, what the configuration now says of
    /// environment and log: called at SIGHUP.
    pub refresh: Rc<dyn Fn()>,
    /// Opens the log file anew, in the process that calls it. Must neither block for long nor panic.
    pub reopen_logs: fn(),
}

/// Reads the configuration of the companions; the text says why it cannot be used.
pub type RereadCompanions = Rc<dyn Fn() -> Result<Vec<CompanionConfig>, String>>;

/// What one companion is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CompanionConfig {
    /// What it is called in commands, in the log and by `ps`: 1 to 100 bytes, none of them blank or of control.
    pub name: String,
    /// What it runs.
    pub target: CompanionTarget,
    /// Its working directory, absolute; `None` is the service's.
    pub cwd: Option<PathBuf>,
    /// Variables that are added to the environment of the service.
    pub env: BTreeMap<String, String>,
    /// What asks it to end.
    pub stop_signal: Signal,
    /// Whether that is sent to its process group, and not to its process alone.
    pub stop_as_group: bool,
    /// Whether SIGKILL is sent to its process group, and to what is left of that when its process has ended.
    pub kill_as_group: bool,
    /// Time it has to end when it is stopped.
    pub stop_timeout: Duration,
    /// Time it has to end when it is restarted.
    pub reload_timeout: Duration,
    /// Time it has to last to count as running.
    pub startsecs: Duration,
    /// Time between an end that nobody asked for and the next start.
    pub restart_delay: Duration,
    /// If it ends again and again, this time doubles up to this limit; `None` is always the same time.
    pub max_restart_delay: Option<Duration>,
    /// Restarts in a row after which it is left alone; `None` is never.
    pub restart_limit: Option<u32>,
    /// Resident memory beyond which it is restarted, in bytes.
    pub max_rss: Option<u64>,
    /// The companions that have to run before the manager starts this one.
    pub depends_on: Vec<String>,
    /// Whether the manager starts it by itself.
    pub autostart: bool,
    /// Where its standard output goes. [`CompanionOutput::Stdout`] is the same as inheriting here.
    pub stdout: CompanionOutput,
    /// Where its standard error goes.
    pub stderr: CompanionOutput,
}

impl CompanionConfig {
    /// The same for the same configuration, and different as soon as anything in it differs.
    pub(crate) fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }
}

/// What a companion runs.
#[derive(Clone)]
pub enum CompanionTarget {
    /// A function of the program, in a forked process.
    Function {
        /// The name under which the program has registered it.
        name: String,
        /// What it does, with the name of the companion; the process exits with the code that it returns.
        body: CompanionBody,
    },
    /// A program and its arguments, at least one. A name without a slash is looked for along the companion's `PATH`.
    Command(Vec<String>),
}

/// What a companion does, in a process of its own.
pub type CompanionBody = Rc<dyn Fn(&str) -> i32>;

impl CompanionTarget {
    /// What distinguishes one target from another: functions are known by their names.
    fn key(&self) -> (bool, &[String]) {
        match self {
            Self::Function { name, .. } => (true, std::slice::from_ref(name)),
            Self::Command(words) => (false, words),
        }
    }
}

impl PartialEq for CompanionTarget {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for CompanionTarget {}

impl Hash for CompanionTarget {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

impl fmt::Debug for CompanionTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Function { name, .. } => f.debug_tuple("Function").field(name).finish(),
            Self::Command(words) => f.debug_tuple("Command").field(words).finish(),
        }
    }
}

/// Where an output of a companion goes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CompanionOutput {
    /// Where that of the service goes.
    Inherit,
    /// Where the companion's standard output goes.
    Stdout,
    /// To the end of this file, absolute, which is made if it is not there.
    File(PathBuf),
}
