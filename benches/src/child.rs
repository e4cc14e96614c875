use std::io::{BufRead, BufReader, Write};
use std::process::{Child as Process, Command, Stdio};

use anyhow::{Context, Result, ensure};
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A peer's server process, killed when the bench drops it.
#[derive(Debug)]
pub struct Child {
    process: Process,
}

impl Child {
    /// Starts this program again in another role and waits until that role said that it is ready.
    ///
    /// # Errors
    ///
    /// The process cannot be started, or ended before it was ready.
    pub fn role(args: &[&str]) -> Result<Self> {
        let program = std::env::current_exe().context("finding this program")?;
        let mut command = Command::new(program);
        command.arg("role").args(args).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = Self { process: command.spawn().with_context(|| format!("starting role {args:?}"))? };
        let stdout = child.process.stdout.take().context("stdout is piped")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).context("reading a role's first line")?;
        ensure!(line == READY, "role {args:?} ended before it was ready");
        Ok(child)
    }

    /// Starts `command`; its readiness is for the caller to find out.
    ///
    /// # Errors
    ///
    /// The process cannot be started.
    pub fn spawn(command: &mut Command) -> Result<Self> {
        Ok(Self { process: command.spawn().with_context(|| format!("starting {command:?}"))? })
    }

    /// The process's id.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.process.id()).expect("a pid is an i32"))
    }

    /// Asks the process to end with SIGTERM and waits until it has.
    ///
    /// # Errors
    ///
    /// The signal cannot be sent, or the process cannot be waited for.
    pub fn stop(mut self) -> Result<()> {
        kill(self.pid(), Signal::SIGTERM).context("sending SIGTERM")?;
        self.process.wait().context("waiting for a child to stop")?;
        Ok(())
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// In a role: tells the bench that calls can be made.
///
/// # Errors
///
/// The bench is gone.
pub fn say_ready() -> Result<()> {
    let mut stdout = std::io::stdout();
    stdout.write_all(READY.as_bytes()).and_then(|()| stdout.flush()).context("saying ready")
}

/// In a role: end when the bench does, however it ends.
///
/// # Errors
///
/// The kernel refuses.
pub fn die_with_parent() -> Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL).context("setting the parent-death signal")
}

const READY: &str = "ready\n";
