//! What a log line looks like: `[time] [pid] [LEVEL] message fields`, or an object of JSON.

use std::fmt::{self, Debug, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::registry::LookupSpan;

use crate::LogFormat;

/// Lines look like this from here on.
pub(super) fn set_format(format: LogFormat) {
    IS_JSON.store(format == LogFormat::Json, Ordering::Relaxed);
}

/// Lines of text have colours from here on, or none.
pub(super) fn set_colours(wanted: bool) {
    HAS_COLOURS.store(wanted, Ordering::Relaxed);
}

/// Writes each event in the format that is set at that time.
pub(super) struct Line;

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
        if IS_JSON.load(Ordering::Relaxed) {
            return json(writer, event);
        }
        writer.write_char('[')?;
        SystemTime.format_time(&mut writer)?;
        // Asked for each time: the subscriber is inherited by every process that is forked.
        write!(writer, "] [{}] [{}] ", std::process::id(), level_name(*event.metadata().level()))?;
        if HAS_COLOURS.load(Ordering::Relaxed) {
            cx.field_format().format_fields(writer.by_ref(), event)?;
        } else {
            // One that is made anew has none.
            cx.field_format().format_fields(Writer::new(&mut writer), event)?;
        }
        writeln!(writer)
    }
}

/// `{"time": …, "pid": …, "level": …, "message": …}`, and the event's fields beside these.
fn json(mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
    let mut members = Members::default();
    event.record(&mut members);
    writer.write_str("{\"time\":\"")?;
    SystemTime.format_time(&mut writer)?;
    let level = level_name(*event.metadata().level());
    let message = Value::String(members.message);
    write!(writer, "\",\"pid\":{},\"level\":\"{level}\",\"message\":{message}", std::process::id())?;
    writeln!(writer, "{}}}", members.rest)
}

/// The fields of an event: the message, and the others as members of an object.
#[derive(Default)]
struct Members {
    message: String,
    /// `,"name":value` for each.
    rest: String,
}

impl Members {
    fn add(&mut self, field: &Field, value: impl fmt::Display) {
        // A pid in an event is another process's: no name may be there twice.
        let prefix = if OUR_MEMBERS.contains(&field.name()) { "field_" } else { "" };
        let name = Value::String(format!("{prefix}{}", field.name()));
        // Writing to a string cannot fail.
        let _ = write!(self.rest, ",{name}:{value}");
    }
}

impl Visit for Members {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let text = format!("{value:?}");
        if field.name() == "message" {
            self.message = text;
        } else {
            self.add(field, Value::String(text));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message = value.to_owned();
        } else {
            self.add(field, Value::String(value.to_owned()));
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        // JSON has no infinity: those are null.
        self.add(field, Value::from(value));
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

static IS_JSON: AtomicBool = AtomicBool::new(false);
static HAS_COLOURS: AtomicBool = AtomicBool::new(false);

/// What every line has.
const OUR_MEMBERS: [&str; 4] = ["time", "pid", "level", "message"];

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::fmt::MakeWriter;

    use super::*;

    /// Writes each event as JSON, whatever the process's format is.
    struct Json;

    impl<S, N> FormatEvent<S, N> for Json
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
        N: for<'a> FormatFields<'a> + 'static,
    {
        fn format_event(
            &self,
            _: &FmtContext<'_, S, N>,
            writer: Writer<'_>,
            event: &Event<'_>,
        ) -> fmt::Result {
            json(writer, event)
        }
    }

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Sink {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    fn logged(log: impl FnOnce()) -> String {
        let sink = Sink::default();
        let subscriber =
            tracing_subscriber::fmt().with_writer(sink.clone()).with_ansi(true).event_format(Json).finish();
        tracing::subscriber::with_default(subscriber, log);
        let bytes = sink.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_line_is_one_flat_object_in_a_fixed_order() {
        let line = logged(|| tracing::warn!(worker = %"http-0.1", "Worker \"{}\"\nleaves", 7));
        let rest = format!(
            "\",\"pid\":{},\"level\":\"WARNING\",\"message\":\"Worker \\\"7\\\"\\nleaves\",\"worker\":\"http-0.1\"}}\n",
            std::process::id()
        );
        assert!(line.starts_with("{\"time\":\"20") && line.ends_with(&rest), "{line}");
    }

    #[test]
    fn fields_keep_their_types() {
        let line = logged(|| {
            tracing::info!(
                count = 3,
                change = -4_i64,
                part = 0.5,
                nothing = f64::NAN,
                is_ready = true,
                text = "a"
            );
        });
        let object: Value = serde_json::from_str(&line).unwrap();
        for (name, value) in [
            ("count", Value::from(3)),
            ("change", Value::from(-4)),
            ("part", Value::from(0.5)),
            ("nothing", Value::Null),
            ("is_ready", Value::from(true)),
            ("text", Value::from("a")),
            ("message", Value::from("")),
        ] {
            assert_eq!(object[name], value, "{name} in {line}");
        }
    }

    #[test]
    fn a_field_with_the_name_of_a_member_is_kept_beside_it() {
        let line = logged(|| tracing::error!(pid = 12, level = "high", "Worker timed out"));
        let object: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(object["pid"], std::process::id());
        assert_eq!((&object["field_pid"], &object["field_level"]), (&Value::from(12), &Value::from("high")));
    }
}
