//! Log lines as a gunicorn user knows them: `[time] [pid] [LEVEL] message fields`, on standard error.

use std::fmt;
use std::io::{self, IsTerminal, Stderr, Write};

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, Subscriber as FmtSubscriber};
use tracing_subscriber::registry::LookupSpan;

use crate::LogLevel;

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
