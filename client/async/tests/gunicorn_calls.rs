//! Calls to gunicorn's own arbiter, which hosts apps in Python.

#[path = "../../testing/gunicorn.rs"]
mod gunicorn;

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join_all;
use gunicorn::{APP, Gunicorn, ODD, PATIENCE, values};
use gunmetal_client::{Args, Bytes, CallError, Client, ClientConfig, ManageOp, Value, args, value};

fn client(gunicorn: &Gunicorn) -> Client {
    Client::new(ClientConfig::new(gunicorn.socket()).with_call_timeout(PATIENCE))
}

#[tokio::test]
async fn every_kind_of_value_comes_back() {
    let gunicorn = Gunicorn::start(&[]);
    let client = client(&gunicorn);
    for value in values() {
        let back: Value = client.execute(APP, "echo", (value.clone(),)).await.unwrap();
        assert_eq!(back, value);
    }
    let nan: f64 = client.execute(APP, "echo", (f64::NAN,)).await.unwrap();
    assert!(nan.is_nan());
    let all: Value = client.execute(APP, "echo_all", args![1, "x"; ü = null, size = 2.5]).await.unwrap();
    assert_eq!(all, value!({"args": [1, "x"], "kwargs": {"ü": null, "size": 2.5}}));
    let words: BTreeMap<i64, Option<String>> = BTreeMap::from([(1, Some("one".into())), (-2, None)]);
    let argument = gunmetal_protocol::to_value(&words).unwrap();
    let back: BTreeMap<i64, Option<String>> = client.execute(APP, "echo", (argument,)).await.unwrap();
    assert_eq!(back, words);
}

#[tokio::test]
async fn what_only_python_has_arrives_as_what_is_nearest() {
    let gunicorn = Gunicorn::start(&[]);
    let client = client(&gunicorn);
    let ask = |action| client.execute::<Value>(ODD, action, ());
    assert_eq!(ask("int_keys").await.unwrap(), value!({"1": "one", "-2": {"3": null}}));
    assert_eq!(ask("a_tuple").await.unwrap(), value!([1, ["two"]]));
    // What cannot be sent is an error of the app, and of that call alone.
    for action in ["a_set", "too_large_int"] {
        let error = ask(action).await.unwrap_err();
        assert!(
            matches!(error, CallError::App { .. } | CallError::Worker { .. } | CallError::Other { .. }),
            "{action}: {error:?}"
        );
    }
    assert_eq!(ask("a_tuple").await.unwrap(), value!([1, ["two"]]));
}

#[tokio::test]
async fn the_limits_are_kept_by_both_sides() {
    let gunicorn = Gunicorn::start(&[]);
    let client = client(&gunicorn);
    let image = Bytes::from(vec![7; 16 << 20]);
    assert_eq!(client.execute::<Bytes>(APP, "echo", (image.clone(),)).await.unwrap(), image);
    let text: String = client.execute(ODD, "multibyte", (8 << 20,)).await.unwrap();
    assert_eq!(text.len(), 16 << 20);
    let many: Vec<Value> = client.execute(ODD, "many", (1 << 20,)).await.unwrap();
    assert_eq!(many.len(), 1 << 20);
    // Over them.
    client.execute::<Value>(ODD, "many", ((1 << 20) + 1,)).await.unwrap_err();
    client.execute::<Bytes>(APP, "blob", (64 << 20,)).await.unwrap_err();
    let long = Args::new().arg(vec![0_u8; (64 << 20) + 1]);
    let error = client.execute::<Value>(APP, "size", long).await.unwrap_err();
    assert!(matches!(error, CallError::Encode { .. }), "{error:?}");
    assert_eq!(client.execute::<i64>(APP, "echo", (1,)).await.unwrap(), 1);
}

