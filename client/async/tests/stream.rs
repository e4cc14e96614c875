//! Calls of actions that stream, over a real socket.

#[path = "../../testing/arbiter.rs"]
mod arbiter;

use std::sync::mpsc;
use std::time::Duration;

use arbiter::{Arbiter, REQUEST, int, str};
use futures_util::StreamExt;
use gunmetal_client::{Bytes, CallError, Client, ClientConfig, args};

fn client(arbiter: &Arbiter) -> Client {
    Client::new(ClientConfig::new(arbiter.path()).with_idle_timeout(Duration::from_secs(60)))
}

#[tokio::test]
async fn chunks_come_in_order_and_the_connection_serves_again() {
    let arbiter = Arbiter::start(|peer, _| {
        while let Some(request) = peer.frame() {
            (0..100).for_each(|number| peer.chunk(request.id, &int(number)));
            peer.end(request.id);
        }
    });
    let client = client(&arbiter);
    for _ in 0..3 {
        let mut stream = client.stream::<i64>("a:B", "count", ());
        let numbers: Vec<i64> = stream.by_ref().map(Result::unwrap).collect().await;
        assert_eq!(numbers, (0..100).collect::<Vec<_>>());
        assert!(stream.next().await.is_none());
    }
    assert_eq!(arbiter.connection_count(), 1);
}

#[tokio::test]
async fn streams_beside_each_other_have_connections_of_their_own() {
    let arbiter = Arbiter::start(|peer, _| {
        let id = peer.expect(REQUEST).id;
        (0..1000).for_each(|number| peer.chunk(id, &int(number)));
        peer.end(id);
        peer.frame();
    });
    let client = client(&arbiter);
    let mut idle = client.stream::<i64>("a:B", "count", ());
    assert_eq!(idle.next().await.unwrap().unwrap(), 0);
    // The reader of the first one pauses; the second does not notice.
    assert_eq!(client.stream::<i64>("a:B", "count", ()).count().await, 1000);
    assert_eq!(idle.count().await, 999);
    assert_eq!(arbiter.connection_count(), 2);
}

#[tokio::test]
async fn an_action_that_does_not_stream_yields_its_one_result() {
    let arbiter = Arbiter::start(|peer, _| {
        while let Some(request) = peer.frame() {
            peer.result(request.id, &str("one"));
        }
    });
    let stream = client(&arbiter).stream::<String>("a:B", "c", ());
    assert_eq!(stream.map(Result::unwrap).collect::<Vec<_>>().await, ["one"]);
}

#[tokio::test]
async fn an_error_in_a_stream_is_its_last_item_and_names_app_and_action() {
    let arbiter = Arbiter::start(|peer, _| {
        let id = peer.expect(REQUEST).id;
        peer.chunk(id, &int(1));
        peer.error(id, "DirtyAppError", "boom", &[("traceback", &str("tb"))]);
        let id = peer.expect(REQUEST).id;
        peer.end(id);
        peer.frame();
    });
    let client = client(&arbiter);
    let mut stream = client.stream::<i64>("a:B", "c", ());
    assert_eq!(stream.next().await.unwrap().unwrap(), 1);
    let error = stream.next().await.unwrap().unwrap_err();
    assert!(matches!(&error, CallError::App { app_path, action, .. } if app_path == "a:B" && action == "c"));
    assert!(stream.next().await.is_none());
    assert_eq!(client.stream::<i64>("a:B", "c", ()).count().await, 0);
    assert_eq!(arbiter.connection_count(), 1);
}

#[tokio::test]
async fn dropping_a_stream_closes_its_connection() {
    let (closings, closed) = mpsc::channel();
    let arbiter = Arbiter::start(move |peer, _| {
        let id = peer.expect(REQUEST).id;
        peer.chunk(id, &int(1));
        closings.send(peer.is_closed_by_client()).unwrap();
    });
    let mut stream = client(&arbiter).stream::<i64>("a:B", "c", ());
    assert_eq!(stream.next().await.unwrap().unwrap(), 1);
    drop(stream);
    assert!(closed.recv().unwrap());
}

