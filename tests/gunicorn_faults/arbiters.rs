//! Dirty arbiters that are killed.

use gunmetal::blocking::Client;
use gunmetal::client::{CallError, ClientConfig};
use gunmetal::{Value, args, value};

use crate::raw::Raw;
use crate::support::Service;
use crate::support::probe::{APP, client, probe, wait_until_running};

/// gunicorn's workers live on as orphans that hold the listening socket, and new clients wait for ever. Ours: nothing is left
/// running, whoever was connected is told, and the next one on the same path serves at once.
#[test]
fn killed_while_it_is_alone() {
    let mut service = probe(2, &[]);
    let old_client = client(&service);
    let below = service.descendants();
    let mut running = Raw::connect(&service);
    for id in 1..=2 {
        running.call(id, "sleep", value!([60]));
    }
    wait_until_running(&service, &old_client, 2);
    running.call(3, "echo", value!(["queued"]));
    running.is_heard();
    let idle = Raw::connect(&service);

    service.signal(libc::SIGKILL);
    service.wait();

    for process in below {
        service.wait_for("the end of every process", || (!process.is_alive()).then_some(()));
    }
    // Nobody waits for an answer that can't come.
    assert!(running.is_cut() && idle.is_cut());
    let error = old_client.execute::<Value>(APP, "noop", ()).unwrap_err();
    assert!(matches!(error, CallError::Connection { .. }) && error.is_retry_safe(), "{error:?}");

    let path = service.socket();
    let flags = ["--dirty-only", "--dirty-socket", path.to_str().unwrap(), "--dirty-workers", "2"];
    let next = Service::start("probe", &flags, &[]);
    let client = Client::new(ClientConfig::new(&path));
    next.wait_for("an answer", || client.execute::<i64>(APP, "echo", args![1]).ok());
    // Whoever had been connected to the old one, as well.
    assert_eq!(old_client.execute::<i64>(APP, "echo", args![2]).unwrap(), 2);
}
