//! What goes wrong on a shared connection, over a real socket.

#[path = "../../testing/arbiter.rs"]
mod arbiter;

use std::sync::mpsc;
use std::time::Duration;

use arbiter::{Arbiter, REQUEST, dict, int, raw, str};
use gunmetal_client::{CallError, Client, ClientConfig, Value, args};

/// A client that waits long enough for a test never to depend on it.
fn client(arbiter: &Arbiter) -> Client {
    Client::new(ClientConfig::new(arbiter.path()).with_call_timeout(Duration::from_secs(60)))
}

#[tokio::test]
async fn a_dead_arbiter_fails_every_call_in_flight_and_the_next_call_reconnects() {
    let arbiter = Arbiter::start(|peer, number| {
        peer.greet_as_gunmetal();
        if number == 0 {
            for _ in 0..3 {
                peer.expect(REQUEST);
            }
            return;
        }
        let id = peer.expect(REQUEST).id;
        peer.result(id, &int(9));
        peer.frame();
    });
    let client = client(&arbiter);
    let calls = (0..3).map(|_| client.execute::<i64>("a:B", "c", ()));
    for result in futures_util::future::join_all(calls).await {
        let error = result.unwrap_err();
        assert!(matches!(error, CallError::Connection { request_sent: true, .. }), "{error:?}");
        assert!(!error.is_retry_safe());
    }
    assert_eq!(client.execute::<i64>("a:B", "c", ()).await.unwrap(), 9);
}

#[tokio::test]
async fn a_connection_closed_while_idle_costs_no_call() {
    let (closing, closed) = mpsc::channel();
    let arbiter = Arbiter::start(move |peer, number| {
        peer.greet_as_gunmetal();
        let id = peer.expect(REQUEST).id;
        peer.result(id, &int(number.try_into().unwrap()));
        if number == 0 {
            peer.socket.shutdown(std::net::Shutdown::Both).unwrap();
            closing.send(()).unwrap();
        } else {
            peer.frame();
        }
    });
    let client = client(&arbiter);
    assert_eq!(client.execute::<i64>("a:B", "c", ()).await.unwrap(), 0);
    // Blocks the runtime, so that the client cannot notice before it calls again.
    closed.recv().unwrap();
    assert_eq!(client.execute::<i64>("a:B", "c", ()).await.unwrap(), 1);
}