#[tokio::test]
async fn a_chunk_of_another_type_ends_the_stream() {
    let arbiter = Arbiter::start(|peer, _| {
        let id = peer.expect(REQUEST).id;
        peer.chunk(id, &str("not a number"));
        assert!(peer.is_closed_by_client());
    });
    let mut stream = client(&arbiter).stream::<i64>("a:B", "c", ());
    let error = stream.next().await.unwrap().unwrap_err();
    assert!(matches!(error, CallError::Decode { .. }), "{error:?}");
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn a_stream_that_falls_silent_times_out() {
    let arbiter = Arbiter::start(|peer, _| {
        let id = peer.expect(REQUEST).id;
        peer.chunk(id, &int(1));
        peer.frame();
    });
    let client = client(&arbiter);
    let idle_limit = Duration::from_secs(20);
    let mut stream = client.call("a:B", "c").idle_timeout(idle_limit).stream::<i64>();
    assert_eq!(stream.next().await.unwrap().unwrap(), 1);
    tokio::time::pause();
    let begin = tokio::time::Instant::now();
    let error = stream.next().await.unwrap().unwrap_err();
    assert!(begin.elapsed() >= idle_limit - Duration::from_secs(1), "{:?}", begin.elapsed());
    assert!(
        matches!(error, CallError::Timeout { timeout: Some(limit), .. } if limit == idle_limit),
        "{error:?}"
    );
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn a_stream_that_never_ends_is_over_at_its_deadline() {
    let arbiter = Arbiter::start(|peer, _| {
        let id = peer.expect(REQUEST).id;
        while !peer.is_gone() {
            peer.chunk(id, &int(1));
        }
    });
    let client = client(&arbiter);
    let limit = Duration::from_millis(50);
    let stream = client.call("a:B", "c").timeout(limit).stream::<i64>();
    let results = stream.map(Result::err).filter_map(std::future::ready).collect::<Vec<_>>().await;
    assert!(matches!(&results[..], [CallError::Timeout { timeout: Some(told), .. }] if *told == limit));
}

#[tokio::test]
async fn an_arbiter_that_dies_ends_the_stream_with_a_connection_error() {
    let arbiter = Arbiter::start(|peer, _| {
        let id = peer.expect(REQUEST).id;
        peer.chunk(id, &int(1));
    });
    let mut stream = client(&arbiter).stream::<i64>("a:B", "c", ());
    assert_eq!(stream.next().await.unwrap().unwrap(), 1);
    let error = stream.next().await.unwrap().unwrap_err();
    assert!(matches!(error, CallError::Connection { request_sent: true, .. }), "{error:?}");
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn an_idle_connection_that_was_closed_costs_no_stream() {
    let (closing, closed) = mpsc::channel();
    let arbiter = Arbiter::start(move |peer, _| {
        let id = peer.expect(REQUEST).id;
        peer.end(id);
        peer.socket.shutdown(std::net::Shutdown::Both).unwrap();
        closing.send(()).unwrap();
    });
    let client = client(&arbiter);
    for _ in 0..3 {
        assert_eq!(client.stream::<i64>("a:B", "c", ()).count().await, 0);
        // Blocks the runtime, so that the client cannot notice before it calls again.
        closed.recv().unwrap();
    }
}

#[tokio::test]
async fn large_chunks_and_large_arguments_travel_whole() {
    let arbiter = Arbiter::start(|peer, _| {
        let request = peer.expect(REQUEST);
        for _ in 0..3 {
            peer.chunk(request.id, &arbiter::bytes(&vec![0xab; request.payload.len()]));
            peer.chunk(request.id, &arbiter::bytes(b"small"));
        }
        peer.end(request.id);
        peer.frame();
    });
    let photo = Bytes::from(vec![1; 9 << 20]);
    let stream = client(&arbiter).stream::<Bytes>("a:B", "c", args![photo.clone()]);
    let lens: Vec<usize> = stream.map(|chunk| chunk.unwrap().len()).collect().await;
    assert_eq!(lens.len(), 6);
    assert!(lens.iter().step_by(2).all(|&len| len > photo.len()), "{lens:?}");
}
