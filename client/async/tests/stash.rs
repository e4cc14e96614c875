//! Stash operations as frames, over a real socket.

#[path = "../../testing/arbiter.rs"]
mod arbiter;

use std::time::Duration;

use arbiter::{Arbiter, Peer, REQUEST, STASH, STATUS, dict, gunmetal_status, int, list, none, str};
use futures_util::TryStreamExt;
use futures_util::future::{join, join_all};
use gunmetal_client::{CallError, Client, ClientConfig, StashError, Value};

fn client(arbiter: &Arbiter) -> Client {
    Client::new(ClientConfig::new(arbiter.path()).with_call_timeout(Duration::from_secs(60)))
}

#[tokio::test]
async fn an_operation_is_one_frame_as_gunicorn_writes_it() {
    let arbiter = Arbiter::start(|peer, _| {
        peer.greet_as_gunmetal();
        let expected = [
            dict(&[("op", &int(1)), ("table", &str("t")), ("key", &str("k")), ("value", &int(7))]),
            dict(&[("op", &int(2)), ("table", &str("t")), ("key", &int(5))]),
            dict(&[("op", &int(4)), ("table", &str("t")), ("pattern", &str("a*"))]),
            dict(&[("op", &int(4)), ("table", &str("t"))]),
            dict(&[("op", &int(10)), ("table", &str("t")), ("key", &none())]),
            dict(&[("op", &int(9)), ("table", &str(""))]),
        ];
        let answers = [vec![1, 1], int(7), list(&[&str("ab")]), list(&[]), vec![1, 1], list(&[])];
        for (expected, answer) in expected.iter().zip(answers) {
            let request = peer.expect(STASH);
            assert_eq!(&request.payload, expected);
            peer.result(request.id, &answer);
        }
        peer.frame();
    });
    let stash = client(&arbiter).stash();
    stash.put("t", "k", 7).await.unwrap();
    assert_eq!(stash.get("t", 5).await.unwrap(), Some(7));
    assert_eq!(stash.keys("t", "a*").await.unwrap(), ["ab"]);
    assert!(stash.keys("t", None).await.unwrap().is_empty());
    assert!(stash.table_exists("t").await.unwrap());
    assert!(stash.tables().await.unwrap().is_empty());
}

#[tokio::test]
async fn operations_and_calls_overlap_on_one_connection() {
    let arbiter = Arbiter::start(|peer, _| {
        peer.greet_as_gunmetal();
        let mut requests: Vec<_> = (0..21).filter_map(|_| peer.frame()).collect();
        requests.reverse();
        for request in requests {
            let answer = if request.kind == REQUEST { int(-1) } else { int(request.payload.len() as i64) };
            peer.result(request.id, &answer);
        }
        peer.frame();
    });
    let client = client(&arbiter);
    let stash = client.stash();
    let gets = join_all((0..20_usize).map(|len| {
        let stash = &stash;
        async move { stash.fetch::<usize>("t", "k".repeat(len)).await.unwrap() - len }
    }));
    let (gets, call) = join(gets, client.execute::<i64>("a:B", "c", ())).await;
    assert!(gets.iter().all(|len| *len == gets[0]), "{gets:?}");
    assert_eq!((call.unwrap(), arbiter.connection_count()), (-1, 1));
}

#[tokio::test]
async fn a_table_is_read_part_by_part() {
    let arbiter = Arbiter::start(|peer, _| {
        peer.greet_as_gunmetal();
        let id = peer.expect(STATUS).id;
        peer.result(id, &gunmetal_status());
        for (cursor, next) in [(0, 9), (9, 0)] {
            let request = peer.expect(STASH);
            let expected = dict(&[
                ("op", &int(0x40)),
                ("table", &str("t")),
                ("cursor", &int(cursor)),
                ("count", &int(1000)),
                ("values", &[1, 1]),
            ]);
            assert_eq!(request.payload, expected);
            let entry = list(&[&int(cursor), &str("v")]);
            peer.result(request.id, &dict(&[("cursor", &int(next)), ("items", &list(&[&entry]))]));
        }
        peer.frame();
    });
    let entries: Vec<(_, String)> = client(&arbiter).stash().table("t").stream().try_collect().await.unwrap();
    assert_eq!(entries, [(0.into(), "v".into()), (9.into(), "v".into())]);
}

#[tokio::test]
async fn a_stash_that_is_full_says_so() {
    let arbiter = Arbiter::start(|peer, _| {
        peer.greet_as_gunmetal();
        let id = peer.expect(STASH).id;
        peer.error(id, "StashError", "over the limit", &[("used", &int(95)), ("limit", &int(100))]);
        peer.frame();
    });
    let error = client(&arbiter).stash().put("t", "k", 1).await.unwrap_err();
    assert!(matches!(error, CallError::Stash(StashError::Full { used: 95, limit: 100, .. })), "{error:?}");
}

/// Answers as gunicorn does what its arbiter does not know: a worker is asked, and says so.
fn knows_requests_only(peer: &mut Peer, _: usize) {
    while let Some(frame) = peer.frame() {
        match frame.kind {
            REQUEST => peer.result(frame.id, &int(1)),
            _ => peer.error(frame.id, "DirtyWorkerError", "Unknown message type: stash", &[]),
        }
    }
}

#[tokio::test]
async fn an_arbiter_without_a_stash_does_not_support_it() {
    let arbiter = Arbiter::start(knows_requests_only);
    let client = client(&arbiter);
    let stash = client.stash();
    let table = stash.table("t");
    let errors = [
        stash.put("t", "k", 1).await.unwrap_err(),
        stash.get::<Value>("t", "k").await.unwrap_err(),
        table.len().await.unwrap_err(),
        table.stream::<Value>().try_collect::<Vec<_>>().await.unwrap_err(),
        client.status().await.unwrap_err(),
    ];
    for error in errors {
        assert!(matches!(error, CallError::Unsupported { .. }), "{error:?}");
    }
    assert_eq!(client.execute::<i64>("a:B", "c", ()).await.unwrap(), 1);
}

/// gunicorn 25.0 takes our header for the length of a message and closes the connection.
#[tokio::test]
async fn an_arbiter_of_another_protocol_is_an_error_at_once() {
    let arbiter = Arbiter::start(|peer, _| drop(peer.socket.shutdown(std::net::Shutdown::Both)));
    let client = Client::new(ClientConfig::new(arbiter.path()).with_call_timeout(None));
    let error = client.stash().put("t", "k", 1).await.unwrap_err();
    assert!(matches!(error, CallError::Connection { .. }), "{error:?}");
}
