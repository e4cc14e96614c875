//! What all processes of a service have in common.

use std::path::{Path, PathBuf};

use gunmetal_supervise::{Account, ChildSetup, Pinned};

/// What all processes of a service have in common: their name, whom they run as, where their heartbeats are made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessConfig {
    /// What `ps` shows in brackets behind the role of each process.
    pub name: Option<String>,
    /// Whom those run as that do the work: HTTP workers, dirty workers, routers. `None` stays whoever the master is, as master
    /// and dirty arbiter do in any case.
    pub account: Option<Account>,
    /// Where heartbeat files are made; `None` is `/dev/shm`, or the temporary directory where there is none.
    pub heartbeat_dir: Option<PathBuf>,
}

impl ProcessConfig {
    /// How a process of this role is shown.
    pub(crate) fn title(&self, role: &str) -> String {
        match &self.name {
            Some(name) => format!("gunmetal: {role} [{name}]"),
            None => format!("gunmetal: {role}"),
        }
    }

    /// The setup of a process of this role that does work, and runs as the account.
    pub(crate) fn worker_setup(&self, role: &str) -> ChildSetup {
        ChildSetup::new(self.title(role)).account(self.account.clone())
    }

    /// Gives the socket at `path` to whom the workers run as.
    pub(crate) fn give_socket(&self, path: &Path) -> std::io::Result<()> {
        let Some(account) = &self.account else { return Ok(()) };
        Pinned::socket(path)?.give_to(account)
    }

    /// Whether this process, which runs as the account, can reach what has been made for it at `path`; says why not.
    pub(crate) fn check_reach(&self, path: &Path) -> Result<(), String> {
        let Some(account) = &self.account else { return Ok(()) };
        std::fs::symlink_metadata(path).map(drop).map_err(|error| {
            let (who, path) = (account.name.as_deref().unwrap_or("the user"), path.display());
            format!(
                "{who} (user {}) cannot reach {path}: {error}; TMPDIR must be open to the workers",
                account.uid
            )
        })
    }
}
