//! The stash of gunicorn's own arbiter, whose tables Python apps share.

#[path = "../../testing/gunicorn.rs"]
mod gunicorn;

use std::collections::BTreeMap;

use gunicorn::{APP, Gunicorn, PATIENCE, values};
use gunmetal_client_blocking::{
    Bytes, CallError, Client, ClientConfig, Stash, StashError, StashKey, Value, value,
};
use serde::{Deserialize, Serialize};

fn client(gunicorn: &Gunicorn) -> Client {
    Client::new(ClientConfig::new(gunicorn.socket()).with_call_timeout(PATIENCE))
}

fn stash(gunicorn: &Gunicorn) -> Stash {
    client(gunicorn).stash()
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Session {
    user: String,
    visits: u32,
    tags: Vec<String>,
}

#[test]
fn every_operation_does_what_it_says() {
    let gunicorn = Gunicorn::start(&[]);
    let stash = stash(&gunicorn);
    assert_eq!(stash.tables().unwrap(), Vec::<String>::new());
    stash.put("t", "a", 1).unwrap();
    stash.put("t", "a", 2).unwrap();
    assert_eq!(stash.get("t", "a").unwrap(), Some(2));
    assert_eq!(stash.get::<i64>("t", "b").unwrap(), None);
    assert_eq!(stash.get::<i64>("nosuch", "b").unwrap(), None);
    assert_eq!(stash.get_or("t", "b", 7).unwrap(), 7);
    assert!(stash.exists("t", "a").unwrap() && !stash.exists("t", "b").unwrap());
    assert!(stash.table_exists("t").unwrap() && !stash.table_exists("u").unwrap());
    stash.ensure("u").unwrap();
    stash.ensure("u").unwrap();
    assert_eq!(stash.tables().unwrap(), ["t", "u"]);
    let info = stash.info("t").unwrap();
    assert_eq!((info.size, &*info.table, info.bytes), (1, "t", None));
    for key in ["user:1", "user:2", "b:1"] {
        stash.put("u", key, ()).unwrap();
    }
    assert_eq!(stash.keys("u", None).unwrap(), ["user:1", "user:2", "b:1"]);
    assert_eq!(stash.keys("u", "user:[!1]").unwrap(), ["user:2"]);
    assert_eq!(stash.keys("nosuch", None).unwrap(), Vec::<StashKey>::new());
    assert!(stash.delete("t", "a").unwrap() && !stash.delete("t", "a").unwrap());
    stash.clear("u").unwrap();
    assert_eq!(stash.info("u").unwrap().size, 0);
    assert!(stash.delete_table("t").unwrap() && !stash.delete_table("t").unwrap());
    assert_eq!(stash.tables().unwrap(), ["u"]);
}

#[test]
fn what_is_missing_is_known_by_gunicorns_texts() {
    let gunicorn = Gunicorn::start(&[]);
    let stash = stash(&gunicorn);
    let error = stash.fetch::<i64>("t", 7).unwrap_err();
    assert!(
        matches!(&error, CallError::Stash(StashError::KeyNotFound { table, key }) if table == "t" && *key == 7),
        "{error:?}"
    );
    let error = stash.info("t").unwrap_err();
    assert!(
        matches!(&error, CallError::Stash(StashError::TableNotFound { table }) if table == "t"),
        "{error:?}"
    );
    // It cannot give back a dict with this key.
    stash.put("t", "k", value!({"error": "mine"})).unwrap();
    let error = stash.get::<Value>("t", "k").unwrap_err();
    assert!(matches!(error, CallError::Stash(StashError::Refused { .. })), "{error:?}");
    assert_eq!(stash.get_or("t", "missing", 1).unwrap(), 1);
}

#[test]
fn every_kind_of_value_and_key_is_kept() {
    let gunicorn = Gunicorn::start(&[]);
    let stash = stash(&gunicorn);
    for value in values() {
        stash.put("t", "k", value.clone()).unwrap();
        assert_eq!(stash.fetch::<Value>("t", "k").unwrap(), value);
    }
    let session = Session { user: "eve".into(), visits: 3, tags: vec!["a".into()] };
    stash.put("t", "k", &session).unwrap();
    assert_eq!(stash.get("t", "k").unwrap(), Some(session));
    assert!(matches!(stash.get::<i64>("t", "k"), Err(CallError::Decode { .. })));
    let image = Bytes::from(vec![7; 16 << 20]);
    stash.put("t", "k", &image).unwrap();
    assert_eq!(stash.get::<Bytes>("t", "k").unwrap(), Some(image));
    stash.put("t", "k", vec![1_u8, 2]).unwrap();
    assert_eq!(stash.get::<Vec<u8>>("t", "k").unwrap(), Some(vec![1, 2]));

    let keys: [StashKey; 5] = ["text".into(), 5.into(), false.into(), b"\x00".into(), ().into()];
    for (number, key) in keys.iter().enumerate() {
        stash.put("keys", key, number).unwrap();
    }
    assert_eq!(stash.keys("keys", None).unwrap(), keys);
    for (number, key) in keys.iter().enumerate() {
        assert_eq!(stash.get("keys", key).unwrap(), Some(number));
        assert!(stash.exists("keys", key).unwrap());
        assert!(stash.delete("keys", key).unwrap());
        assert!(!stash.exists("keys", key).unwrap());
    }
}

#[test]
fn a_table_is_used_like_a_map() {
    let gunicorn = Gunicorn::start(&[]);
    let table = stash(&gunicorn).table("map");
    assert_eq!((table.name(), table.len().unwrap(), table.is_empty().unwrap()), ("map", 0, true));
    let expected: BTreeMap<String, i64> = (0..300).map(|i| (format!("k{i}"), i)).collect();
    for (key, value) in &expected {
        table.insert(key, value).unwrap();
    }
    assert_eq!(table.len().unwrap(), 300);
    assert!(table.contains("k7").unwrap() && !table.contains("k").unwrap());
    assert_eq!(table.get("k7").unwrap(), Some(7));
    let entries = table.iter::<i64>().map(|entry| entry.map(|(key, value)| (key.to_string(), value)));
    assert_eq!(entries.collect::<Result<BTreeMap<_, _>, _>>().unwrap(), expected);
    let keys: Vec<String> = table.keys_iter().map(|key| key.unwrap().to_string()).collect();
    assert!(keys.iter().eq(expected.keys()));
    let some: Vec<_> = table.iter::<i64>().matching("k29?").map(|entry| entry.unwrap().1).collect();
    assert_eq!(some, (290..300).collect::<Vec<_>>());
    assert!(table.remove("k7").unwrap() && !table.remove("k7").unwrap());
    table.clear().unwrap();
    assert_eq!(table.iter::<i64>().count() + table.keys_iter().count(), 0);
}

#[test]
fn an_entry_that_goes_during_the_walk_is_left_out() {
    let gunicorn = Gunicorn::start(&[]);
    let table = stash(&gunicorn).table("t");
    for key in 0..3 {
        table.insert(key, key).unwrap();
    }
    let mut entries = table.iter::<i64>();
    assert_eq!(entries.next().unwrap().unwrap(), (0.into(), 0));
    table.remove(1).unwrap();
    assert_eq!(entries.next().unwrap().unwrap(), (2.into(), 2));
    assert!(entries.next().is_none() && entries.next().is_none());
    // An entry of another type ends the walk.
    table.insert(0, "text").unwrap();
    let mut entries = table.iter::<i64>();
    assert!(matches!(entries.next(), Some(Err(CallError::Decode { .. }))));
    assert!(entries.next().is_none());
}

#[test]
fn python_apps_see_the_same_tables() {
    let gunicorn = Gunicorn::start(&[]);
    let client = client(&gunicorn);
    let stash = client.stash();
    assert!(client.execute::<bool>(APP, "stash_put", ("t", "k", value!({"n": 1}))).unwrap());
    assert_eq!(stash.get("t", "k").unwrap(), Some(value!({"n": 1})));
    stash.put("t", "n", 41).unwrap();
    assert_eq!(client.execute::<i64>(APP, "stash_incr", ("t", "n")).unwrap(), 42);
    assert_eq!(stash.get("t", "n").unwrap(), Some(42));
    assert!(!client.execute::<bool>(APP, "stash_exists", ("t", "nosuch")).unwrap());
}
