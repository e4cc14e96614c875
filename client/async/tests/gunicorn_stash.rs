//! The stash of gunicorn's own arbiter, whose tables Python apps share.

#[path = "../../testing/gunicorn.rs"]
mod gunicorn;

use std::collections::BTreeMap;

use futures_util::{StreamExt, TryStreamExt};
use gunicorn::{APP, Gunicorn, PATIENCE, values};
use gunmetal_client::{Bytes, CallError, Client, ClientConfig, Stash, StashError, StashKey, Value, value};
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

#[tokio::test]
async fn every_operation_does_what_it_says() {
    let gunicorn = Gunicorn::start(&[]);
    let stash = stash(&gunicorn);
    assert_eq!(stash.tables().await.unwrap(), Vec::<String>::new());
    stash.put("t", "a", 1).await.unwrap();
    stash.put("t", "a", 2).await.unwrap();
    assert_eq!(stash.get("t", "a").await.unwrap(), Some(2));
    assert_eq!(stash.get::<i64>("t", "b").await.unwrap(), None);
    assert_eq!(stash.get::<i64>("nosuch", "b").await.unwrap(), None);
    assert_eq!(stash.get_or("t", "b", 7).await.unwrap(), 7);
    assert!(stash.exists("t", "a").await.unwrap() && !stash.exists("t", "b").await.unwrap());
    assert!(stash.table_exists("t").await.unwrap() && !stash.table_exists("u").await.unwrap());
    stash.ensure("u").await.unwrap();
    stash.ensure("u").await.unwrap();
    assert_eq!(stash.tables().await.unwrap(), ["t", "u"]);
    let info = stash.info("t").await.unwrap();
    assert_eq!((info.size, &*info.table, info.bytes), (1, "t", None));
    for key in ["user:1", "user:2", "b:1"] {
        stash.put("u", key, ()).await.unwrap();
    }
    assert_eq!(stash.keys("u", None).await.unwrap(), ["user:1", "user:2", "b:1"]);
    assert_eq!(stash.keys("u", "user:[!1]").await.unwrap(), ["user:2"]);
    assert_eq!(stash.keys("nosuch", None).await.unwrap(), Vec::<StashKey>::new());
    assert!(stash.delete("t", "a").await.unwrap() && !stash.delete("t", "a").await.unwrap());
    stash.clear("u").await.unwrap();
    assert_eq!(stash.info("u").await.unwrap().size, 0);
    assert!(stash.delete_table("t").await.unwrap() && !stash.delete_table("t").await.unwrap());
    assert_eq!(stash.tables().await.unwrap(), ["u"]);
}

#[tokio::test]
async fn what_is_missing_is_known_by_gunicorns_texts() {
    let gunicorn = Gunicorn::start(&[]);
    let stash = stash(&gunicorn);
    let error = stash.fetch::<i64>("t", 7).await.unwrap_err();
    assert!(
        matches!(&error, CallError::Stash(StashError::KeyNotFound { table, key }) if table == "t" && *key == 7),
        "{error:?}"
    );
    let error = stash.info("t").await.unwrap_err();
    assert!(
        matches!(&error, CallError::Stash(StashError::TableNotFound { table }) if table == "t"),
        "{error:?}"
    );
    // It cannot give back a dict with this key.
    stash.put("t", "k", value!({"error": "mine"})).await.unwrap();
    let error = stash.get::<Value>("t", "k").await.unwrap_err();
    assert!(matches!(error, CallError::Stash(StashError::Refused { .. })), "{error:?}");
    assert_eq!(stash.get_or("t", "missing", 1).await.unwrap(), 1);
}

