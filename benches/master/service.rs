//! The services under test, each in processes of its own.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use gunmetal_benches::{Child, Options, Process, python};
use tempfile::TempDir;

use crate::answer;

/// What serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Our master, with HTTP workers that run `axum::serve`.
    Gunmetal,
    /// The same axum app in one process.
    Plain,
    /// gunicorn with sync workers and a plain WSGI app.
    Gunicorn,
}

/// A service that runs, stopped when dropped.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) port: u16,
    child: Option<Child>,
    _dir: TempDir,
}

/// How a service is started.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setup {
    pub(crate) workers: usize,
    /// Loaded by the master before it forks.
    pub(crate) preload_mib: usize,
}

/// One worker, nothing preloaded.
pub(crate) const SINGLE: Setup = Setup { workers: 1, preload_mib: 0 };

impl Kind {
    /// As the tables show it.
    pub(crate) fn name(self) -> String {
        match self {
            Self::Gunmetal => "gunmetal".into(),
            Self::Plain => "plain axum::serve".into(),
            Self::Gunicorn => gunicorn_version().unwrap_or_else(|_| "gunicorn".into()),
        }
    }

    /// Whether `--only` lets it run; the names are `gunmetal`, `plain`, `gunicorn`.
    pub(crate) fn is_wanted(self, options: &Options) -> bool {
        options.wants_peer(match self {
            Self::Gunmetal => "gunmetal",
            Self::Plain => "plain",
            Self::Gunicorn => "gunicorn",
        })
    }

    fn command(self, port: u16, dir: &Path, setup: Setup) -> Result<Command> {
        let (address, workers) = (format!("127.0.0.1:{port}"), setup.workers.to_string());
        let mut command = match self {
            Self::Gunmetal => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_bench-hello"));
                command.args(["--bind", &address, "--workers", &workers, "--log-level", "critical"]);
                command
            }
            Self::Plain => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_bench-hello"));
                command.arg("plain").env("BENCH_BIND", &address);
                command
            }
            Self::Gunicorn => {
                let mut command = Command::new(python()?.with_file_name("gunicorn"));
                command.args(["--bind", &address, "--workers", &workers, "--log-level", "critical"]);
                // On by default, at a path for the whole user.
                command.arg("--control-socket").arg(dir.join("gunicorn.ctl"));
                let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("master");
                command.arg("--chdir").arg(files).arg("hello:app").env("PYTHONDONTWRITEBYTECODE", "1");
                if setup.preload_mib > 0 {
                    command.arg("--preload");
                }
                command
            }
        };
        command.env("BENCH_PRELOAD_MB", setup.preload_mib.to_string()).env("TMPDIR", dir);
        command.current_dir(dir).stdin(Stdio::null()).stdout(Stdio::null());
        Ok(command)
    }
}

impl Service {
    /// Starts a service on a port of its own and returns once it has answered.
    pub(crate) fn start(kind: Kind, setup: Setup) -> Result<Self> {
        let service = Self::spawn(kind, setup)?;
        service.answers().with_context(|| kind.name())?;
        Ok(service)
    }

    /// Starts a service, and waits for nothing.
    pub(crate) fn spawn(kind: Kind, setup: Setup) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let port = free_port()?;
        let child = Some(Child::spawn(&mut kind.command(port, dir.path(), setup)?)?);
        Ok(Self { port, child, _dir: dir })
    }

    /// Asks for the greeting until it comes.
    pub(crate) fn answers(&self) -> Result<()> {
        let body = answer::first(self.port, "/")?;
        ensure!(body == GREETING, "{body:?} instead of {GREETING:?}");
        Ok(())
    }

    /// The master first, then its workers.
    pub(crate) fn processes(&self) -> Result<Vec<Process>> {
        let child = self.child.as_ref().context("taken out by drop only")?;
        Process::tree(child.pid())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Politely: a master that is killed leaves its workers to find out by themselves.
        if let Some(child) = self.child.take() {
            let _ = child.stop();
        }
    }
}

/// A port that was free a moment ago; gunicorn does not tell which one it got for 0.
fn free_port() -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("finding a free port")?;
    Ok(listener.local_addr().context("asking for a port's number")?.port())
}

/// `gunicorn 27.0.1`.
fn gunicorn_version() -> Result<String> {
    let output = Command::new(python()?.with_file_name("gunicorn")).arg("--version").output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let version = text.split_whitespace().last().map(|word| word.trim_end_matches(')').to_owned());
    Ok(format!("gunicorn {}", version.unwrap_or_else(|| "of unknown version".into())))
}

const GREETING: &str = "Hello, World!";