#[tokio::test]
async fn garbage_ends_the_connection_with_a_protocol_error() {
    let arbiter = Arbiter::start(|peer, _| {
        peer.greet_as_gunmetal();
        peer.expect(REQUEST);
        std::io::Write::write_all(&mut peer.socket, b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        assert!(peer.is_closed_by_client());
    });
    let error = client(&arbiter).execute::<Value>("a:B", "c", ()).await.unwrap_err();
    assert!(matches!(error, CallError::Protocol { .. }), "{error:?}");
}

#[tokio::test]
async fn a_broken_payload_in_a_whole_frame_ends_only_its_call() {
    let arbiter = Arbiter::start(|peer, _| {
        peer.greet_as_gunmetal();
        let broken = peer.expect(REQUEST).id;
        peer.send(arbiter::RESPONSE, broken, &[0x21, 0, 0, 0, 9]);
        let mistyped = peer.expect(REQUEST).id;
        peer.result(mistyped, &str("not a number"));
        let next = peer.expect(REQUEST).id;
        peer.result(next, &int(3));
        peer.frame();
    });
    let client = client(&arbiter);
    let error = client.execute::<i64>("a:B", "c", ()).await.unwrap_err();
    assert!(matches!(error, CallError::Protocol { .. }), "{error:?}");
    let error = client.execute::<i64>("a:B", "c", ()).await.unwrap_err();
    assert!(matches!(error, CallError::Decode { .. }), "{error:?}");
    assert_eq!(client.execute::<i64>("a:B", "c", ()).await.unwrap(), 3);
    assert_eq!(arbiter.connection_count(), 1);
}

#[tokio::test]
async fn what_the_arbiter_said_before_it_closed_is_told() {
    let arbiter = Arbiter::start(|peer, _| {
        peer.greet_as_gunmetal();
        peer.expect(REQUEST);
        peer.error(0, "DirtyProtocolError", "too many connections", &[]);
    });
    let error = client(&arbiter).execute::<Value>("a:B", "c", ()).await.unwrap_err();
    assert!(error.to_string().contains("too many connections"), "{error}");
}

#[tokio::test]
async fn a_reply_may_come_byte_by_byte() {
    let arbiter = Arbiter::start(|peer, _| {
        peer.greet_as_gunmetal();
        let id = peer.expect(REQUEST).id;
        for byte in raw(arbiter::RESPONSE, id, &dict(&[("result", &str("whole"))])) {
            std::io::Write::write_all(&mut peer.socket, &[byte]).unwrap();
            std::thread::yield_now();
        }
        peer.frame();
    });
    assert_eq!(client(&arbiter).execute::<String>("a:B", "c", ()).await.unwrap(), "whole");
}

#[tokio::test]
async fn nobody_listening_is_a_connection_error_naming_the_path() {
    let directory = tempfile::tempdir().unwrap();
    for path in [Arbiter::nobody(directory.path()), directory.path().join("missing.sock")] {
        let error = Client::at(&path).execute::<Value>("a:B", "c", ()).await.unwrap_err();
        assert!(error.is_retry_safe(), "{error:?}");
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    }
}

#[test]
fn a_client_outlives_the_runtime_that_connected_it() {
    let arbiter = Arbiter::start(|peer, number| {
        peer.greet_as_gunmetal();
        while let Some(request) = peer.frame() {
            peer.result(request.id, &int(number.try_into().unwrap()));
        }
    });
    let client = client(&arbiter);
    for number in 0..3_i64 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        assert_eq!(runtime.block_on(client.execute::<i64>("a:B", "c", ())).unwrap(), number);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_socket_delays_calls_and_loses_none() {
    let (go, gate) = mpsc::channel::<()>();
    let gate = std::sync::Mutex::new(gate);
    let arbiter = Arbiter::start(move |peer, _| {
        peer.greet_as_gunmetal();
        gate.lock().unwrap().recv().unwrap();
        while let Some(request) = peer.frame() {
            peer.result(request.id, &int(request.payload.len().try_into().unwrap()));
        }
    });
    let client = client(&arbiter);
    let calls: Vec<_> = (0..40_usize)
        .map(|number| {
            let client = client.clone();
            // Linked and copied ones, more in all than any socket holds.
            let photo = gunmetal_client::Bytes::from(vec![1; 1000 + number * 20_000]);
            let len = i64::try_from(photo.len()).unwrap();
            tokio::spawn(async move {
                let told: i64 = client.execute("a:B", "len", args![photo]).await.unwrap();
                told - len
            })
        })
        .collect();
    // One more, dropped while its bytes are on the way or wait to be.
    let dropped = client.call("a:B", "len").args(args![vec![1; 500_000]]).timeout(Duration::from_millis(20));
    assert!(matches!(dropped.execute::<i64>().await, Err(CallError::Timeout { .. })));
    go.send(()).unwrap();
    let mut overheads = Vec::new();
    for call in calls {
        overheads.push(call.await.unwrap());
    }
    assert!(overheads.iter().all(|overhead| *overhead == overheads[0]), "{overheads:?}");
}

#[tokio::test]
async fn an_arbiter_that_never_answers_fails_all_who_wait_for_the_connection_at_once() {
    let arbiter = Arbiter::start(|peer, _| while peer.frame().is_some() {});
    let config = ClientConfig::new(arbiter.path()).with_connect_timeout(Duration::from_millis(100));
    let client = Client::new(config);
    let results =
        futures_util::future::join_all((0..50).map(|_| client.execute::<i64>("a:B", "c", ()))).await;
    for result in results {
        let error = result.unwrap_err();
        assert!(matches!(error, CallError::Connection { request_sent: false, .. }), "{error:?}");
    }
    assert_eq!(arbiter.connection_count(), 1);
}

#[tokio::test]
async fn a_router_that_dies_before_it_greets_costs_no_call() {
    let arbiter = Arbiter::start(|peer, number| {
        if number == 0 {
            peer.expect(arbiter::STATUS);
            return;
        }
        peer.greet_as_gunmetal();
        let id = peer.expect(REQUEST).id;
        peer.result(id, &int(1));
        peer.frame();
    });
    assert_eq!(client(&arbiter).execute::<i64>("a:B", "c", ()).await.unwrap(), 1);
}
