//! Log lines as a gunicorn user knows them, or as JSON, on standard error or in a file; all of it may change while the
//! service runs. What is set here belongs to the process, and every process that it forks begins with it.

mod destination;
mod line;

use std::io::{self, Stderr, Write};
use std::path::Path;
use std::sync::OnceLock;

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Registry, reload};

use crate::{LogFormat, LogLevel};

pub(crate) use destination::{redirect, reopen, set_owner, started_with};

use line::Line;

/// Logs from here on, unless the program has installed a subscriber of its own. Then level and format are its own, too, and
/// so is where lines go, unless that is standard error.
pub(crate) fn init(level: LogLevel, format: LogFormat) {
    line::set_format(format);
    line::set_colours(destination::is_terminal());
    let (filter, handle) = reload::Layer::new(level.filter());
    // Whether there are colours is decided for each line.
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(|| BestEffort(io::stderr()))
        .with_ansi(true)
        .event_format(Line);
    // Refused only if there is one already, which is then the program's wish.
    if tracing::subscriber::set_global_default(Registry::default().with(filter).with(lines)).is_ok() {
        // Set once: there is one subscriber.
        let _ = LEVEL.set(handle);
    } else {
        tracing::warn!(
            "the program logs by itself: loglevel and log_format do nothing, errorlog is standard error only"
        );
    }
}

/// Logs from here on in another way: at `level`, in `format`, to the file at `errorlog` or, without one, to the standard
/// error that this process was started with. A file is opened anew even if it is the same.
///
/// # Errors
///
/// The file cannot be opened. Nothing has changed then.
pub(crate) fn reconfigure(level: LogLevel, format: LogFormat, errorlog: Option<&Path>) -> io::Result<()> {
    match errorlog {
        Some(path) => destination::redirect(path)?,
        None => destination::restore()?,
    }
    line::set_format(format);
    line::set_colours(destination::is_terminal());
    if let Some(filter) = LEVEL.get() {
        // Refused only if the subscriber is gone, and the global one never is.
        let _ = filter.reload(level.filter());
    }
    Ok(())
}

/// Gives standard error back what it was, for a process that is about to become another program. What cannot be given back
/// stays in the log file.
pub(crate) fn leave() {
    let _ = destination::restore();
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

static LEVEL: OnceLock<reload::Handle<LevelFilter, Registry>> = OnceLock::new();

#[cfg(test)]
mod tests;
