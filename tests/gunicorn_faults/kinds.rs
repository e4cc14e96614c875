//! Actions that stream and actions that do not, called in the other way, with both clients.

use futures_util::StreamExt as _;
use gunmetal::client::{CallError, Client};
use gunmetal::{Value, args};
use tokio::runtime::{Builder, Runtime};

use crate::support::Service;
use crate::support::probe::{APP, client, probe};

#[test]
fn stream_of_an_action_that_does_not_stream_yields_its_one_result() {
    let service = probe(1, &[]);
    for action in ["echo", "coroutine"] {
        let blocking = client(&service).stream::<i64>(APP, action, args![5]).map(Result::unwrap);
        assert_eq!(blocking.collect::<Vec<_>>(), [5]);
        let results = runtime().block_on(async {
            let stream = async_client(&service).stream::<i64>(APP, action, args![5]);
            stream.map(Result::unwrap).collect::<Vec<_>>().await
        });
        assert_eq!(results, [5]);
    }
}

#[test]
fn execute_of_one_that_streams_says_to_use_stream_and_leaves_the_client_usable() {
    let service = probe(1, &[]);
    let (blocking, runtime, asynchronous) = (client(&service), runtime(), async_client(&service));
    // None, few, more than anybody would read to the end.
    for count in [0, 3, 1_000_000_000_i64] {
        for action in ["stream", "astream"] {
            let error = blocking.execute::<Value>(APP, action, args![count, 100]).unwrap_err();
            says_stream(&error, action);
            assert_eq!(blocking.execute::<i64>(APP, "echo", args![1]).unwrap(), 1);
            runtime.block_on(async {
                let error = asynchronous.execute::<Value>(APP, action, args![count, 100]).await.unwrap_err();
                says_stream(&error, action);
                assert_eq!(asynchronous.execute::<i64>(APP, "echo", args![1]).await.unwrap(), 1);
            });
        }
    }
    // Each was ended, the endless ones too.
    service.wait_for("the end of all twelve streams", || {
        let peek: Value = blocking.execute(APP, "peek", ()).unwrap();
        (peek.get("closed_generators")?.as_int()? == 12).then_some(())
    });
}

fn says_stream(error: &CallError, action: &str) {
    assert!(matches!(error, CallError::Streams { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains(action) && text.contains("stream()"), "{text}");
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn async_client(service: &Service) -> Client {
    Client::at(service.socket())
}
