//! The two arbiters, each with two workers that hold the probe app.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use std::{fs, thread};

use anyhow::{Context, Result, ensure};
use gunmetal_benches::{Child, Options, Tree, python};

use crate::frames::Connections;

/// A running arbiter.
#[derive(Debug)]
pub(crate) struct Arbiter {
    /// As the tables show it.
    pub(crate) name: &'static str,
    /// Where clients connect.
    pub(crate) socket: PathBuf,
    _process: Process,
}

/// Stopped when dropped.
#[derive(Debug)]
#[expect(dead_code, reason = "held for their drops")]
enum Process {
    Ours(Tree),
    Gunicorn(Polite),
}

/// A process that is asked to end before it is killed: gunicorn's workers outlive an arbiter that is.
#[derive(Debug)]
struct Polite(Option<Child>);

/// Starts both, ours first, and waits until each answers a call.
pub(crate) fn start_all(dir: &Path, options: &Options) -> Result<Vec<Arbiter>> {
    let mut arbiters = Vec::new();
    if options.wants_peer("gunmetal") {
        arbiters.push(Arbiter::ours(dir)?);
    }
    if options.wants_peer("gunicorn") {
        arbiters.push(Arbiter::gunicorn(dir)?);
    }
    for arbiter in &arbiters {
        arbiter.wait()?;
    }
    Ok(arbiters)
}

/// Where the Python files of the tests are, the probe app among them.
pub(crate) fn python_files() -> Result<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/gunicorn");
    fs::canonicalize(&directory).with_context(|| format!("{} is missing", directory.display()))
}

impl Arbiter {
    fn ours(dir: &Path) -> Result<Self> {
        let socket = dir.join("gunmetal.sock");
        let flags =
            ["--dirty-app", "bench_app:BenchApp", "--dirty-workers", WORKERS, "--dirty-timeout", "60"];
        let tree = Tree::start_with(env!("CARGO_BIN_EXE_bench-probe"), &flags, socket.clone(), &[])?;
        Ok(Self { name: "gunmetal", socket, _process: Process::Ours(tree) })
    }

    fn gunicorn(dir: &Path) -> Result<Self> {
        let (socket, files) = (dir.join("gunicorn.sock"), python_files()?);
        let mut command = Command::new(python()?);
        command.arg(files.join("arbiter.py")).arg("--socket").arg(&socket);
        command.args([
            "--app",
            "bench_app:BenchApp",
            "--workers",
            WORKERS,
            "--timeout",
            "60",
            "--log-level",
            "error",
        ]);
        command.current_dir(&files).env("PYTHONDONTWRITEBYTECODE", "1");
        let process = Polite(Some(Child::spawn(&mut command)?));
        Ok(Self { name: "gunicorn 27.0.1", socket, _process: Process::Gunicorn(process) })
    }

    /// Waits until a call is answered.
    fn wait(&self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = UnixStream::connect(&self.socket)
                .map_err(anyhow::Error::from)
                .and_then(|_| Connections::open(&self.socket, 1)?.calls(1));
            match answer {
                Ok(_) => return Ok(()),
                Err(error) => {
                    ensure!(Instant::now() < deadline, "{} does not answer: {error:#}", self.name);
                    thread::sleep(Duration::from_millis(20));
                }
            }
        }
    }
}

impl Drop for Polite {
    fn drop(&mut self) {
        if let Some(process) = self.0.take() {
            // Nothing depends on it any more.
            let _ = process.stop();
        }
    }
}

/// Dirty workers of either.
const WORKERS: &str = "2";
/// How long an arbiter may take to answer its first call.
const PATIENCE: Duration = Duration::from_secs(20);