#[tokio::test]
async fn every_kind_of_value_and_key_is_kept() {
    let gunicorn = Gunicorn::start(&[]);
    let stash = stash(&gunicorn);
    for value in values() {
        stash.put("t", "k", value.clone()).await.unwrap();
        assert_eq!(stash.fetch::<Value>("t", "k").await.unwrap(), value);
    }
    let session = Session { user: "eve".into(), visits: 3, tags: vec!["a".into()] };
    stash.put("t", "k", &session).await.unwrap();
    assert_eq!(stash.get("t", "k").await.unwrap(), Some(session));
    assert!(matches!(stash.get::<i64>("t", "k").await, Err(CallError::Decode { .. })));
    let image = Bytes::from(vec![7; 16 << 20]);
    stash.put("t", "k", &image).await.unwrap();
    assert_eq!(stash.get::<Bytes>("t", "k").await.unwrap(), Some(image));
    stash.put("t", "k", vec![1_u8, 2]).await.unwrap();
    assert_eq!(stash.get::<Vec<u8>>("t", "k").await.unwrap(), Some(vec![1, 2]));

    let keys: [StashKey; 5] = ["text".into(), 5.into(), false.into(), b"\x00".into(), ().into()];
    for (number, key) in keys.iter().enumerate() {
        stash.put("keys", key, number).await.unwrap();
    }
    assert_eq!(stash.keys("keys", None).await.unwrap(), keys);
    for (number, key) in keys.iter().enumerate() {
        assert_eq!(stash.get("keys", key).await.unwrap(), Some(number));
        assert!(stash.exists("keys", key).await.unwrap());
        assert!(stash.delete("keys", key).await.unwrap());
        assert!(!stash.exists("keys", key).await.unwrap());
    }
}

#[tokio::test]
async fn a_table_is_used_like_a_map() {
    let gunicorn = Gunicorn::start(&[]);
    let table = stash(&gunicorn).table("map");
    assert_eq!((table.name(), table.len().await.unwrap(), table.is_empty().await.unwrap()), ("map", 0, true));
    let expected: BTreeMap<String, i64> = (0..300).map(|i| (format!("k{i}"), i)).collect();
    for (key, value) in &expected {
        table.insert(key, value).await.unwrap();
    }
    assert_eq!(table.len().await.unwrap(), 300);
    assert!(table.contains("k7").await.unwrap() && !table.contains("k").await.unwrap());
    assert_eq!(table.get("k7").await.unwrap(), Some(7));
    let entries = table.stream::<i64>().map_ok(|(key, value)| (key.to_string(), value));
    assert_eq!(entries.try_collect::<BTreeMap<_, _>>().await.unwrap(), expected);
    let keys: Vec<String> = table.keys_stream().map(|key| key.unwrap().to_string()).collect().await;
    assert!(keys.iter().eq(expected.keys()));
    let some: Vec<_> = table.stream::<i64>().matching("k29?").map(|entry| entry.unwrap().1).collect().await;
    assert_eq!(some, (290..300).collect::<Vec<_>>());
    assert!(table.remove("k7").await.unwrap() && !table.remove("k7").await.unwrap());
    table.clear().await.unwrap();
    assert_eq!(table.stream::<i64>().count().await + table.keys_stream().count().await, 0);
}

#[tokio::test]
async fn an_entry_that_goes_during_the_walk_is_left_out() {
    let gunicorn = Gunicorn::start(&[]);
    let table = stash(&gunicorn).table("t");
    for key in 0..3 {
        table.insert(key, key).await.unwrap();
    }
    let mut entries = table.stream::<i64>();
    assert_eq!(entries.next().await.unwrap().unwrap(), (0.into(), 0));
    table.remove(1).await.unwrap();
    assert_eq!(entries.next().await.unwrap().unwrap(), (2.into(), 2));
    assert!(entries.next().await.is_none() && entries.next().await.is_none());
    // An entry of another type ends the walk.
    table.insert(0, "text").await.unwrap();
    let mut entries = table.stream::<i64>();
    assert!(matches!(entries.next().await, Some(Err(CallError::Decode { .. }))));
    assert!(entries.next().await.is_none());
}

#[tokio::test]
async fn python_apps_see_the_same_tables() {
    let gunicorn = Gunicorn::start(&[]);
    let client = client(&gunicorn);
    let stash = client.stash();
    assert!(client.execute::<bool>(APP, "stash_put", ("t", "k", value!({"n": 1}))).await.unwrap());
    assert_eq!(stash.get("t", "k").await.unwrap(), Some(value!({"n": 1})));
    stash.put("t", "n", 41).await.unwrap();
    assert_eq!(client.execute::<i64>(APP, "stash_incr", ("t", "n")).await.unwrap(), 42);
    assert_eq!(stash.get("t", "n").await.unwrap(), Some(42));
    assert!(!client.execute::<bool>(APP, "stash_exists", ("t", "nosuch")).await.unwrap());
}
