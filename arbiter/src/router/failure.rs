//! What a caller is told when the router, not an app, has to answer.

use std::time::Duration;

use gunmetal_protocol::{ErrorPayload, ErrorType, Value};

/// Why a call fails in the router.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The app is not in the configuration; these are.
    AppNotConfigured { app_path: String, configured: Vec<String> },
    /// The app is configured, but nothing can serve it.
    AppUnavailable { app_path: String, reason: String },
    /// The app's queue has no room.
    QueueFull { app_path: String, limit: usize },
    /// The queues hold too many bytes.
    MemoryFull { limit: usize },
    /// The action has run for longer than `dirty_timeout`.
    ActionTimeout { limit: Duration },
    /// No lane was free for as long as `dirty_timeout`.
    QueueTimeout { limit: Duration },
    /// The worker ended while it had the call.
    WorkerLost { pid: u32, cause: String },
    /// The client stopped in the middle of a large payload.
    UploadStalled { limit: Duration },
    /// The client took nothing of its answer while others waited for the lane.
    ReaderStalled { limit: Duration },
    /// The service ended while a worker had the call.
    Cut,
    /// The service is stopping.
    Stopping { app_path: String },
}

impl Failure {
    /// Whether the client's connection can't go on: it is in the middle of a frame, in one direction or the other.
    pub(crate) fn ends_connection(&self) -> bool {
        matches!(self, Failure::UploadStalled { .. } | Failure::ReaderStalled { .. })
    }

    /// The same for the caller: gunicorn's classes, and its words where it has some.
    pub(crate) fn to_payload(&self) -> ErrorPayload {
        match self {
            Failure::AppNotConfigured { app_path, configured } => {
                let apps = if configured.is_empty() { "none".to_owned() } else { configured.join(", ") };
                let message = format!(
                    "No workers available for app: {app_path}: it is not configured; configured apps: {apps}"
                );
                no_workers(message, app_path).with_detail("reason", "app_not_configured")
            }
            Failure::AppUnavailable { app_path, reason } => {
                let message = format!("No workers available for app: {app_path}: {reason}");
                no_workers(message, app_path).with_detail("reason", "app_unavailable")
            }
            Failure::QueueFull { app_path, limit } => {
                let message = format!("No workers available for app: {app_path}: {limit} calls wait already");
                no_workers(message, app_path).with_detail("reason", "queue_full")
            }
            Failure::MemoryFull { limit } => ErrorPayload::dirty(format!(
                "the calls that wait already hold {limit} bytes, no more are taken"
            ))
            .with_detail("reason", "queue_full"),
            Failure::ActionTimeout { limit } => timeout("Worker timeout".to_owned(), *limit),
            Failure::QueueTimeout { limit } => {
                let seconds = limit.as_secs_f64();
                timeout(format!("Worker timeout: no worker was free for {seconds} s"), *limit)
            }
            Failure::WorkerLost { pid, cause } => {
                ErrorPayload::worker(format!("Worker {pid} {cause}"), i64::from(*pid))
            }
            Failure::UploadStalled { limit } => {
                let seconds = limit.as_secs_f64();
                let message = format!("the request's payload stopped for {seconds} s before its end");
                ErrorPayload::protocol(message, &[])
            }
            Failure::ReaderStalled { limit } => {
                let seconds = limit.as_secs_f64();
                let message =
                    format!("nothing of the answer was read for {seconds} s while other calls waited");
                ErrorPayload::protocol(message, &[])
            }
            Failure::Cut => {
                ErrorPayload::dirty("the service stopped before the call had finished".to_owned())
            }
            // Not the plain DirtyError, which says nothing about whether the call ran.
            Failure::Stopping { app_path } => {
                let message = format!("No workers available for app: {app_path}: the service is stopping");
                no_workers(message, app_path).with_detail("reason", "stopping")
            }
        }
    }
}

fn no_workers(message: String, app_path: &str) -> ErrorPayload {
    ErrorPayload::new(ErrorType::NoWorkersAvailable, message).with_detail("app_path", app_path)
}

/// gunicorn puts the configured number of seconds into the details, and that is mostly an integer.
fn timeout(message: String, limit: Duration) -> ErrorPayload {
    let seconds = match i64::try_from(limit.as_secs()) {
        Ok(seconds) if limit.subsec_nanos() == 0 => Value::Int(seconds),
        Ok(_) | Err(_) => Value::Float(limit.as_secs_f64()),
    };
    ErrorPayload::new(ErrorType::Timeout, message).with_detail("timeout", seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_says_what_gunicorn_says() {
        let error = Failure::ActionTimeout { limit: Duration::from_secs(30) }.to_payload();
        assert_eq!((error.error_type, &*error.message), (ErrorType::Timeout, "Worker timeout"));
        assert_eq!(error.details.get("timeout"), Some(&Value::Int(30)));
        let error = Failure::ActionTimeout { limit: Duration::from_millis(500) }.to_payload();
        assert_eq!(error.details.get("timeout"), Some(&Value::Float(0.5)));
    }

    #[test]
    fn an_app_that_is_not_configured_names_those_that_are() {
        let configured = vec!["a:A".to_owned(), "b:B".to_owned()];
        let error = Failure::AppNotConfigured { app_path: "c:C".to_owned(), configured }.to_payload();
        assert_eq!(error.error_type, ErrorType::NoWorkersAvailable);
        assert!(error.message.ends_with("configured apps: a:A, b:B"), "{}", error.message);
        assert_eq!(error.app_path(), Some("c:C"));
        assert_eq!(error.details.get("reason"), Some(&"app_not_configured".into()));
    }

    #[test]
    fn a_lost_worker_is_named_with_its_cause() {
        let error = Failure::WorkerLost { pid: 17, cause: "was killed by SIGKILL".to_owned() }.to_payload();
        assert_eq!(&*error.message, "Worker 17 was killed by SIGKILL");
        assert_eq!(error.worker_id(), Some(&Value::Int(17)));
    }
}
