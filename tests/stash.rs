//! The stash of a real service: both clients, from outside and from inside apps.

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod support;

use std::collections::HashSet;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::thread;

use futures_util::TryStreamExt;
use gunmetal::blocking::{CallError, Client, ClientConfig};
use gunmetal::stash::{StashError, StashKey};
use gunmetal::{Bytes, Value, value};
use serde::{Deserialize, Serialize};
use support::Service;
use support::probe::{APP, client, probe, worker_pids};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Session {
    user: String,
    visits: u32,
    #[serde(with = "gunmetal::protocol::shared_bytes")]
    picture: Bytes,
}

fn async_client(service: &Service) -> gunmetal::client::Client {
    gunmetal::client::Client::at(service.socket())
}

#[test]
fn every_operation_does_what_it_says() {
    let service = probe(1, &["--dirty-app", APP]);
    let stash = client(&service).stash();
    stash.put("t", "a", 1).unwrap();
    stash.put("t", "a", 2).unwrap();
    assert_eq!(stash.get("t", "a").unwrap(), Some(2));
    assert_eq!(stash.get::<i64>("t", "b").unwrap(), None);
    assert_eq!(stash.get::<i64>("nosuch", "b").unwrap(), None);
    assert_eq!(stash.get_or("t", "b", 7).unwrap(), 7);
    assert!(stash.exists("t", "a").unwrap() && !stash.exists("t", "b").unwrap());
    assert!(stash.table_exists("t").unwrap() && !stash.table_exists("u").unwrap());
    stash.ensure("u").unwrap();
    assert_eq!(stash.tables().unwrap(), ["t", "u"]);
    let info = stash.info("t").unwrap();
    assert_eq!((info.size, &*info.table), (1, "t"));
    assert!(info.bytes.unwrap() > 0);
    for key in ["user:1", "user:2", "b:1"] {
        stash.put("u", key, ()).unwrap();
    }
    assert_eq!(stash.keys("u", None).unwrap(), ["user:1", "user:2", "b:1"]);
    assert_eq!(stash.keys("u", "user:[!1]").unwrap(), ["user:2"]);
    assert!(stash.keys("nosuch", None).unwrap().is_empty());
    assert!(stash.delete("t", "a").unwrap() && !stash.delete("t", "a").unwrap());
    stash.clear("u").unwrap();
    assert_eq!(stash.table("u").len().unwrap(), 0);
    assert!(stash.delete_table("t").unwrap() && !stash.delete_table("t").unwrap());

    let error = stash.fetch::<i64>("u", 7).unwrap_err();
    assert!(
        matches!(&error, CallError::Stash(StashError::KeyNotFound { table, key }) if table == "u" && *key == 7),
        "{error:?}"
    );
    let error = stash.info("nosuch").unwrap_err();
    assert!(matches!(error, CallError::Stash(StashError::TableNotFound { .. })), "{error:?}");
    assert_eq!(stash.table("nosuch").len().unwrap(), 0);
}

#[tokio::test]
async fn values_and_keys_of_every_kind_come_back_to_both_clients() {
    let service = probe(1, &[]);
    let (blocking, stash) = (client(&service).stash(), async_client(&service).stash());
    let session = Session { user: "eve".into(), visits: 3, picture: Bytes::from(vec![7; 16 << 20]) };
    stash.put("t", "session", &session).await.unwrap();
    assert_eq!(blocking.get("t", "session").unwrap(), Some(session));
    blocking.put("t", "error", value!({"error": "key_not_found"})).unwrap();
    assert_eq!(stash.get("t", "error").await.unwrap(), Some(value!({"error": "key_not_found"})));
    let error = stash.get::<i64>("t", "error").await.unwrap_err();
    assert!(matches!(error, CallError::Decode { .. }), "{error:?}");

    let keys: [StashKey; 5] = ["text".into(), 5.into(), false.into(), b"\x00".into(), ().into()];
    for (number, key) in keys.iter().enumerate() {
        stash.put("keys", key, number).await.unwrap();
        assert!(stash.exists("keys", key).await.unwrap());
    }
    assert_eq!(stash.keys("keys", None).await.unwrap(), keys);
    let entries: Vec<(StashKey, usize)> = stash.table("keys").stream().try_collect().await.unwrap();
    assert!(entries.into_iter().eq(keys.into_iter().zip(0..)));
    // As in a Python dict.
    assert_eq!(stash.get("keys", 0).await.unwrap(), Some(2));
    let error = stash.put("t", "k", u64::MAX).await.unwrap_err();
    assert!(matches!(error, CallError::Encode { .. }), "{error:?}");
}

