//! Start, reload and stop, as systemd hears of them.

use std::fs;
use std::io::Write;
use std::time::Duration;

use libc::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGSTOP, SIGTERM, SIGTTIN, SIGTTOU};
use nix::time::{ClockId, clock_gettime};

use crate::greeter::Greeter;
use crate::supervisor::{Access, Notice, Supervisor};
use crate::support::Service;

#[test]
fn ready_is_told_when_every_worker_serves_at_a_path_and_at_an_abstract_name() {
    for supervisor in [Supervisor::new(Access::Main), Supervisor::abstract_name(Access::Main)] {
        let (greeter, mut gate) = Greeter::held(&supervisor, &["--workers", "2"]);
        assert_eq!(supervisor.next().text(), "STATUS=Starting 2 workers");
        greeter.service.wait_for("the workers", || (greeter.workers().len() == 2).then_some(()));
        gate.write_all(b"the first\n").unwrap();
        assert_eq!(greeter.get("/"), "the first\n");
        assert_eq!(supervisor.rest(), [], "one of two workers serves");
        gate.write_all(b"the second\n").unwrap();
        let (pid, port) = (greeter.service.pid(), greeter.port());
        let expected = format!("MAINPID={pid} READY=1 STATUS=2 workers serve at http://127.0.0.1:{port}");
        assert_eq!(supervisor.next().text(), expected);
        assert_eq!(supervisor.refused(), []);
    }
}

#[test]
fn a_service_with_dirty_apps_is_ready_when_all_of_it_is() {
    let supervisor = Supervisor::new(Access::Main);
    let environment = [("NOTIFY_SOCKET", supervisor.address())];
    let service = Service::start("small", &["--bind", "127.0.0.1:0"], &environment);
    supervisor.watch(service.pid());
    supervisor.until("READY=1");
    for part in ["dirty arbiter", "router", "http worker"] {
        assert_eq!(service.processes(part).len(), 1, "{part}");
    }
    assert_eq!(service.processes("dirty worker").len(), 2);
}

#[test]
fn a_start_that_fails_is_never_ready_and_says_why() {
    let supervisor = Supervisor::new(Access::Main);
    let mut greeter = Greeter::prepared(&supervisor, &[], &[], |_| {});
    assert_eq!(greeter.service.wait().code(), Some(3));
    let notices = supervisor.rest();
    assert!(!notices.iter().any(|notice| notice.has("READY=1")), "{notices:?}");
    let last = notices.last().unwrap().text();
    assert!(last.starts_with("STATUS=HTTP worker failed to start: the greeting greeting: "), "{last}");
}

#[test]
fn a_reload_begins_with_its_time_and_ends_with_the_new_workers() {
    let supervisor = Supervisor::new(Access::Main);
    let greeter = Greeter::start(&supervisor, &[], &[]);
    supervisor.until("READY=1");
    let old = greeter.workers();
    fs::write(greeter.greeting(), "Good evening!\n").unwrap();
    let reload = reload(&supervisor, &greeter);
    assert_eq!(reload.status(), format!("1 worker serves at http://127.0.0.1:{}", greeter.port()));
    greeter.service.wait_for("the new worker alone", || {
        let now = greeter.workers();
        (now.len() == 1 && now != old).then_some(())
    });
    assert_eq!(greeter.get("/"), "Good evening!\n");
    assert_eq!(supervisor.rest(), []);
}

#[test]
fn a_reload_that_is_refused_or_fails_ends_too_and_says_why() {
    let supervisor = Supervisor::new(Access::Main);
    let greeter = Greeter::prepared(&supervisor, &["--config", "app.toml"], &[], |greeting| {
        fs::write(greeting, "Good day!\n").unwrap();
        fs::write(greeting.with_file_name("app.toml"), "").unwrap();
    });
    supervisor.until("READY=1");

    fs::write(greeter.directory.join("app.toml"), "workers = \"many\nREADY=1\"").unwrap();
    let refused = reload(&supervisor, &greeter);
    assert!(refused.status().starts_with("Reload refused: "), "{refused:?}");

    fs::write(greeter.directory.join("app.toml"), "workers = 2").unwrap();
    fs::remove_file(greeter.greeting()).unwrap();
    let failed = reload(&supervisor, &greeter);
    assert!(failed.status().starts_with("Reload failed: "), "{failed:?}");
    assert!(failed.status().contains("the greeting greeting"), "{failed:?}");
    assert_eq!(greeter.get("/"), "Good day!\n");

    fs::write(greeter.greeting(), "Good night!\n").unwrap();
    assert!(reload(&supervisor, &greeter).status().starts_with("2 workers serve at "));
}

/// Sends HUP and returns the notice that ends the reload.
fn reload(supervisor: &Supervisor, greeter: &Greeter) -> Notice {
    let now = || Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC).unwrap()).as_micros();
    let before = now();
    greeter.service.signal(SIGHUP);
    let begin = supervisor.next();
    let time: u128 = begin.value("MONOTONIC_USEC").unwrap().parse().unwrap();
    assert!((before..=now()).contains(&time), "{before} {time}");
    assert_eq!(begin.text(), format!("RELOADING=1 MONOTONIC_USEC={time} STATUS=Reloading"));
    let end = supervisor.until("READY=1").pop().unwrap();
    assert_eq!(end.lines.len(), 2, "{end:?}");
    end
}

#[test]
fn more_and_fewer_workers_are_a_status() {
    let supervisor = Supervisor::new(Access::Main);
    let greeter = Greeter::start(&supervisor, &[], &[]);
    supervisor.until("READY=1");
    greeter.service.signal(SIGTTIN);
    assert!(supervisor.next().text().starts_with("STATUS=2 workers serve at "));
    greeter.service.signal(SIGTTOU);
    assert!(supervisor.next().text().starts_with("STATUS=1 worker serves at "));
}

#[test]
fn the_end_is_told_before_anything_ends() {
    for signal in [SIGTERM, SIGINT, SIGQUIT] {
        let supervisor = Supervisor::new(Access::Main);
        let mut greeter = Greeter::start(&supervisor, &[], &[]);
        supervisor.until("READY=1");
        let worker = greeter.service.process("http worker");
        worker.signal(SIGSTOP);
        greeter.service.signal(signal);
        assert_eq!(supervisor.next().text(), "STOPPING=1 STATUS=Stopping", "{signal}");
        worker.signal(SIGCONT);
        assert_eq!(greeter.service.wait().code(), Some(0), "{signal}");
        assert_eq!(supervisor.rest(), [], "{signal}");
        assert_eq!(supervisor.refused(), []);
    }
}
