//! Two masters, of which systemd believes one.

use std::fs;
use std::io::Write;

use libc::{SIGHUP, SIGKILL, SIGTERM, SIGUSR2};

use crate::greeter::{Greeter, Successor};
use crate::supervisor::{Access, Supervisor};

/// Starts another master and returns it once it has been named.
fn upgrade(supervisor: &Supervisor, greeter: &Greeter) -> Successor {
    supervisor.until("READY=1");
    greeter.service.signal(SIGUSR2);
    let started = supervisor.next();
    let named = supervisor.next();
    let pid = named.value("MAINPID").unwrap();
    assert_eq!(started.text(), format!("STATUS=Upgrading: a new master starts (pid {pid})"));
    assert_eq!(named.from, greeter.service.pid());
    Successor(pid.parse().unwrap())
}

fn is_gone(greeter: &Greeter, successor: &Successor) {
    let new = successor.process();
    greeter.service.wait_for("the end of the new master", || (!new.is_alive()).then_some(()));
}

#[test]
fn the_new_master_is_named_when_it_serves_and_speaks_from_then_on() {
    let supervisor = Supervisor::new(Access::Main);
    let (mut greeter, mut gate) = Greeter::held(&supervisor, &[]);
    gate.write_all(b"the old one\n").unwrap();
    supervisor.until("READY=1");
    let old = greeter.service.pid();

    greeter.service.signal(SIGUSR2);
    let started = supervisor.next();
    let new = greeter.service.process("master.2");
    let _new = Successor(new.pid);
    assert_eq!(started.text(), format!("STATUS=Upgrading: a new master starts (pid {})", new.pid));
    greeter.service.wait_for("its worker", || (greeter.workers().len() == 2).then_some(()));
    assert_eq!(supervisor.rest(), [], "the new master does not serve yet");

    gate.write_all(b"the new one\n").unwrap();
    let named = supervisor.next();
    let status = "STATUS=Upgraded: the new master serves beside the old one";
    assert_eq!((named.from, named.text()), (old, format!("MAINPID={} READY=1 {status}", new.pid)));

    greeter.service.signal(SIGTERM);
    assert_eq!(greeter.service.wait().code(), Some(0));
    let promoted = supervisor.next();
    let status = format!("STATUS=1 worker serves at http://127.0.0.1:{}", greeter.port());
    assert_eq!((promoted.from, promoted.text()), (new.pid, format!("MAINPID={} READY=1 {status}", new.pid)));
    assert_eq!(greeter.get("/"), "the new one\n");

    new.signal(SIGTERM);
    assert_eq!(supervisor.next().text(), "STOPPING=1 STATUS=Stopping");
    greeter.service.wait_for("the end of the new master", || (!new.is_alive()).then_some(()));
    assert_eq!(supervisor.rest(), []);
    assert_eq!(supervisor.refused(), [], "somebody spoke who was not the main process");
}

#[test]
fn the_watchdog_hears_of_the_new_master_instead() {
    let supervisor = Supervisor::new(Access::Main);
    let mut greeter = Greeter::start(&supervisor, &[], &[("WATCHDOG_USEC", "60000")]);
    let old = greeter.service.pid();
    supervisor.until("READY=1");
    assert_eq!(supervisor.next_of_all().from, old);
    greeter.service.signal(SIGUSR2);
    let named = supervisor.until("WATCHDOG=1").pop().unwrap();
    let new = Successor(named.value("MAINPID").unwrap().parse().unwrap());
    for _ in 0..3 {
        let beat = supervisor.next_of_all();
        assert_eq!((beat.from, beat.text()), (new.0, "WATCHDOG=1".to_owned()));
    }
    greeter.service.signal(SIGTERM);
    assert_eq!(greeter.service.wait().code(), Some(0));
    assert_eq!(supervisor.until("READY=1").pop().unwrap().from, new.0);
    assert_eq!(supervisor.next_of_all().from, new.0);
    assert_eq!(supervisor.refused(), []);
}

#[test]
fn an_upgrade_that_fails_names_nobody() {
    let supervisor = Supervisor::new(Access::Main);
    let greeter = Greeter::start(&supervisor, &[], &[]);
    supervisor.until("READY=1");
    fs::remove_file(greeter.greeting()).unwrap();
    greeter.service.signal(SIGUSR2);
    assert!(supervisor.next().status().starts_with("Upgrading: "));
    let failed = supervisor.next();
    assert!(failed.status().starts_with("Upgrade failed: "), "{failed:?}");
    assert!(failed.status().contains("the greeting greeting"), "{failed:?}");
    assert_eq!(failed.lines.len(), 1, "{failed:?}");
    greeter.service.wait_for("the log", || {
        greeter.service.log().iter().any(|line| line.contains("this one serves on")).then_some(())
    });

    fs::write(greeter.greeting(), "Good night!\n").unwrap();
    greeter.service.signal(SIGHUP);
    assert!(supervisor.next().has("RELOADING=1"));
    assert!(supervisor.next().has("READY=1"));
    assert_eq!(supervisor.main_pid(), greeter.service.pid());
    assert_eq!(supervisor.refused(), []);
}

#[test]
fn a_new_master_that_is_told_to_end_names_the_old_one() {
    let supervisor = Supervisor::new(Access::Main);
    let greeter = Greeter::start(&supervisor, &[], &[]);
    let (new, old) = (upgrade(&supervisor, &greeter), greeter.service.pid());
    new.process().signal(SIGTERM);
    let told = [(); 3].map(|()| supervisor.next());
    assert_eq!(told.each_ref().map(|notice| notice.from), [new.0, new.0, old], "{told:?}");
    assert_eq!(told[0].text(), "STATUS=The new master stops: the old one serves on");
    assert!(told[1].text().starts_with(&format!("MAINPID={old} READY=1 ")), "{told:?}");
    assert!(
        told[2].text().starts_with(&format!("MAINPID={old} READY=1 STATUS=1 worker serves at ")),
        "{told:?}"
    );
    is_gone(&greeter, &new);
    assert_eq!(greeter.get("/"), "Good day!\n");
    assert_eq!(supervisor.refused(), []);
}

/// systemd refuses it with `NotifyAccess=main`: the one that could have said it is dead. The watchdog is for that.
#[test]
fn the_old_master_names_itself_when_the_new_one_was_killed() {
    let supervisor = Supervisor::new(Access::All);
    let greeter = Greeter::start(&supervisor, &[], &[]);
    let (new, old) = (upgrade(&supervisor, &greeter), greeter.service.pid());
    new.process().signal(SIGKILL);
    let told = supervisor.next();
    assert_eq!(told.from, old);
    assert!(
        told.text().starts_with(&format!("MAINPID={old} READY=1 STATUS=1 worker serves at ")),
        "{told:?}"
    );
    assert_eq!(supervisor.rest(), []);
}

#[test]
fn the_new_master_names_itself_when_the_old_one_was_killed() {
    let supervisor = Supervisor::new(Access::Main);
    let mut greeter = Greeter::start(&supervisor, &[], &[]);
    let new = upgrade(&supervisor, &greeter);
    greeter.service.signal(SIGKILL);
    greeter.service.wait();
    let told = supervisor.next();
    assert!(told.text().starts_with(&format!("MAINPID={} READY=1 ", new.0)), "{told:?}");
    assert_eq!(greeter.get("/"), "Good day!\n");
    new.process().signal(SIGTERM);
    assert!(supervisor.next().has("STOPPING=1"));
    is_gone(&greeter, &new);
}
