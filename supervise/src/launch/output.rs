//! Where what a process writes goes.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::{dup2_stderr, dup2_stdout};

/// Where an output goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output<'a> {
    /// Where the parent's goes.
    Inherit,
    /// Where the standard output goes; for that itself, the same as [`Inherit`](Output::Inherit).
    Stdout,
    /// To the end of this file, which is made with mode 0644 if it is not there. A named pipe will do if somebody reads it.
    File(&'a Path),
}

/// Directs both streams of the calling process. An error says which could not be had, and why.
pub(super) fn redirect(stdout: Output<'_>, stderr: Output<'_>) -> Result<(), String> {
    match stdout {
        Output::Inherit | Output::Stdout => {}
        Output::File(path) => {
            let directed = open(path).and_then(|file| Ok(dup2_stdout(file)?));
            directed.map_err(|error| format!("stdout {}: {}", path.display(), cause(&error)))?;
        }
    }
    match stderr {
        Output::Inherit => {}
        Output::Stdout => {
            dup2_stderr(io::stdout()).map_err(|error| format!("stderr into stdout: {error}"))?;
        }
        Output::File(path) => {
            let directed = open(path).and_then(|file| Ok(dup2_stderr(file)?));
            directed.map_err(|error| format!("stderr {}: {}", path.display(), cause(&error)))?;
        }
    }
    Ok(())
}

fn open(path: &Path) -> io::Result<File> {
    // A named pipe that nobody reads would be waited for, and a terminal would become this process's own.
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file =
        OpenOptions::new().append(true).create(true).mode(0o644).custom_flags(flags.bits()).open(path)?;
    // That was for the opening only: who writes expects to wait for a slow reader.
    let flags = OFlag::from_bits_retain(fcntl(&file, FcntlArg::F_GETFL)?);
    fcntl(&file, FcntlArg::F_SETFL(flags - OFlag::O_NONBLOCK))?;
    Ok(file)
}

fn cause(error: &io::Error) -> String {
    match error.raw_os_error() {
        // The kernel's words, "no such device or address", say less.
        Some(code) if code == Errno::ENXIO as i32 => "it is a pipe that nobody reads, or a socket".to_owned(),
        _ => error.to_string(),
    }
}
