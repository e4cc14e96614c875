//! Calls of an action with one result, over a real socket.

#[path = "../../testing/arbiter.rs"]
mod arbiter;

use std::sync::mpsc;
use std::time::Duration;

use arbiter::{Arbiter, CANCEL, MANAGE, REQUEST, Raw, dict, gunicorn_status, int, list, str};
use gunmetal_client::{CallError, Client, ClientConfig, ManageOp, Value, args, value};

/// A client that waits long enough for a test never to depend on it.
fn client(arbiter: &Arbiter) -> Client {
    Client::new(ClientConfig::new(arbiter.path()).with_call_timeout(Duration::from_secs(60)))
}

/// An int that is the last positional argument, encoded; the key "kwargs" and an empty dict follow it.
fn last_argument(request: &Raw) -> &[u8] {
    let end = request.payload.len() - (5 + 6) - 5;
    &request.payload[end - 9..end]
}

#[tokio::test]
async fn a_call_is_one_request_frame_and_its_reply() {
    let arbiter = Arbiter::start(|peer, _| {
        peer.greet_as_gunmetal();
        let request = peer.expect(REQUEST);
        let expected = dict(&[
            ("app_path", &str("shop:Cart")),
            ("action", &str("total")),
            ("args", &list(&[&int(1), &str("x")])),
            ("kwargs", &dict(&[("net", &[1, 1])])),
        ]);
        assert_eq!(request.payload, expected);
        peer.result(request.id, &int(42));
        peer.frame();
    });
    let total: i64 = client(&arbiter).execute("shop:Cart", "total", args![1, "x"; net = true]).await.unwrap();
    assert_eq!(total, 42);
}

#[tokio::test]
async fn replies_find_their_calls_in_any_order_on_one_connection() {
    let arbiter = Arbiter::start(|peer, _| {
        peer.greet_as_gunmetal();
        let mut requests: Vec<_> = (0..50).map(|_| peer.expect(REQUEST)).collect();
        requests.reverse();
        for request in requests {
            peer.result(request.id, last_argument(&request));
        }
        peer.frame();
    });
    let client = client(&arbiter);
    let calls = (0..50_i64).map(|number| {
        let client = client.clone();
        async move { client.execute::<i64>("a:B", "same", (number,)).await.unwrap() }
    });
    assert_eq!(futures_util::future::join_all(calls).await, (0..50).collect::<Vec<_>>());
    assert_eq!(arbiter.connection_count(), 1);
}

#[tokio::test]
async fn an_apps_error_is_told_with_everything_it_said() {
    let arbiter = Arbiter::start(|peer, _| {
        peer.greet_as_gunmetal();
        let id = peer.expect(REQUEST).id;
        let details = [("app_path", &*str("a:B")), ("action", &str("c")), ("traceback", &str("tb"))];
        peer.error(id, "DirtyAppError", "division by zero", &details);
        let id = peer.expect(REQUEST).id;
        peer.result(id, &int(1));
        peer.frame();
    });
    let client = client(&arbiter);
    let error = client.execute::<Value>("a:B", "c", ()).await.unwrap_err();
    let CallError::App { app_path, action, message, traceback } = error else { panic!("{error:?}") };
    assert_eq!([&*app_path, &action, &message], ["a:B", "c", "division by zero"]);
    assert_eq!(traceback.as_deref(), Some("tb"));
    assert_eq!(client.execute::<i64>("a:B", "c", ()).await.unwrap(), 1);
}

#[tokio::test]
async fn a_call_that_runs_out_of_time_is_cancelled_and_its_late_reply_ignored() {
    let arbiter = Arbiter::start(|peer, _| {
        peer.greet_as_gunmetal();
        let first = peer.expect(REQUEST).id;
        peer.result(first, &str("connected"));
        let slow = peer.expect(REQUEST).id;
        assert_eq!(peer.expect(CANCEL).id, slow);
        let next = peer.expect(REQUEST).id;
        peer.result(slow, &str("too late"));
        peer.result(next, &str("in time"));
        peer.frame();
    });
    let client = client(&arbiter);
    client.execute::<String>("a:B", "first", ()).await.unwrap();
    tokio::time::pause();
    let limit = Duration::from_secs(3);
    let slow = client.call("a:B", "slow").timeout(limit).execute::<String>().await.unwrap_err();
    assert!(matches!(slow, CallError::Timeout { timeout: Some(told), .. } if told == limit), "{slow:?}");
    tokio::time::resume();
    assert_eq!(client.execute::<String>("a:B", "next", ()).await.unwrap(), "in time");
}

