//! Supervisors that do not listen, and children that would speak.

use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;

use libc::{SIGHUP, SIGTERM};

use crate::greeter::{Greeter, get, patient};
use crate::supervisor::{Access, Supervisor};
use crate::support::{PATIENCE, Service};

#[test]
fn a_supervisor_that_does_not_read_stops_nobody_and_hears_the_end_of_it_later() {
    let supervisor = Supervisor::new(Access::Main);
    let clutter = UnixDatagram::unbound().unwrap();
    clutter.set_nonblocking(true).unwrap();
    while clutter.send_to(b"STATUS=clutter", supervisor.address()).is_ok() {}

    let greeter = Greeter::start(&supervisor, &[], &[("WATCHDOG_USEC", "2000")]);
    assert_eq!(greeter.get("/"), "Good day!\n");
    greeter.service.signal(SIGHUP);
    let log = |part: &str| greeter.service.log().iter().filter(|line| line.contains(part)).count();
    greeter.service.wait_for("the reload", || (log("reload done") == 1).then_some(()));
    assert_eq!(log("systemd does not read"), 1);

    let told: Vec<String> = ["READY=1", "RELOADING=1", "READY=1"]
        .map(|line| supervisor.until(line).pop().unwrap().lines.swap_remove(0))
        .into_iter()
        .collect();
    assert_eq!(told[1], "RELOADING=1");
}

#[test]
fn a_service_whose_supervisor_never_reads_ends_in_order() {
    let supervisor = Supervisor::new(Access::Main);
    let mut greeter = Greeter::start(&supervisor, &[], &[("WATCHDOG_USEC", "2000")]);
    greeter.service.wait_for("a full socket", || {
        greeter.service.log().iter().any(|line| line.contains("systemd does not read")).then_some(())
    });
    assert_eq!(greeter.get("/"), "Good day!\n");
    greeter.service.signal(SIGTERM);
    assert_eq!(greeter.service.wait().code(), Some(0));
}

#[test]
fn a_socket_that_is_gone_or_none_is_one_line_in_the_log() {
    for address in ["/no/such/directory/notify", "rubbish", "@", "vsock:2:1234"] {
        let environment = [("NOTIFY_SOCKET", address), ("WATCHDOG_USEC", "2000")];
        let mut service = Service::start("hello", &["--bind", "127.0.0.1:0"], &environment);
        let port: u16 = service.wait_for("the line with the port", || {
            let log = service.log();
            let line = log.iter().find(|line| line.contains("Listening at: http://"))?;
            line.split("127.0.0.1:").nth(1)?.split(' ').next()?.parse().ok()
        });
        let stream = patient(TcpStream::connect(("127.0.0.1", port)).unwrap());
        assert_eq!(get(stream, "/"), "Hello, World!");
        service.signal(SIGTERM);
        assert_eq!(service.wait().code(), Some(0), "{address}");
        service.wait_for("the last line", || {
            service.log().iter().any(|line| line.contains("Shutting down")).then_some(())
        });
        let told = service.log().into_iter().filter(|line| line.contains("[WARNING]")).collect::<Vec<_>>();
        assert_eq!(told.len(), 1, "{address}: {told:#?}");
        assert!(told[0].contains("NOTIFY_SOCKET") || told[0].contains("systemd cannot be told"), "{told:?}");
    }
}

#[test]
fn a_supervisor_that_comes_back_is_told_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notify");
    let environment = [("NOTIFY_SOCKET", path.to_str().unwrap())];
    let service = Service::start("hello", &["--bind", "127.0.0.1:0"], &environment);
    service.wait_for("the start", || {
        service.log().iter().any(|line| line.contains("systemd cannot be told")).then_some(())
    });
    let supervisor = UnixDatagram::bind(&path).unwrap();
    supervisor.set_read_timeout(Some(PATIENCE)).unwrap();
    service.signal(SIGHUP);
    let mut buffer = [0; 4096];
    loop {
        let len = supervisor.recv(&mut buffer).unwrap();
        if buffer[..len].starts_with(b"RELOADING=1\n") {
            break;
        }
    }
}

#[test]
fn workers_find_nothing_by_which_they_could_speak_for_the_master() {
    let supervisor = Supervisor::new(Access::Main);
    let greeter =
        Greeter::start(&supervisor, &[], &[("WATCHDOG_USEC", "60000000"), ("LISTEN_FDNAMES", "web")]);
    supervisor.until("READY=1");
    assert_eq!(greeter.get("/environment"), "");
}
