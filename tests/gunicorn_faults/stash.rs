//! What gunicorn's stash gets wrong. Frames by hand: what gunicorn's own client makes of them is tested in Python.

use gunmetal::protocol::{ErrorType, MessageType};
use gunmetal::{Value, value};

use crate::support::Service;
use crate::support::probe::probe;
use crate::support::raw::{Raw, frame_of};

const PUT: i64 = 1;
const GET: i64 = 2;
const INFO: i64 = 6;
const TABLES: i64 = 9;

/// gunicorn's client raises, since the error's class has another name. Ours: the class that it looks for.
#[test]
fn a_missing_key_with_a_default() {
    let service = probe(1, &[]);
    let mut raw = Raw::connect(&service);
    ask(&mut raw, PUT, value!({"table": "there", "key": "other", "value": 1}));
    raw.result(1);
    for table in ["there", "missing"] {
        ask(&mut raw, GET, value!({"table": table, "key": "k"}));
        let error = raw.error(1);
        assert_eq!(error.error_type, ErrorType::from("StashKeyNotFoundError"), "{error:?}");
        assert_eq!(&*error.message, &*format!("Key not found in {table}: k"));
        assert_eq!(error.details.get("table_name"), Some(&value!(table)));
        assert_eq!(error.details.get("key"), Some(&value!("k")));
    }
    ask(&mut raw, INFO, value!({"table": "missing"}));
    let error = raw.error(1);
    assert_eq!(error.error_type, ErrorType::from("StashTableNotFoundError"), "{error:?}");
    assert_eq!(&*error.message, "Stash table not found: missing");
    assert_eq!(error.details.get("table_name"), Some(&value!("missing")));
}

/// gunicorn never creates them. Ours: created at start, and again by a router that had to be replaced.
#[test]
fn declared_stashes() {
    let flags = ["--dirty-workers", "1", "--dirty-app", "bench_app:StashDeclApp"];
    let service = Service::probe(&flags, &[("BENCH_INIT_DELAY", "1")]);
    let declared = value!(["declared_one", "declared_two"]);
    let mut raw = Raw::connect(&service);
    // Before any worker could have asked for them.
    ask(&mut raw, TABLES, value!({"table": ""}));
    assert_eq!(raw.result(1), declared);
    ask(&mut raw, INFO, value!({"table": "declared_two"}));
    assert_eq!(raw.result(1).get("size"), Some(&value!(0)));

    service.process("router").signal(libc::SIGKILL);
    assert!(raw.ends());
    let mut raw = Raw::connect(&service);
    ask(&mut raw, TABLES, value!({"table": ""}));
    assert_eq!(raw.result(1), declared);
}

/// With gunicorn it cannot be read back. Ours: it can.
#[test]
fn a_stored_dict_with_a_key_error() {
    let service = probe(1, &[]);
    let mut raw = Raw::connect(&service);
    let stored = [
        value!({"error": "not one"}),
        value!({"error": {"error_type": "DirtyError", "message": "not one", "details": {}}}),
        value!({"error": None, "result": 3, "type": 3, "id": 9}),
    ];
    for value in stored {
        ask(&mut raw, PUT, value!({"table": "t", "key": "k", "value": (value.clone())}));
        assert_eq!(raw.result(1), value!(true));
        ask(&mut raw, GET, value!({"table": "t", "key": "k"}));
        assert_eq!(raw.result(1), value);
        // As the result of an action, too.
        raw.call(1, "echo", value!([(value.clone())]));
        assert_eq!(raw.result(1), value);
    }
}

/// Asks the stash for one operation.
fn ask(raw: &mut Raw, op: i64, mut fields: Value) {
    if let Value::Dict(fields) = &mut fields {
        fields.insert("op", op);
    }
    raw.send(&frame_of(MessageType::Stash, 1, &fields));
}