#[tokio::test]
async fn a_dropped_future_cancels_its_call() {
    let (requests, requested) = mpsc::channel();
    let arbiter = Arbiter::start(move |peer, _| {
        peer.greet_as_gunmetal();
        let dropped = peer.expect(REQUEST).id;
        requests.send(()).unwrap();
        assert_eq!(peer.expect(CANCEL).id, dropped);
        peer.result(dropped, &str("nobody waits"));
        let next = peer.expect(REQUEST).id;
        peer.result(next, &str("next"));
        peer.frame();
    });
    let client = client(&arbiter);
    let call = tokio::spawn({
        let client = client.clone();
        async move { client.execute::<String>("a:B", "slow", ()).await }
    });
    tokio::task::spawn_blocking(move || requested.recv().unwrap()).await.unwrap();
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    assert_eq!(client.execute::<String>("a:B", "next", ()).await.unwrap(), "next");
}

#[tokio::test]
async fn executing_an_action_that_streams_says_so_and_leaves_the_connection_usable() {
    let arbiter = Arbiter::start(|peer, _| {
        peer.greet_as_gunmetal();
        let streams = peer.expect(REQUEST).id;
        peer.chunk(streams, &int(1));
        peer.chunk(streams, &int(2));
        assert_eq!(peer.expect(CANCEL).id, streams);
        let empty = peer.expect(REQUEST).id;
        peer.end(streams);
        peer.end(empty);
        let next = peer.expect(REQUEST).id;
        peer.result(next, &int(3));
        peer.frame();
    });
    let client = client(&arbiter);
    for _ in 0..2 {
        let error = client.execute::<i64>("a:B", "tokens", ()).await.unwrap_err();
        assert!(matches!(error, CallError::Streams { .. }), "{error:?}");
        assert!(error.to_string().contains("stream()"), "{error}");
    }
    assert_eq!(client.execute::<i64>("a:B", "one", ()).await.unwrap(), 3);
    assert_eq!(arbiter.connection_count(), 1);
}

#[tokio::test]
async fn large_arguments_and_results_travel_whole_beside_small_ones() {
    let arbiter = Arbiter::start(|peer, _| {
        peer.greet_as_gunmetal();
        for _ in 0..4 {
            let request = peer.expect(REQUEST);
            let len = request.payload.len();
            let large = arbiter::bytes(&vec![0xab; len]);
            peer.result(request.id, if len > 1000 { &large } else { &[0] });
        }
        peer.frame();
    });
    let client = client(&arbiter);
    let photo = gunmetal_client::Bytes::from(vec![1; 9 << 20]);
    let large = |_| client.execute::<gunmetal_client::Bytes>("a:B", "large", args![photo.clone()]);
    let (first, nothing, second, _) = tokio::join!(
        large(1),
        client.execute::<()>("a:B", "small", ()),
        large(2),
        client.execute::<Value>("a:B", "small", ())
    );
    nothing.unwrap();
    for result in [first, second] {
        let result = result.unwrap();
        assert!(result.len() > photo.len() && result.iter().all(|&byte| byte == 0xab));
    }
}

