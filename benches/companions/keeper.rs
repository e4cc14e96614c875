//! What keeps processes going: our master with its companion manager, and supervisord.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use gunmetal_benches::{Child, Options, Process, python};
use nix::unistd::Pid;
use tempfile::TempDir;

/// Who keeps them going.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Companions by function, forked from a master that has loaded everything.
    Gunmetal,
    /// Programs, each of which loads everything for itself.
    Supervisord,
}

/// Four processes that are kept going, stopped when dropped.
#[derive(Debug)]
pub(crate) struct Keeper {
    kind: Kind,
    mebibytes: usize,
    signs: UnixDatagram,
    child: Option<Child>,
    _dir: TempDir,
}

/// A process that has read everything.
#[derive(Debug)]
pub(crate) struct Sign {
    pub(crate) name: String,
    pub(crate) pid: Pid,
}

impl Kind {
    /// As the tables show it.
    pub(crate) fn name(self) -> String {
        match self {
            Self::Gunmetal => "gunmetal".into(),
            Self::Supervisord => version().unwrap_or_else(|_| "supervisord".into()),
        }
    }

    /// Whether `--only` lets it run; the names are `gunmetal` and `supervisord`.
    pub(crate) fn is_wanted(self, options: &Options) -> bool {
        options.wants_peer(match self {
            Self::Gunmetal => "gunmetal",
            Self::Supervisord => "supervisord",
        })
    }

    /// The processes that there are beside the four.
    fn overhead(self) -> usize {
        match self {
            // Master and manager.
            Self::Gunmetal => 2,
            Self::Supervisord => 1,
        }
    }

    /// What is written into the configuration file: whoever ends is started again at once.
    fn configuration(self) -> String {
        let program = env!("CARGO_BIN_EXE_bench-idler");
        match self {
            Self::Gunmetal => {
                let companion =
                    |name| format!("[[companion_workers]]\nname = \"{name}\"\ntarget = \"bench:idler\"\n");
                let all: String = NAMES.map(companion).concat();
                format!("companion_startsecs = 0\ncompanion_restart_delay = 0\n{all}")
            }
            Self::Supervisord => {
                let program = |name| {
                    format!(
                        "[program:{name}]\ncommand = {program} alone\nautorestart = true\nstartsecs = 0\n"
                    )
                };
                format!("[supervisord]\nnodaemon = true\n{}", NAMES.map(program).concat())
            }
        }
    }
}

impl Keeper {
    /// Starts the four processes and returns once each has read everything.
    pub(crate) fn start(kind: Kind, mebibytes: usize) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let (signs, configuration) = (dir.path().join("signs"), dir.path().join("configuration"));
        fs::write(&configuration, kind.configuration())?;
        let mut command = match kind {
            Kind::Gunmetal => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_bench-idler"));
                command.args(["--log-level", "critical", "--companion-control-socket", "control"]);
                command.arg("--config").arg(&configuration);
                command
            }
            Kind::Supervisord => {
                let mut command = Command::new(python()?.with_file_name("supervisord"));
                command.arg("--configuration").arg(&configuration);
                command
            }
        };
        command.env("BENCH_SIGNS", &signs).env("BENCH_PRELOAD_MB", mebibytes.to_string());
        command.env("TMPDIR", dir.path()).current_dir(dir.path());
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let signs = UnixDatagram::bind(signs).context("listening for signs of life")?;
        signs.set_read_timeout(Some(PATIENCE))?;
        let child = Some(Child::spawn(&mut command)?);
        let keeper = Self { kind, mebibytes, signs, child, _dir: dir };
        let mut seen: Vec<String> = Vec::new();
        while seen.len() < NAMES.len() {
            let name = keeper.next_sign()?.name;
            ensure!(!seen.contains(&name), "{name} was started twice");
            seen.push(name);
        }
        Ok(keeper)
    }

    /// The next process that has read everything.
    pub(crate) fn next_sign(&self) -> Result<Sign> {
        let mut buffer = [0; 256];
        let len = self
            .signs
            .recv(&mut buffer)
            .with_context(|| format!("{}: no sign of life within {PATIENCE:?}", self.kind.name()))?;
        let text = std::str::from_utf8(&buffer[..len])?;
        let [name, pid, sum] = text.split(' ').collect::<Vec<_>>()[..] else {
            anyhow::bail!("{text:?} is no name, pid and sum");
        };
        ensure!(
            sum == (self.mebibytes << 20).to_string(),
            "{sum} is not the sum of {} MiB of ones",
            self.mebibytes
        );
        Ok(Sign { name: name.to_owned(), pid: Pid::from_raw(pid.parse()?) })
    }

    /// Whoever keeps them first, then the four.
    pub(crate) fn processes(&self) -> Result<(Vec<Process>, Vec<Process>)> {
        let child = self.child.as_ref().context("taken out by drop only")?;
        let mut all = Process::tree(child.pid())?;
        let overhead = self.kind.overhead();
        ensure!(all.len() == overhead + NAMES.len(), "{} processes: {all:?}", all.len());
        let four = all.split_off(overhead);
        Ok((all, four))
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        // Politely: who is killed leaves the others to find out by themselves.
        if let Some(child) = self.child.take() {
            let _ = child.stop();
        }
    }
}

/// `supervisord 4.3.0`.
fn version() -> Result<String> {
    let output = Command::new(python()?.with_file_name("supervisord")).arg("--version").output()?;
    Ok(format!("supervisord {}", String::from_utf8_lossy(&output.stdout).trim()))
}

/// The four.
pub(crate) const NAMES: [&str; 4] = ["a", "b", "c", "d"];

/// Longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(60);