#[tokio::test]
async fn an_operation_that_its_caller_drops_disturbs_no_other() {
    let service = probe(1, &[]);
    let stash = async_client(&service).stash();
    let large = Bytes::from(vec![7; 1 << 20]);
    for round in 0..200 {
        // Polled once: the request has left, or waits for room in the socket.
        let mut put = Box::pin(stash.put("t", "dropped", &large));
        assert!(poll_fn(|cx| Poll::Ready(put.as_mut().poll(cx))).await.is_pending());
        drop(put);
        stash.put("t", round, round).await.unwrap();
        assert_eq!(stash.get("t", round).await.unwrap(), Some(round));
    }
    assert_eq!(stash.table("t").len().await.unwrap(), 201);
}

/// Entries that are there all the while come once, whatever is put and deleted around them.
#[test]
fn a_walk_over_a_table_that_changes_brings_what_stays() {
    let service = probe(1, &[]);
    let table = client(&service).stash().table("t");
    for number in 0..10_000 {
        table.insert(number, "x".repeat(200)).unwrap();
    }
    let done = AtomicBool::new(false);
    let (blocking, writer) = (client(&service).stash().table("t"), table.clone());
    let stays = |number: i64| (0..10_000).contains(&number) && number % 3 != 0;
    let check = |walked: Vec<i64>| {
        let distinct: HashSet<i64> = walked.iter().copied().collect();
        assert_eq!(distinct.len(), walked.len(), "an entry came twice");
        let staying = (0..10_000).filter(|number| stays(*number)).filter(|number| !distinct.contains(number));
        assert_eq!(staying.count(), 0, "entries were left out");
    };
    let asynchronous = async_client(&service).stash().table("t");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0.. {
                if done.load(Ordering::Relaxed) {
                    break;
                }
                // Every third of the first entries goes and comes again, as do others behind them.
                let third = (round % 3334) * 3;
                match (round / 3334) % 2 {
                    0 => drop(writer.remove(third).unwrap()),
                    _ => writer.insert(third, round).unwrap(),
                }
                writer.insert(20_000 + round, round).unwrap();
                writer.remove(20_000 + round - 50).unwrap();
            }
        });
        // Also if a check fails: the writer must end for the scope to.
        let walks = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for _ in 0..3 {
                check(blocking.keys_iter().map(|key| key.unwrap().as_int().unwrap()).collect());
                check(blocking.iter::<Value>().map(|entry| entry.unwrap().0.as_int().unwrap()).collect());
            }
            let walk = asynchronous.stream::<Value>().map_ok(|(key, _)| key.as_int().unwrap());
            check(runtime.block_on(walk.try_collect()).unwrap());
        }));
        done.store(true, Ordering::Relaxed);
        walks.unwrap();
    });
}

#[test]
fn apps_use_the_tables_that_their_callers_see() {
    let service = probe(2, &[]);
    let client = client(&service);
    let stash = client.stash();
    assert!(client.execute::<bool>(APP, "stash_put", ("t", "k", value!({"n": 1}))).unwrap());
    assert_eq!(stash.get("t", "k").unwrap(), Some(value!({"n": 1})));
    assert_eq!(client.execute::<Value>(APP, "stash_get", ("t", "k")).unwrap(), value!({"n": 1}));
    assert_eq!(client.execute::<Value>(APP, "stash_get", ("t", "nosuch")).unwrap(), Value::None);
    assert_eq!(client.execute::<i64>(APP, "stash_get", ("t", "nosuch", 5)).unwrap(), 5);
    for (arguments, exists) in [(value!(["t"]), true), (value!(["u"]), false), (value!(["t", "k"]), true)] {
        let Value::List(arguments) = arguments else { unreachable!() };
        let found: bool = client.execute(APP, "stash_exists", arguments.into_vec()).unwrap();
        assert_eq!(found, exists);
    }
    assert!(!client.execute::<bool>(APP, "stash_exists", ("t", "nosuch")).unwrap());
    assert_eq!(client.execute::<i64>(APP, "stash_incr", ("t", "n")).unwrap(), 1);
    assert_eq!(client.execute::<i64>(APP, "stash_incr", ("t", "n", 41)).unwrap(), 42);
    for op in ["put", "get", "incr"] {
        assert!(client.execute::<f64>(APP, "stash_loop", (op, 20, 100)).unwrap() > 0.0);
    }
    assert_eq!(stash.get("stash_loop", "count").unwrap(), Some(20));
    assert_eq!(stash.get("stash_loop", "key").unwrap(), Some(Bytes::from(vec![b'x'; 100])));
    let error = client.execute::<f64>(APP, "stash_loop", ("pop", 1, 1)).unwrap_err();
    assert!(matches!(error, CallError::App { .. }), "{error:?}");
}

