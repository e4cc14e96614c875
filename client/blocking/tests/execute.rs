//! Calls of an action with one result, over a real socket.

#[path = "../../testing/arbiter.rs"]
mod arbiter;

use std::io::Write;
use std::net::Shutdown;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use arbiter::{Arbiter, MANAGE, REQUEST, Raw, STATUS, dict, gunicorn_status, int, list, raw, str};
use gunmetal_client_blocking::{Bytes, CallError, Client, ClientConfig, ManageOp, Value, args, value};

/// A client that waits long enough for a test never to depend on it.
fn client(arbiter: &Arbiter) -> Client {
    Client::new(ClientConfig::new(arbiter.path()).with_call_timeout(Duration::from_secs(60)))
}

#[test]
fn a_call_is_one_request_frame_and_its_reply() {
    let arbiter = Arbiter::start(|peer, _| {
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
    let total: i64 = client(&arbiter).execute("shop:Cart", "total", args![1, "x"; net = true]).unwrap();
    assert_eq!(total, 42);
}

#[test]
fn one_thread_keeps_its_connection() {
    let arbiter = Arbiter::start(|peer, _| {
        while let Some(request) = peer.frame() {
            peer.result(request.id, &int(5));
        }
    });
    let client = client(&arbiter);
    for _ in 0..10 {
        assert_eq!(client.execute::<i64>("a:B", "c", ()).unwrap(), 5);
    }
    assert_eq!(arbiter.connection_count(), 1);
}

#[test]
fn threads_that_call_at_the_same_time_have_connections_of_their_own() {
    let (arrivals, arrived) = mpsc::channel();
    let (go, gate) = mpsc::channel::<()>();
    let gate = std::sync::Mutex::new(gate);
    let arbiter = Arbiter::start(move |peer, _| {
        let id = peer.expect(REQUEST).id;
        arrivals.send(()).unwrap();
        gate.lock().unwrap().recv().unwrap();
        peer.result(id, &int(1));
        peer.frame();
    });
    let client = client(&arbiter);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| client.execute::<i64>("a:B", "c", ()).unwrap());
        }
        // All four have arrived before one is answered.
        (0..4).for_each(|_| arrived.recv().unwrap());
        (0..4).for_each(|_| go.send(()).unwrap());
    });
    assert_eq!(arbiter.connection_count(), 4);
}

#[test]
fn errors_are_told_and_the_connection_lives_on() {
    let arbiter = Arbiter::start(|peer, _| {
        let id = peer.expect(REQUEST).id;
        peer.error(id, "DirtyAppError", "division by zero", &[("traceback", &str("tb"))]);
        let id = peer.expect(REQUEST).id;
        let details = [("app_path", &*str("x:Y")), ("reason", &str("app_not_configured"))];
        peer.error(id, "DirtyNoWorkersAvailableError", "no such app", &details);
        let id = peer.expect(REQUEST).id;
        peer.result(id, &str("not a number"));
        let id = peer.expect(REQUEST).id;
        peer.send(arbiter::RESPONSE, id, &[0x21, 0, 0, 0, 9]);
        let id = peer.expect(REQUEST).id;
        peer.result(id, &int(1));
        peer.frame();
    });
    let client = client(&arbiter);
    let call = || client.execute::<i64>("a:B", "c", ());
    let error = call().unwrap_err();
    let CallError::App { app_path, action, message, traceback } = error else { panic!("{error:?}") };
    assert_eq!([&*app_path, &action, &message], ["a:B", "c", "division by zero"]);
    assert_eq!(traceback.as_deref(), Some("tb"));
    assert!(matches!(call().unwrap_err(), CallError::AppNotFound { app_path, .. } if app_path == "x:Y"));
    assert!(matches!(call().unwrap_err(), CallError::Decode { .. }));
    assert!(matches!(call().unwrap_err(), CallError::Protocol { .. }));
    assert_eq!(call().unwrap(), 1);
    assert_eq!(arbiter.connection_count(), 1);
}

#[test]
fn a_call_that_runs_out_of_time_closes_its_connection() {
    let (closings, closed) = mpsc::channel();
    let arbiter = Arbiter::start(move |peer, number| {
        let Some(Raw { id, .. }) = peer.frame() else {
            // The time was up before the request had left.
            let _ = closings.send(true);
            return;
        };
        if number == 0 {
            // Half an answer does not give it more time.
            let answer = raw(arbiter::RESPONSE, id, &dict(&[("result", &int(1))]));
            let _ = peer.socket.write_all(&answer[..20]);
            closings.send(peer.is_closed_by_client()).unwrap();
        } else {
            peer.result(id, &int(2));
            peer.frame();
        }
    });
    let client = client(&arbiter);
    let (limit, start) = (Duration::from_millis(300), Instant::now());
    let error = client.call("a:B", "slow").timeout(limit).execute::<i64>().unwrap_err();
    assert!(start.elapsed() >= limit);
    assert!(matches!(error, CallError::Timeout { timeout: Some(told), .. } if told == limit), "{error:?}");
    assert!(closed.recv().unwrap());
    assert_eq!(client.execute::<i64>("a:B", "c", ()).unwrap(), 2);
}

#[test]
fn a_reader_that_stops_reading_costs_the_call_its_time_and_no_more() {
    let (hang_up, hung_up) = mpsc::channel::<()>();
    let hung_up = std::sync::Mutex::new(hung_up);
    let arbiter = Arbiter::start(move |_, _| {
        let _ = hung_up.lock().unwrap().recv();
    });
    let photo = Bytes::from(vec![0; 32 << 20]);
    let client = client(&arbiter);
    let call = client.call("a:B", "c").args(args![photo]).timeout(Duration::from_millis(50));
    let error = call.execute::<Value>().unwrap_err();
    assert!(matches!(error, CallError::Timeout { .. }), "{error:?}");
    drop(hang_up);
}

