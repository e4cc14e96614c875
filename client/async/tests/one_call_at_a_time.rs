//! An arbiter that takes one call at a time on a connection and knows no CANCEL, as gunicorn's.

#[path = "../../testing/arbiter.rs"]
mod arbiter;

use std::sync::mpsc;
use std::time::Duration;

use arbiter::{Arbiter, REQUEST, int, str};
use futures_util::StreamExt;
use futures_util::future::join_all;
use gunmetal_client::{CallError, Client, ClientConfig};

fn client(arbiter: &Arbiter) -> Client {
    Client::new(ClientConfig::new(arbiter.path()).with_call_timeout(Duration::from_secs(60)))
}

#[tokio::test]
async fn calls_one_after_another_share_a_connection() {
    let arbiter = Arbiter::start(|peer, _| {
        peer.greet_as_gunicorn();
        while let Some(request) = peer.frame() {
            peer.result(request.id, &int(1));
        }
    });
    let client = client(&arbiter);
    for _ in 0..5 {
        assert_eq!(client.execute::<i64>("a:B", "c", ()).await.unwrap(), 1);
    }
    assert_eq!(arbiter.connection_count(), 1);
}

#[tokio::test]
async fn calls_at_the_same_time_have_a_connection_each() {
    let (arrivals, arrived) = mpsc::channel();
    let (go, gate) = mpsc::channel::<()>();
    let gate = std::sync::Mutex::new(gate);
    let arbiter = Arbiter::start(move |peer, number| {
        if number == 0 {
            peer.greet_as_gunicorn();
        }
        let id = peer.expect(REQUEST).id;
        arrivals.send(()).unwrap();
        gate.lock().unwrap().recv().unwrap();
        peer.result(id, &int(1));
        peer.frame();
    });
    // All four have arrived before one is answered.
    std::thread::spawn(move || {
        (0..4).for_each(|_| arrived.recv().unwrap());
        (0..4).for_each(|_| go.send(()).unwrap());
    });
    let client = client(&arbiter);
    let results = join_all((0..4).map(|_| client.execute::<i64>("a:B", "c", ()))).await;
    assert!(results.into_iter().all(|result| result.unwrap() == 1));
    assert_eq!(arbiter.connection_count(), 4);
}

#[tokio::test]
async fn a_dropped_call_closes_its_connection() {
    let (events, happened) = mpsc::channel();
    let arbiter = Arbiter::start(move |peer, number| {
        if number == 0 {
            peer.greet_as_gunicorn();
            peer.expect(REQUEST);
            events.send(true).unwrap();
            events.send(peer.is_closed_by_client()).unwrap();
        } else {
            let id = peer.expect(REQUEST).id;
            peer.result(id, &int(2));
            peer.frame();
        }
    });
    let client = client(&arbiter);
    let call = tokio::spawn({
        let client = client.clone();
        async move { client.execute::<i64>("a:B", "slow", ()).await }
    });
    let happened = tokio::task::spawn_blocking(move || {
        happened.recv().unwrap();
        happened
    })
    .await
    .unwrap();
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    assert!(happened.recv().unwrap());
    assert_eq!(client.execute::<i64>("a:B", "c", ()).await.unwrap(), 2);
}

#[tokio::test]
async fn a_call_that_runs_out_of_time_closes_its_connection() {
    let (closings, closed) = mpsc::channel();
    let arbiter = Arbiter::start(move |peer, _| {
        peer.greet_as_gunicorn();
        let id = peer.expect(REQUEST).id;
        peer.result(id, &int(1));
        peer.expect(REQUEST);
        closings.send(peer.is_closed_by_client()).unwrap();
    });
    let client = client(&arbiter);
    client.execute::<i64>("a:B", "c", ()).await.unwrap();
    tokio::time::pause();
    let error = client.execute::<i64>("a:B", "slow", ()).await.unwrap_err();
    assert!(matches!(error, CallError::Timeout { .. }), "{error:?}");
    assert!(closed.recv().unwrap());
}

#[tokio::test]
async fn executing_an_action_that_streams_says_so_and_the_next_call_works() {
    let arbiter = Arbiter::start(|peer, number| {
        if number == 0 {
            peer.greet_as_gunicorn();
            let id = peer.expect(REQUEST).id;
            peer.chunk(id, &int(1));
            assert!(peer.is_closed_by_client());
        } else {
            let id = peer.expect(REQUEST).id;
            peer.result(id, &int(3));
            peer.frame();
        }
    });
    let client = client(&arbiter);
    let error = client.execute::<i64>("a:B", "tokens", ()).await.unwrap_err();
    assert!(matches!(error, CallError::Streams { .. }), "{error:?}");
    assert_eq!(client.execute::<i64>("a:B", "one", ()).await.unwrap(), 3);
}

#[tokio::test]
async fn a_stream_and_a_call_take_turns_on_a_connection() {
    let arbiter = Arbiter::start(|peer, _| {
        peer.greet_as_gunicorn();
        let id = peer.expect(REQUEST).id;
        peer.result(id, &int(1));
        let id = peer.expect(REQUEST).id;
        peer.chunk(id, &int(2));
        peer.end(id);
        let id = peer.expect(REQUEST).id;
        peer.result(id, &int(3));
        peer.frame();
    });
    let client = client(&arbiter);
    assert_eq!(client.execute::<i64>("a:B", "c", ()).await.unwrap(), 1);
    assert_eq!(client.stream::<i64>("a:B", "s", ()).map(Result::unwrap).collect::<Vec<_>>().await, [2]);
    assert_eq!(client.execute::<i64>("a:B", "c", ()).await.unwrap(), 3);
    assert_eq!(arbiter.connection_count(), 1);
}

#[tokio::test]
async fn a_successor_of_another_kind_is_asked_again() {
    let arbiter = Arbiter::start(|peer, _| {
        peer.greet_as_gunicorn();
        let id = peer.expect(REQUEST).id;
        peer.result(id, &int(1));
    });
    let client = client(&arbiter);
    assert_eq!(client.execute::<i64>("a:B", "c", ()).await.unwrap(), 1);
    let path = arbiter.path();
    std::fs::remove_file(&path).unwrap();
    client.execute::<i64>("a:B", "c", ()).await.unwrap_err();
    arbiter.listen(|peer, _| {
        peer.greet_as_gunmetal();
        while let Some(request) = peer.frame() {
            peer.result(request.id, &str("ours"));
        }
    });
    for _ in 0..2 {
        assert_eq!(client.execute::<String>("a:B", "c", ()).await.unwrap(), "ours");
    }
    // One of gunicorn, one of ours; the attempt in between found nobody.
    assert_eq!(arbiter.connection_count(), 2);
}

#[tokio::test]
async fn an_arbiter_that_refuses_status_is_spoken_to_in_the_plainest_way() {
    let arbiter = Arbiter::start(|peer, _| {
        let id = peer.expect(arbiter::STATUS).id;
        peer.error(id, "DirtyError", "unknown message type", &[]);
        let id = peer.expect(REQUEST).id;
        peer.result(id, &int(1));
        peer.frame();
    });
    assert_eq!(client(&arbiter).execute::<i64>("a:B", "c", ()).await.unwrap(), 1);
}
