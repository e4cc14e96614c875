use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::Child;

/// A running dirty arbiter with its router and workers.
#[derive(Debug)]
pub struct Tree {
    socket: PathBuf,
    arbiter: Option<Child>,
}

impl Tree {
    /// Starts `program` as a dirty arbiter on `socket` and waits until something listens there.
    ///
    /// # Errors
    ///
    /// The program cannot be started, or does not listen within ten seconds.
    pub fn start(program: &str, socket: PathBuf, environment: &[(&str, &str)]) -> Result<Self> {
        Self::start_with(program, &[], socket, environment)
    }

    /// [`start`](Self::start) with further flags.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn start_with(
        program: &str,
        flags: &[&str],
        socket: PathBuf,
        environment: &[(&str, &str)],
    ) -> Result<Self> {
        let mut command = Command::new(program);
        command
            .args(["--dirty-only", "--dirty-socket"])
            .arg(&socket)
            .args(["--log-level", "error"])
            .args(flags);
        command.envs(environment.iter().copied());
        let arbiter = Child::spawn(&mut command)?;
        let deadline = Instant::now() + Duration::from_secs(10);
        while UnixStream::connect(&socket).is_err() {
            ensure!(Instant::now() < deadline, "nothing listens at {} after ten seconds", socket.display());
            thread::sleep(Duration::from_micros(100));
        }
        Ok(Self { socket, arbiter: Some(arbiter) })
    }

    /// Where clients connect.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// The process that was started.
    ///
    /// # Panics
    ///
    /// Never: only dropping the tree takes the process out.
    pub fn arbiter(&self) -> &Child {
        self.arbiter.as_ref().expect("taken out by drop only")
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        // Politely: an arbiter that is killed leaves its workers to find out by themselves.
        if let Some(arbiter) = self.arbiter.take() {
            let _ = arbiter.stop();
        }
    }
}
