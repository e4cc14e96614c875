//! Dirty arbiters that are killed.

use std::os::unix::net::UnixStream;

use gunmetal::blocking::Client;
use gunmetal::client::{CallError, ClientConfig};
use gunmetal::{Value, args, value};

use crate::callers::Callers;
use crate::support::Service;
use crate::support::probe::{APP, client, probe, wait_until_running, worker_pids};
use crate::support::raw::Raw;

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
    assert!(running.ends() && idle.ends());
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

/// gunicorn's master starts the next one on another path, of which running HTTP workers never learn. Ours: the same path;
/// callers lose what was running and then notice a pause, and the workers are kept.
#[test]
fn killed_under_a_master() {
    let flags = ["--dirty-socket", "dirty.sock", "--dirty-workers", "2"];
    let service = Service::start("probe", &flags, &[]);
    service.wait_for("the dirty socket", || UnixStream::connect(service.socket()).ok());
    let client = client(&service);
    service.wait_for("the workers", || (worker_pids(&client).len() == 2).then_some(()));
    let pids = worker_pids(&client);
    for _ in 0..3 {
        let callers = Callers::start(&service, APP, 8);
        callers.go_on(&service, 200);
        let arbiter = service.process("dirty arbiter");

        arbiter.signal(libc::SIGKILL);

        service.wait_for("the next dirty arbiter", || {
            let now = service.processes("dirty arbiter");
            now.iter().any(|process| process.pid != arbiter.pid).then_some(())
        });
        // The same clients, which nobody told anything.
        callers.go_on(&service, 200);
        let errors = callers.stop();
        assert!(errors.len() <= 8, "more than what was running: {errors:?}");
        for error in errors {
            assert!(matches!(error, CallError::Connection { .. }), "{error:?}");
        }
        assert_eq!(worker_pids(&client), pids, "the workers, and what they had loaded, are lost");
    }
}