#[tokio::test]
async fn every_failure_keeps_its_class_and_fields() {
    let gunicorn = Gunicorn::start(&["--timeout", "1"]);
    let client = client(&gunicorn);
    let fail = async |app: &str, action: &str, args: Args| {
        client.execute::<Value>(app, action, args).await.unwrap_err()
    };

    let CallError::App { app_path, action, message, traceback } = fail(APP, "fail", args!["no luck"]).await
    else {
        panic!("not an app error")
    };
    assert_eq!((&*app_path, &*action, &*message), (APP, "fail", "no luck"));
    assert!(traceback.unwrap().contains("RuntimeError"));

    let CallError::App { message, traceback, .. } = fail(ODD, "raise_with_cause", args![]).await else {
        panic!()
    };
    assert_eq!(message, "outer");
    assert!(traceback.unwrap().contains("KeyError"));

    let CallError::App { message, .. } = fail(APP, "nosuch", args![]).await else {
        panic!("not an app error")
    };
    assert!(message.contains("nosuch"), "{message}");
    let CallError::App { message, .. } = fail(APP, "size", args![]).await else { panic!("not an app error") };
    assert!(message.contains("argument"), "{message}");

    let error = fail("nosuch:App", "x", args![]).await;
    let CallError::NoWorkersAvailable { app_path, .. } = &error else { panic!("{error:?}") };
    assert_eq!(app_path, "nosuch:App");
    assert!(error.is_retry_safe());

    // Its arbiter and its worker have the same limit: who is first decides the kind.
    match fail(APP, "sleep", args![3]).await {
        CallError::Timeout { timeout, .. } => assert_eq!(timeout, Some(Duration::from_secs(1))),
        CallError::App { message, .. } => assert!(message.contains("timed out"), "{message}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_caller_that_gives_up_and_a_worker_that_dies_cost_one_call_each() {
    let gunicorn = Gunicorn::start(&["--workers", "2"]);
    let client = client(&gunicorn);
    let call = client.call(APP, "sleep").args((2,)).timeout(Duration::from_millis(50));
    let error = call.execute::<Value>().await.unwrap_err();
    assert!(matches!(error, CallError::Timeout { .. }), "{error:?}");
    assert!(!error.is_retry_safe());
    let error = client.execute::<Value>(APP, "crash", ()).await.unwrap_err();
    assert!(matches!(&error, CallError::Worker { worker_id: Some(_), .. }), "{error:?}");
    // gunicorn gives calls to workers that are not ready, and those fail.
    while client.execute::<i64>(APP, "echo", (1,)).await.is_err() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn streams_come_chunk_by_chunk() {
    let gunicorn = Gunicorn::start(&[]);
    let client = client(&gunicorn);
    for action in ["stream_values", "astream_values"] {
        let chunks: Vec<Result<Value, _>> = client.stream(APP, action, (value!(values()),)).collect().await;
        let chunks: Vec<Value> = chunks.into_iter().map(Result::unwrap).collect();
        assert_eq!(chunks, values(), "{action}");
        assert_eq!(client.stream::<Value>(APP, action, (value!([]),)).count().await, 0);
    }
    for action in ["stream", "astream"] {
        let chunks: Vec<Bytes> =
            client.stream::<Bytes>(APP, action, (3, 1 << 20)).map(Result::unwrap).collect().await;
        assert_eq!(chunks.iter().map(Bytes::len).collect::<Vec<_>>(), [1 << 20; 3]);
    }
}

#[tokio::test]
async fn a_stream_that_breaks_off_ends_with_its_error() {
    let gunicorn = Gunicorn::start(&[]);
    let client = client(&gunicorn);
    for action in ["stream_fail", "astream_fail"] {
        let mut stream = client.stream::<i64>(APP, action, (2,));
        assert_eq!(stream.next().await.unwrap().unwrap(), 0);
        assert_eq!(stream.next().await.unwrap().unwrap(), 1);
        let error = stream.next().await.unwrap().unwrap_err();
        let CallError::App { app_path, action: failed, message, .. } = error else { panic!("{error:?}") };
        assert_eq!((&*app_path, &*failed, &*message), (APP, action, "stream failed after 2"));
        assert!(stream.next().await.is_none());
    }
    let mut stream = client.stream::<Value>(ODD, "stream_unsendable", ());
    assert_eq!(stream.next().await.unwrap().unwrap(), Value::Int(1));
    assert!(stream.next().await.unwrap().is_err());
    assert_eq!(client.execute::<i64>(APP, "echo", (1,)).await.unwrap(), 1);
}

#[tokio::test]
async fn one_result_streams_as_one_and_a_stream_is_not_one_result() {
    let gunicorn = Gunicorn::start(&[]);
    let client = client(&gunicorn);
    let results: Vec<i64> = client.stream::<i64>(APP, "echo", (7,)).map(Result::unwrap).collect().await;
    assert_eq!(results, [7]);
    let error = client.execute::<Value>(APP, "stream", (3, 10)).await.unwrap_err();
    assert!(error.to_string().contains("stream()"), "{error}");
    assert!(matches!(error, CallError::Streams { .. }), "{error:?}");
    assert_eq!(client.execute::<i64>(APP, "echo", (1,)).await.unwrap(), 1);
    // A stream that its reader drops is over.
    assert!(client.stream::<i64>(APP, "stream_slow", (1000, 0.001)).next().await.unwrap().is_ok());
    assert_eq!(client.execute::<i64>(APP, "echo", (2,)).await.unwrap(), 2);
}

#[tokio::test]
async fn many_connections_are_served() {
    let gunicorn = Gunicorn::start(&["--workers", "2"]);
    let client = client(&gunicorn);
    let calls = (0..200_i64).map(|caller| {
        let client = &client;
        async move {
            for call in 0..5 {
                let number = caller * 100 + call;
                assert_eq!(client.execute::<i64>(APP, "echo", (number,)).await.unwrap(), number);
            }
        }
    });
    join_all(calls).await;
}

#[tokio::test]
async fn the_arbiter_tells_its_state_and_changes_its_number_of_workers() {
    let gunicorn = Gunicorn::start(&["--workers", "1"]);
    let client = client(&gunicorn);
    let status = client.status().await.unwrap();
    assert_eq!((status.arbiter_pid, status.worker_count), (gunicorn.pid(), 1));
    assert_eq!(status.apps, [APP, ODD]);
    assert_eq!(status.workers[0].apps, [APP, ODD]);
    assert!(status.workers[0].pid > 0);
    assert!(status.extensions.is_empty() && status.server.is_none());

    let added = client.manage(ManageOp::Add, 2).await.unwrap();
    assert!(added.success, "{added:?}");
    assert_eq!((&*added.operation, added.requested, added.spawned), ("add", 2, 2));
    assert_eq!(client.status().await.unwrap().worker_count, 3);
    let removed = client.manage(ManageOp::Remove, 1).await.unwrap();
    assert_eq!((&*removed.operation, removed.requested, removed.removed), ("remove", 1, 1));
}