#[test]
fn a_full_stash_refuses_puts_and_keeps_what_it_has() {
    let service = probe(1, &["--dirty-stash-limit", "2M"]);
    let stash = client(&service).stash();
    let image = Bytes::from(vec![7; 300_000]);
    let full = (0..).find_map(|key| stash.put("images", key, &image).err().map(|error| (key, error)));
    let (count, error) = full.unwrap();
    let CallError::Stash(StashError::Full { used, limit, .. }) = error else { panic!("{error:?}") };
    assert!(limit == 2 << 20 && used <= limit, "{used} of {limit}");
    assert!(error.to_string().contains("dirty_stash_limit"), "{error}");
    assert_eq!(stash.table("images").len().unwrap(), count as u64);
    assert_eq!(stash.get("images", 0).unwrap(), Some(image.clone()));
    // What is removed makes room.
    assert!(stash.delete("images", 0).unwrap());
    stash.put("images", count, &image).unwrap();
}

#[test]
fn tables_outlive_workers_and_reloads_and_declared_ones_are_there_from_the_start() {
    let service = probe(2, &[]);
    let client = client(&service);
    let stash = client.stash();
    assert_eq!(stash.tables().unwrap(), ["declared_one", "declared_two"]);
    stash.put("declared_one", "k", 1).unwrap();
    stash.put("t", "k", 2).unwrap();
    let before = worker_pids(&client);
    client.execute::<Value>(APP, "crash", ()).unwrap_err();
    service.wait_for("another worker", || {
        let now = worker_pids(&client);
        (now.len() == 2 && now != before).then_some(())
    });
    let before = worker_pids(&client);
    service.signal(libc::SIGHUP);
    service.wait_for("other workers", || {
        let now = worker_pids(&client);
        (now.len() == 2 && now.iter().all(|pid| !before.contains(pid))).then_some(())
    });
    assert_eq!(stash.tables().unwrap(), ["declared_one", "declared_two", "t"]);
    assert_eq!((stash.get("declared_one", "k").unwrap(), stash.get("t", "k").unwrap()), (Some(1), Some(2)));
}

/// Tables live in the router: what it had is gone with it, and clients go on with empty ones.
#[test]
fn with_the_router_the_tables_are_lost_and_declared_ones_come_back_empty() {
    let service = probe(1, &[]);
    let stash = client(&service).stash();
    stash.put("declared_one", "k", 1).unwrap();
    stash.put("t", "k", 2).unwrap();
    let router = service.process("gunmetal: router");
    support::kill(router.pid, libc::SIGKILL);
    service.wait_for("another router", || {
        service.processes("gunmetal: router").into_iter().find(|process| process.pid != router.pid)
    });
    let tables = service.wait_for("the stash", || stash.tables().ok());
    assert_eq!(tables, ["declared_one", "declared_two"]);
    assert_eq!(stash.get::<i64>("declared_one", "k").unwrap(), None);
    stash.put("t", "k", 3).unwrap();
    assert_eq!(stash.get("t", "k").unwrap(), Some(3));
}

#[test]
fn an_example_keeps_its_results_for_all_its_processes() {
    let flags = ["--dirty-only", "--dirty-socket", "dirty.sock", "--dirty-workers", "2"];
    let service = Service::start("stash", &flags, &[]);
    let config = ClientConfig::new(service.socket());
    service.wait_for("the service", || Client::new(config.clone()).status().ok());
    let client = Client::new(config);
    let stash = client.stash();
    assert_eq!(stash.tables().unwrap(), ["factors"]);
    // Put by the first worker's `init`.
    let of_one: Vec<i64> = service.wait_for("the first entry", || stash.get("factors", 1).unwrap());
    assert!(of_one.is_empty());
    let factors: Vec<i64> = client.execute("factors:Factors", "of", (84,)).unwrap();
    assert_eq!(factors, [2, 2, 3, 7]);
    assert_eq!(stash.get("factors", 84).unwrap(), Some(factors));
    stash.put("factors", 13, &vec![13]).unwrap();
    let below: Vec<i64> = client.execute("factors:Factors", "below", (50,)).unwrap();
    assert_eq!(below, [1, 13]);
}
