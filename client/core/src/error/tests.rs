use super::*;
use gunmetal_protocol::value;

fn error(class: &str, message: &str, details: Value) -> CallError {
    let Value::Dict(details) = details else { panic!("details are a dict") };
    let payload = ErrorPayload { error_type: ErrorType::from(class), message: message.into(), details };
    CallError::from_payload(&payload, "shop:Cart", "total")
}

#[test]
fn gunicorns_classes_keep_their_fields() {
    let timeout = error("DirtyTimeoutError", "Worker timeout", value!({"timeout": 300}));
    assert!(matches!(timeout, CallError::Timeout { timeout: Some(limit), .. } if limit.as_secs() == 300));

    let worker = error("DirtyWorkerError", "gone", value!({"worker_id": 4711, "traceback": "tb"}));
    let CallError::Worker { message, worker_id, traceback } = worker else { panic!("{worker:?}") };
    assert_eq!((&*message, worker_id.as_deref(), traceback.as_deref()), ("gone", Some("4711"), Some("tb")));

    let details = value!({"app_path": "a:B", "action": "c", "traceback": "tb"});
    let app = error("DirtyAppError", "division by zero", details);
    let CallError::App { app_path, action, message, traceback } = app else { panic!("{app:?}") };
    assert_eq!((&*app_path, &*action, &*message), ("a:B", "c", "division by zero"));
    assert_eq!(traceback.as_deref(), Some("tb"));

    let connection = error("DirtyConnectionError", "no", value!({"socket_path": "/x"}));
    assert!(matches!(connection, CallError::Connection { socket_path, .. } if socket_path == *"/x"));
    let missing = error("DirtyAppNotFoundError", "Dirty app not found: a:B", value!({"app_path": "a:B"}));
    assert!(matches!(missing, CallError::AppNotFound { app_path, .. } if app_path == "a:B"));
    assert!(matches!(error("DirtyProtocolError", "no", value!({})), CallError::Protocol { .. }));
}

#[test]
fn an_app_error_from_a_stream_gets_the_calls_app_and_action() {
    let streamed = error("DirtyAppError", "boom", value!({"traceback": "tb"}));
    let CallError::App { app_path, action, .. } = streamed else { panic!("{streamed:?}") };
    assert_eq!((&*app_path, &*action), ("shop:Cart", "total"));
}

#[test]
fn an_app_that_is_not_configured_is_told_from_one_that_is_not_served() {
    let class = "DirtyNoWorkersAvailableError";
    let unknown = error(class, "no such app", value!({"app_path": "a:B", "reason": "app_not_configured"}));
    assert!(matches!(unknown, CallError::AppNotFound { .. }), "{unknown:?}");
    let down = error(class, "none", value!({"app_path": "a:B", "reason": "app_unavailable"}));
    assert!(matches!(down, CallError::NoWorkersAvailable { .. }), "{down:?}");
    let gunicorns = error(class, "No workers available for app: a:B", value!({"app_path": "a:B"}));
    assert!(matches!(gunicorns, CallError::NoWorkersAvailable { .. }), "{gunicorns:?}");
    let full = error("DirtyError", "no room", value!({"reason": "queue_full"}));
    assert!(matches!(full, CallError::NoWorkersAvailable { .. }) && full.is_retry_safe(), "{full:?}");
    let without_workers = error("DirtyError", "No dirty workers available", value!({}));
    let CallError::NoWorkersAvailable { app_path, .. } = without_workers else {
        panic!("{without_workers:?}")
    };
    assert_eq!(app_path, "shop:Cart");
}

#[test]
fn an_unknown_class_keeps_its_name() {
    let other = error("SomeLaterError", "later", value!({}));
    let CallError::Other { error_type, message } = other else { panic!("{other:?}") };
    assert_eq!((&*error_type, &*message), ("SomeLaterError", "later"));
}

#[test]
fn only_what_cannot_have_run_is_safe_to_retry() {
    let connection = |request_sent| CallError::Connection {
        socket_path: "/x".into(),
        stage: ConnectionStage::Send,
        request_sent,
        source: io::ErrorKind::BrokenPipe.into(),
    };
    assert!(connection(false).is_retry_safe());
    assert!(!connection(true).is_retry_safe());
    assert!(error("DirtyNoWorkersAvailableError", "queue full", value!({})).is_retry_safe());
    for class in
        ["DirtyTimeoutError", "DirtyWorkerError", "DirtyAppError", "DirtyError", "DirtyProtocolError"]
    {
        assert!(!error(class, "x", value!({})).is_retry_safe(), "{class}");
    }
}
