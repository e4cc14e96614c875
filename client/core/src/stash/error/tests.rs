use gunmetal_protocol::{Value, value};

use super::*;

fn answer(asked: &StashMessage<'_>, class: &str, message: &str, details: Value) -> CallError {
    let Value::Dict(details) = details else { panic!("details are a dict") };
    let payload = ErrorPayload { error_type: ErrorType::from(class), message: message.into(), details };
    from_payload(&payload, asked)
}

fn stash_error(asked: &StashMessage<'_>, class: &str, message: &str) -> StashError {
    match answer(asked, class, message, value!({})) {
        CallError::Stash(error) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_missing_key_or_table_is_known_by_its_class() {
    let key = StashKey::from(7);
    let missing =
        stash_error(&StashMessage::get("t", &key), "StashKeyNotFoundError", "Key not found in t: 7");
    assert_eq!(missing, StashError::KeyNotFound { table: "t".into(), key });
    assert_eq!(missing.to_string(), "key not found in stash table t: 7");
    let missing =
        stash_error(&StashMessage::info("t"), "StashTableNotFoundError", "Stash table not found: t");
    assert_eq!(missing, StashError::TableNotFound { table: "t".into() });
}

#[test]
fn a_missing_key_or_table_is_known_by_the_text_of_gunicorns_arbiter() {
    let key = StashKey::from("k");
    let missing = stash_error(&StashMessage::get("t", &key), "DirtyError", "Key not found: k");
    assert_eq!(missing, StashError::KeyNotFound { table: "t".into(), key: key.clone() });
    let missing = stash_error(&StashMessage::info("t"), "DirtyError", "Table not found: t");
    assert_eq!(missing, StashError::TableNotFound { table: "t".into() });
    // It cannot be the answer to a put, whatever it means.
    let refused = stash_error(&StashMessage::delete("t", &key), "DirtyError", "Key not found: k");
    assert_eq!(refused, StashError::Refused { message: "Key not found: k".into() });
}

#[test]
fn a_full_stash_says_how_full() {
    let (key, value) = (StashKey::None, gunmetal_protocol::Segments::new());
    let put = StashMessage::put("t", &key, &value);
    let details = value!({"table_name": "t", "size": 10, "used": 95, "limit": 100});
    let CallError::Stash(full) = answer(&put, "StashError", "over the limit", details) else { panic!() };
    assert_eq!(full, StashError::Full { message: "over the limit".into(), used: 95, limit: 100 });
    assert_eq!(
        stash_error(&put, "StashError", "unhashable"),
        StashError::Refused { message: "unhashable".into() }
    );
}

#[test]
fn an_arbiter_without_the_operation_does_not_support_it() {
    for text in ["Unknown stash operation: 64", "stash is not available in this version"] {
        let error = answer(&StashMessage::clear("t"), "DirtyError", text, value!({}));
        assert!(
            matches!(&error, CallError::Unsupported { operation } if operation == "stash clear t"),
            "{error:?}"
        );
    }
}
