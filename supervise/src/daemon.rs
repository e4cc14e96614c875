//! Leaving the terminal.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::AsFd;

use nix::sys::stat::{Mode, umask};
use nix::unistd::{dup2_stderr, dup2_stdin, dup2_stdout, setsid};

use crate::fork::{Fork, ForkError, fork};
use crate::{Poller, Readiness, ReadyWriter, readiness_pipe};

/// Which of the two this process is after [`daemonize`].
#[derive(Debug)]
pub enum Daemonized {
    /// The one that was started, in the foreground, with what the daemon has said of its start. It should exit.
    Launcher(Readiness),
    /// The daemon: in a session of its own without a terminal, its standard streams at `/dev/null`. It says to the
    /// launcher how its start has gone.
    Daemon(ReadyWriter),
}

/// Goes on in the background, by forking twice. The process that was started stays in the foreground until the daemon has
/// said that it is ready, or why not, so that who starts it learns which.
///
/// # Errors
///
/// [`DaemonError`], to the process that was started.
pub fn daemonize() -> Result<Daemonized, DaemonError> {
    let (mut reader, writer) = readiness_pipe().map_err(DaemonError::Pipe)?;
    match fork()? {
        Fork::Parent(mut between) => {
            drop(writer);
            between.wait().map_err(DaemonError::Wait)?;
            loop {
                let mut poller = Poller::new();
                poller.readable(&reader, ());
                poller.wait(None).map_err(DaemonError::Wait)?;
                if let Some(readiness) = reader.read().map_err(DaemonError::Wait)? {
                    return Ok(Daemonized::Launcher(readiness));
                }
            }
        }
        Fork::Child(_) => drop(reader),
    }
    // The leader of a session can get a terminal again by opening one; its child cannot.
    let _ = setsid();
    match fork() {
        Ok(Fork::Parent(_)) => std::process::exit(0),
        Ok(Fork::Child(_)) => {}
        Err(error) => {
            let _ = writer.failed(&error.to_string());
            std::process::exit(1);
        }
    }
    if let Err(error) = detach() {
        let _ = writer.failed(&format!("cannot open /dev/null: {error}"));
        std::process::exit(1);
    }
    Ok(Daemonized::Daemon(writer))
}

fn detach() -> io::Result<()> {
    umask(Mode::S_IWGRP | Mode::S_IWOTH);
    let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
    dup2_stdin(null.as_fd())?;
    dup2_stdout(null.as_fd())?;
    dup2_stderr(null.as_fd())?;
    Ok(())
}

/// Why there is no daemon.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DaemonError {
    /// It could not be forked.
    #[error("cannot go on in the background")]
    Fork(#[from] ForkError),
    /// There is no pipe for the news of its start.
    #[error("cannot make a pipe to the daemon")]
    Pipe(#[source] io::Error),
    /// The news of its start cannot be waited for.
    #[error("cannot wait for the daemon")]
    Wait(#[source] io::Error),
}
