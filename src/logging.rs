//! Log lines as a gunicorn user knows them: `[time] [pid] [LEVEL] message fields`, on standard error or in a file.
//!
//! The file takes the place of standard error: so every process to come has it without being given it, a reader of the
//! log also finds what panics, allocators and foreign libraries had to say, and opening it anew is one system call that no
//! thread notices.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Stderr, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::dup2_stderr;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, Subscriber as FmtSubscriber};
use tracing_subscriber::registry::LookupSpan;

use crate::LogLevel;

/// Puts the file at `path` in the place of standard error, in this process and all that it forks.
///
/// # Errors
///
/// It cannot be opened.
pub(crate) fn redirect(path: &Path) -> io::Result<()> {
    // Whoever changes the working directory later still means this file.
    let path = std::path::absolute(path)?;
    let started_with = io::stderr().as_fd().try_clone_to_owned()?;
    open(&path)?;
    // Set once: a process runs one service.
    let _ = STARTED_WITH.set(started_with.into());
    let _ = LOG_FILE.set(path);
    Ok(())
}

/// Opens the log file of [`redirect`] anew, after somebody has moved it away. Lines that other threads write meanwhile go
/// to the one or to the other.
pub(crate) fn reopen() {
    let Some(path) = LOG_FILE.get() else { return };
    match open(path) {
        Ok(()) => tracing::debug!("Log file opened anew"),
        Err(error) => {
            let path = path.display();
            tracing::error!("log file {path} cannot be opened anew, lines still go to the old one: {error}");
        }
    }
}

/// The standard error that this process was started with, if a log file has taken its place.
pub(crate) fn started_with() -> Option<&'static File> {
    STARTED_WITH.get()
}

fn open(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    // A pipe without a reader is an error, not a reason to wait.
    let file = options.create(true).append(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)?;
    let flags = OFlag::from_bits_truncate(fcntl(&file, FcntlArg::F_GETFL)?);
    fcntl(&file, FcntlArg::F_SETFL(flags - OFlag::O_NONBLOCK))?;
    Ok(dup2_stderr(&file)?)
}

/// Logs from here on, unless the program has installed a subscriber of its own.
pub(crate) fn init(level: LogLevel) {
    let subscriber = FmtSubscriber::builder()
        .with_max_level(level.filter())
        .with_writer(|| BestEffort(io::stderr()))
        .with_ansi(io::stderr().is_terminal())
        .event_format(Line)
        .finish();
    // Refused only if there is one already, which is then the program's wish.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

/// Standard error, as far as it can be written. The subscriber would report a failure to standard error, and panic: a full
/// disk or a log reader that is gone costs log lines, not the service.
struct BestEffort(Stderr);

impl Write for BestEffort {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let _ = self.0.write_all(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

static LOG_FILE: OnceLock<PathBuf> = OnceLock::new();
static STARTED_WITH: OnceLock<File> = OnceLock::new();

struct Line;

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        cx: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        writer.write_char('[')?;
        SystemTime.format_time(&mut writer)?;
        // Asked for each time: the subscriber is inherited by every process that is forked.
        write!(writer, "] [{}] [{}] ", std::process::id(), level_name(*event.metadata().level()))?;
        cx.field_format().format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}

fn level_name(level: Level) -> &'static str {
    match level {
        Level::ERROR => "ERROR",
        Level::WARN => "WARNING",
        Level::INFO => "INFO",
        Level::DEBUG => "DEBUG",
        Level::TRACE => "TRACE",
    }
}
