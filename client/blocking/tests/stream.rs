//! Calls of actions that stream, over a real socket.

#[path = "../../testing/arbiter.rs"]
mod arbiter;

use std::sync::mpsc;
use std::time::Duration;

use arbiter::{Arbiter, REQUEST, int, str};
use gunmetal_client_blocking::{CallError, Client, ClientConfig};

fn client(arbiter: &Arbiter) -> Client {
    let config = ClientConfig::new(arbiter.path());
    Client::new(config.with_idle_timeout(Duration::from_secs(60)).with_call_timeout(Duration::from_secs(60)))
}

#[test]
fn chunks_come_in_order_and_the_connection_serves_again() {
    let arbiter = Arbiter::start(|peer, _| {
        while let Some(request) = peer.frame() {
            (0..100).for_each(|number| peer.chunk(request.id, &int(number)));
            peer.end(request.id);
        }
    });
    let client = client(&arbiter);
    for _ in 0..3 {
        let mut stream = client.stream::<i64>("a:B", "count", ());
        let numbers: Result<Vec<i64>, CallError> = stream.by_ref().collect();
        assert_eq!(numbers.unwrap(), (0..100).collect::<Vec<_>>());
        assert!(stream.next().is_none());
    }
    assert_eq!(arbiter.connection_count(), 1);
}

#[test]
fn an_action_that_does_not_stream_yields_its_one_result() {
    let arbiter = Arbiter::start(|peer, _| {
        while let Some(request) = peer.frame() {
            peer.result(request.id, &str("one"));
        }
    });
    let results: Vec<_> = client(&arbiter).stream::<String>("a:B", "c", ()).map(Result::unwrap).collect();
    assert_eq!(results, ["one"]);
}

#[test]
fn an_error_in_a_stream_is_its_last_item_and_names_app_and_action() {
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
    assert_eq!(stream.next().unwrap().unwrap(), 1);
    let error = stream.next().unwrap().unwrap_err();
    assert!(matches!(&error, CallError::App { app_path, action, .. } if app_path == "a:B" && action == "c"));
    assert!(stream.next().is_none());
    assert_eq!(client.stream::<i64>("a:B", "c", ()).count(), 0);
    assert_eq!(arbiter.connection_count(), 1);
}

#[test]
fn dropping_a_stream_closes_its_connection() {
    let (closings, closed) = mpsc::channel();
    let arbiter = Arbiter::start(move |peer, _| {
        let id = peer.expect(REQUEST).id;
        peer.chunk(id, &int(1));
        closings.send(peer.is_closed_by_client()).unwrap();
    });
    let mut stream = client(&arbiter).stream::<i64>("a:B", "c", ());
    assert_eq!(stream.next().unwrap().unwrap(), 1);
    drop(stream);
    assert!(closed.recv().unwrap());
}

#[test]
fn a_stream_that_falls_silent_or_takes_too_long_times_out() {
    let arbiter = Arbiter::start(|peer, number| {
        let id = peer.expect(REQUEST).id;
        if number == 0 {
            peer.chunk(id, &int(1));
            peer.frame();
        } else {
            // Never silent, never done.
            while !peer.is_gone() {
                peer.chunk(id, &int(1));
            }
        }
    });
    let client = client(&arbiter);
    let idle_limit = Duration::from_millis(500);
    let mut silent = client.call("a:B", "c").idle_timeout(idle_limit).stream::<i64>();
    assert_eq!(silent.next().unwrap().unwrap(), 1);
    let error = silent.next().unwrap().unwrap_err();
    assert!(
        matches!(error, CallError::Timeout { timeout: Some(limit), .. } if limit == idle_limit),
        "{error:?}"
    );
    assert!(silent.next().is_none());

    let endless = client.call("a:B", "c").timeout(idle_limit).stream::<i64>();
    let error = endless.filter_map(Result::err).next().unwrap();
    assert!(matches!(error, CallError::Timeout { .. }), "{error:?}");
}

#[test]
fn an_arbiter_that_dies_ends_the_stream_with_a_connection_error() {
    let arbiter = Arbiter::start(|peer, _| {
        let id = peer.expect(REQUEST).id;
        peer.chunk(id, &int(1));
    });
    let mut stream = client(&arbiter).stream::<i64>("a:B", "c", ());
    assert_eq!(stream.next().unwrap().unwrap(), 1);
    let error = stream.next().unwrap().unwrap_err();
    assert!(matches!(error, CallError::Connection { request_sent: true, .. }), "{error:?}");
    assert!(stream.next().is_none());
}