#[test]
fn executing_an_action_that_streams_says_so_and_the_next_call_works() {
    let arbiter = Arbiter::start(|peer, number| {
        let id = peer.expect(REQUEST).id;
        match number {
            0 => {
                peer.chunk(id, &int(1));
                assert!(peer.is_closed_by_client());
            }
            _ => {
                peer.end(id);
                let id = peer.expect(REQUEST).id;
                peer.result(id, &int(3));
                peer.frame();
            }
        }
    });
    let client = client(&arbiter);
    for _ in 0..2 {
        let error = client.execute::<i64>("a:B", "tokens", ()).unwrap_err();
        assert!(matches!(error, CallError::Streams { .. }), "{error:?}");
    }
    assert_eq!(client.execute::<i64>("a:B", "one", ()).unwrap(), 3);
}

#[test]
fn a_connection_closed_while_idle_costs_no_call() {
    let (closing, closed) = mpsc::channel();
    let arbiter = Arbiter::start(move |peer, number| {
        let id = peer.expect(REQUEST).id;
        peer.result(id, &int(number.try_into().unwrap()));
        peer.socket.shutdown(Shutdown::Both).unwrap();
        closing.send(()).unwrap();
    });
    let client = client(&arbiter);
    for number in 0..3_i64 {
        assert_eq!(client.execute::<i64>("a:B", "c", ()).unwrap(), number);
        closed.recv().unwrap();
    }
}

#[test]
fn a_dead_arbiter_ends_the_call_at_once_and_the_next_one_reconnects() {
    let arbiter = Arbiter::start(|peer, number| {
        let id = peer.expect(REQUEST).id;
        match number {
            0 => {}
            // Half a frame, then gone.
            1 => peer.socket.write_all(&raw(arbiter::RESPONSE, id, &[0; 100])[..50]).unwrap(),
            _ => {
                peer.result(id, &int(9));
                peer.frame();
            }
        }
    });
    let client = client(&arbiter);
    for _ in 0..2 {
        let error = client.execute::<i64>("a:B", "c", ()).unwrap_err();
        assert!(matches!(error, CallError::Connection { request_sent: true, .. }), "{error:?}");
    }
    assert_eq!(client.execute::<i64>("a:B", "c", ()).unwrap(), 9);
}

#[test]
fn garbage_ends_the_connection_with_a_protocol_error() {
    let arbiter = Arbiter::start(|peer, _| {
        peer.expect(REQUEST);
        peer.socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        assert!(peer.is_closed_by_client());
    });
    let error = client(&arbiter).execute::<Value>("a:B", "c", ()).unwrap_err();
    assert!(matches!(error, CallError::Protocol { .. }), "{error:?}");
}

#[test]
fn what_the_arbiter_said_before_it_closed_is_told() {
    let arbiter = Arbiter::start(|peer, _| {
        peer.expect(REQUEST);
        peer.error(0, "DirtyProtocolError", "too many connections", &[]);
    });
    let error = client(&arbiter).execute::<Value>("a:B", "c", ()).unwrap_err();
    assert!(error.to_string().contains("too many connections"), "{error}");
}

#[test]
fn large_arguments_and_results_travel_whole() {
    let arbiter = Arbiter::start(|peer, _| {
        while let Some(request) = peer.frame() {
            peer.result(request.id, &arbiter::bytes(&vec![0xab; request.payload.len()]));
        }
    });
    let client = client(&arbiter);
    let photo = Bytes::from(vec![1; 20 << 20]);
    for _ in 0..2 {
        let result: Bytes = client.execute("a:B", "c", args![photo.clone()]).unwrap();
        assert!(result.len() > photo.len() && result.iter().all(|&byte| byte == 0xab));
    }
}

#[test]
fn arguments_that_cannot_be_sent_send_nothing() {
    let arbiter = Arbiter::start(|peer, _| {
        let fine = peer.expect(REQUEST);
        assert!(fine.mentions("fine"));
        peer.result(fine.id, &int(1));
        peer.frame();
    });
    let client = client(&arbiter);
    let deep = (0..2000).fold(value!(1), |inner, _| value!([inner]));
    let error = client.execute::<Value>("a:B", "deep", args![deep]).unwrap_err();
    assert!(matches!(error, CallError::Encode { .. }), "{error:?}");
    assert_eq!(client.execute::<i64>("a:B", "fine", ()).unwrap(), 1);
}

#[test]
fn nobody_listening_is_a_connection_error_naming_the_path() {
    let directory = tempfile::tempdir().unwrap();
    for path in [Arbiter::nobody(directory.path()), directory.path().join("missing.sock")] {
        let error = Client::at(&path).execute::<Value>("a:B", "c", ()).unwrap_err();
        assert!(error.is_retry_safe(), "{error:?}");
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    }
}

#[test]
fn status_and_manage_are_typed() {
    let arbiter = Arbiter::start(|peer, _| {
        let id = peer.expect(STATUS).id;
        peer.result(id, &gunicorn_status());
        let manage = peer.expect(MANAGE);
        assert_eq!(manage.payload, dict(&[("op", &int(2)), ("count", &int(1))]));
        peer.result(manage.id, &dict(&[("success", &[1, 1]), ("removed", &int(1))]));
        peer.frame();
    });
    let client = client(&arbiter);
    let status = client.status().unwrap();
    assert_eq!((status.arbiter_pid, &*status.workers[0].apps), (7, &["a:B".to_owned()][..]));
    assert_eq!(client.manage(ManageOp::Remove, 1).unwrap().removed, 1);
}