#[tokio::test]
async fn calls_beyond_the_limit_wait_for_their_turn() {
    let arbiter = Arbiter::start(|peer, _| {
        peer.greet_as_gunmetal();
        for _ in 0..10 {
            let requests = [peer.expect(REQUEST), peer.expect(REQUEST)];
            // A third one must not come before one of these is answered.
            peer.socket.set_nonblocking(true).unwrap();
            let third = std::io::Read::read(&mut peer.socket, &mut [0]);
            assert_eq!(third.unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
            peer.socket.set_nonblocking(false).unwrap();
            requests.iter().for_each(|request| peer.result(request.id, &[0]));
        }
        peer.frame();
    });
    let client = Client::new(ClientConfig::new(arbiter.path()).with_max_in_flight(2));
    let calls = (0..20).map(|_| client.execute::<()>("a:B", "c", ()));
    for result in futures_util::future::join_all(calls).await {
        result.unwrap();
    }
}

#[tokio::test]
async fn arguments_that_cannot_be_sent_send_nothing() {
    let arbiter = Arbiter::start(|peer, _| {
        peer.greet_as_gunmetal();
        let fine = peer.expect(REQUEST);
        assert!(fine.mentions("fine"));
        peer.result(fine.id, &int(1));
        peer.frame();
    });
    let client = client(&arbiter);
    let deep = (0..2000).fold(value!(1), |inner, _| value!([inner]));
    let error = client.execute::<Value>("a:B", "deep", args![deep]).await.unwrap_err();
    assert!(matches!(error, CallError::Encode { .. }), "{error:?}");
    assert!(error.is_retry_safe());
    assert_eq!(client.execute::<i64>("a:B", "fine", ()).await.unwrap(), 1);
}

#[tokio::test]
async fn status_and_manage_are_typed() {
    let arbiter = Arbiter::start(|peer, _| {
        peer.greet_as_gunmetal();
        let id = peer.expect(arbiter::STATUS).id;
        peer.result(id, &gunicorn_status());
        let manage = peer.expect(MANAGE);
        assert_eq!(manage.payload, dict(&[("op", &int(1)), ("count", &int(2))]));
        peer.result(
            manage.id,
            &dict(&[("success", &[1, 1]), ("operation", &str("add")), ("spawned", &int(2))]),
        );
        peer.frame();
    });
    let client = client(&arbiter);
    let status = client.status().await.unwrap();
    assert_eq!((status.arbiter_pid, status.worker_count), (7, 1));
    let worker = &status.workers[0];
    assert_eq!((worker.pid, worker.last_heartbeat, worker.uptime), (12, Some(0.25), None));
    let managed = client.manage(ManageOp::Add, 2).await.unwrap();
    assert!(managed.success);
    assert_eq!((managed.spawned, managed.removed), (2, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_threads_share_the_connection() {
    let arbiter = Arbiter::start(|peer, _| {
        peer.greet_as_gunmetal();
        while let Some(request) = peer.frame() {
            peer.result(request.id, last_argument(&request));
        }
    });
    let client = client(&arbiter);
    let tasks: Vec<_> = (0..16_i64)
        .map(|task| {
            let client = client.clone();
            tokio::spawn(async move {
                for call in 0..200 {
                    let number = task * 1000 + call;
                    assert_eq!(client.execute::<i64>("a:B", "same", (number,)).await.unwrap(), number);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(arbiter.connection_count(), 1);
}

#[tokio::test]
async fn dropping_the_last_client_closes_the_connection() {
    let (closings, closed) = mpsc::channel();
    let arbiter = Arbiter::start(move |peer, _| {
        peer.greet_as_gunmetal();
        let id = peer.expect(REQUEST).id;
        peer.result(id, &int(1));
        closings.send(peer.is_closed_by_client()).unwrap();
    });
    let client = client(&arbiter);
    let clone = client.clone();
    drop(client);
    assert_eq!(clone.execute::<i64>("a:B", "c", ()).await.unwrap(), 1);
    drop(clone);
    assert!(tokio::task::spawn_blocking(move || closed.recv().unwrap()).await.unwrap());
}

#[test]
fn clients_and_streams_can_be_sent_and_shared() {
    fn send_and_share<T: Send + Sync>() {}
    fn send<T: Send + Unpin + 'static>(_: T) {}
    send_and_share::<Client>();
    let client = Client::at("/nowhere");
    send(client.stream::<String>("a:B", "c", ()));
    let call = async move { client.execute::<Value>("a:B", "c", ()).await };
    fn is_send<T: Send>(_: &T) {}
    is_send(&call);
}
