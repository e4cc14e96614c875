//! What the next start on the same socket finds: a service that runs, one that was killed, an orphan, or a trap. Real
//! processes; the program is `examples/probe`.

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod support;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use gunmetal::args;
use gunmetal::blocking::Client;
use support::probe::{APP, wait_until_running};
use support::{Process, Service, example_binary};

const ALONE: [&str; 5] = ["--dirty-only", "--dirty-socket", "dirty.sock", "--dirty-workers", "2"];
const UNDER_A_MASTER: [&str; 4] = ["--dirty-socket", "dirty.sock", "--dirty-workers", "2"];

/// A directory in which one service after the other is started.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Place {
        Place(tempfile::tempdir().unwrap())
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, program: impl AsRef<Path>, flags: &[&str]) -> Command {
        let mut command = Command::new(program.as_ref());
        command.args(flags).env("TMPDIR", self.0.path()).current_dir(self.0.path()).stderr(Stdio::piped());
        command
    }

    fn begin(&self, flags: &[&str]) -> Service {
        Service::of(self.command(example_binary("probe"), flags), tempfile::tempdir().unwrap())
    }

    /// Starts a service, which serves.
    fn start(&self, flags: &[&str]) -> Service {
        let service = self.begin(flags);
        self.wait_until_it_serves(&service);
        service
    }

    /// The call is answered by a worker of this service, and of no other.
    fn wait_until_it_serves(&self, service: &Service) {
        service.wait_for("an answer", || {
            let pid = self.client().execute::<u32>(APP, "pid", ()).ok()?;
            service.descendants().iter().any(|process| process.pid == pid).then_some(())
        });
    }

    /// Runs a service that must not start: its last words.
    fn refused(&self, flags: &[&str]) -> String {
        let mut service = self.begin(flags);
        assert_eq!(service.wait().code(), Some(1), "{:?}", service.log());
        service.wait_for("the last words", || {
            service.log().into_iter().rev().find(|line| line.starts_with("gunmetal: "))
        })
    }

    fn client(&self) -> Client {
        Client::at(self.at("dirty.sock"))
    }

    fn pid_file(&self) -> Option<u32> {
        fs::read_to_string(self.at("dirty.sock.pid")).ok()?.trim().parse().ok()
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

#[test]
fn the_pid_file_names_the_dirty_arbiter_and_goes_with_it() {
    let place = Place::new();
    let mut alone = place.start(&ALONE);
    assert_eq!(place.pid_file(), Some(alone.pid()));
    assert_eq!(fs::metadata(place.at("dirty.sock.pid")).unwrap().permissions().mode() & 0o777, 0o600);
    alone.signal(libc::SIGTERM);
    assert!(alone.wait().success());
    assert_eq!(place.names(), Vec::<String>::new());

    let mut service = place.start(&UNDER_A_MASTER);
    let is_ready = || service.log().iter().any(|line| line.contains("Dirty arbiter ready")).then_some(());
    service.wait_for("the start", is_ready);
    let arbiter = service.process("dirty arbiter");
    assert_eq!(place.pid_file(), Some(arbiter.pid));
    arbiter.signal(libc::SIGKILL);
    service.wait_for("the next one's pid", || {
        let next = service.processes("dirty arbiter").first()?.pid;
        (next != arbiter.pid && place.pid_file() == Some(next)).then_some(())
    });
    service.signal(libc::SIGTERM);
    assert!(service.wait().success());
    assert_eq!(place.names(), Vec::<String>::new());
}

#[test]
fn a_service_without_a_socket_path_has_the_program_s_pid_file() {
    let place = Place::new();
    let started = |service: &Service| {
        service.wait_for("the start", || {
            service.log().iter().any(|line| line.contains("Dirty arbiter ready")).then_some(())
        });
    };
    let mut first = place.begin(&["--dirty-only", "--dirty-workers", "1"]);
    started(&first);
    let path = place.at("gunmetal-dirty-probe.pid");
    assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", first.pid()));
    // Another one beside it is nobody's mistake, and has none.
    let mut second = place.begin(&["--dirty-only", "--dirty-workers", "1"]);
    started(&second);
    assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", first.pid()));
    for service in [&mut first, &mut second] {
        service.signal(libc::SIGTERM);
        assert!(service.wait().success());
    }
    assert_eq!(place.names(), Vec::<String>::new());
}

#[test]
fn a_start_beside_a_running_service_is_refused_and_harms_nobody() {
    for flags in [ALONE.as_slice(), UNDER_A_MASTER.as_slice()] {
        let place = Place::new();
        let first = place.start(flags);
        let family = first.descendants();
        let last = place.refused(&ALONE);
        let expected = format!("gunmetal: already running (pid {}): it keeps the pid file ", first.pid());
        assert!(last.starts_with(&expected), "{last}");
        assert_eq!(first.descendants(), family);
        place.wait_until_it_serves(&first);
    }
}

#[test]
fn a_killed_service_leaves_no_process_and_the_next_start_serves_at_once() {
    let place = Place::new();
    let mut before = place.start(&ALONE);
    for _ in 0..5 {
        let family = before.descendants();
        assert_eq!(family.len(), 3, "a router and two workers: {family:?}");
        before.signal(libc::SIGKILL);
        // Without a moment's wait.
        let next = place.start(&ALONE);
        before.wait_for("the end of its children", || all_ended(&family));
        assert_eq!(place.pid_file(), Some(next.pid()));
        let run_dir = format!("gunmetal-{}", next.pid());
        assert_eq!(place.names(), ["dirty.sock", "dirty.sock.pid", &run_dir]);
        before = next;
    }
}

#[test]
fn when_the_master_is_killed_calls_finish_and_nothing_is_left() {
    let place = Place::new();
    let mut service = place.start(&UNDER_A_MASTER);
    let family = service.descendants();
    let client = place.client();
    let call = {
        let client = client.clone();
        thread::spawn(move || client.execute::<f64>(APP, "sleep", args![1.0]))
    };
    wait_until_running(&service, &client, 1);
    service.signal(libc::SIGKILL);
    assert_eq!(call.join().unwrap().unwrap(), 1.0);
    service.wait_for("the end of everybody", || all_ended(&family));
    service.wait();
    assert_eq!(place.names(), Vec::<String>::new());
}

#[test]
fn the_next_start_ends_an_orphan_that_hangs() {
    let place = Place::new();
    let mut before = place.start(&UNDER_A_MASTER);
    let family = before.descendants();
    let arbiter = before.process("dirty arbiter");
    // It has a call to wait for.
    let client = place.client();
    let call = thread::spawn({
        let client = client.clone();
        move || client.execute::<f64>(APP, "sleep", args![1000.0])
    });
    wait_until_running(&before, &client, 1);
    before.signal(libc::SIGKILL);
    before.wait();
    // Only now: one that is stopped before is woken by the kernel, as its process group has become an orphan.
    before.wait_for("the orphan to notice", || {
        before.log().iter().any(|line| line.contains("the master is gone")).then_some(())
    });
    arbiter.signal(libc::SIGSTOP);

    let next = place.start(&UNDER_A_MASTER);
    assert!(call.join().unwrap().is_err());

    before.wait_for("the end of the orphan and its children", || all_ended(&family));
    let log = next.log().join("\n");
    assert!(log.contains("Ending an orphaned dirty arbiter"), "{log}");
    assert_eq!(place.pid_file(), Some(next.process("dirty arbiter").pid));
    let run_dir = format!("gunmetal-{}", next.pid());
    assert_eq!(place.names(), ["dirty.sock", "dirty.sock.pid", &run_dir]);
}

#[test]
fn an_orphan_that_was_stopped_is_woken_and_ends() {
    let place = Place::new();
    let mut before = place.start(&UNDER_A_MASTER);
    let family = before.descendants();
    before.process("dirty arbiter").signal(libc::SIGSTOP);
    before.signal(libc::SIGKILL);
    before.wait();
    before.wait_for("the end of the orphan and its children", || all_ended(&family));
    assert_eq!(place.names(), Vec::<String>::new());
}

#[test]
fn the_next_start_ends_an_orphan_that_is_busy() {
    let place = Place::new();
    let mut before = place.start(&UNDER_A_MASTER);
    let family = before.descendants();
    let client = place.client();
    let call = thread::spawn({
        let client = client.clone();
        move || client.execute::<f64>(APP, "sleep", args![1000.0])
    });
    wait_until_running(&before, &client, 1);
    before.signal(libc::SIGKILL);
    before.wait();
    let _next = place.start(&UNDER_A_MASTER);
    assert!(call.join().unwrap().is_err());
    before.wait_for("the end of the orphan and its children", || all_ended(&family));
}

#[test]
fn nobody_is_signalled_because_of_what_a_pid_file_says() {
    let mut innocent = Command::new("sleep").arg("1000").spawn().unwrap();
    let pid = innocent.id().to_string();
    let garbage = "not a pid";
    for text in [pid.as_str(), "1", "0", "99999999999999999999", garbage, ""] {
        let place = Place::new();
        fs::write(place.at("dirty.sock.pid"), text).unwrap();
        let mut service = place.start(&ALONE);
        service.signal(libc::SIGTERM);
        assert!(service.wait().success());
        assert!(innocent.try_wait().unwrap().is_none(), "{text:?} ended the process it named");
        // What is no pid is not a pid file either, and left alone.
        let left = fs::read_to_string(place.at("dirty.sock.pid")).ok();
        assert_eq!(left.as_deref(), (text == garbage).then_some(garbage), "{text:?}");
    }
    // Its own.
    let place = Place::new();
    let script = format!("echo $$ > dirty.sock.pid; exec {:?} {}", example_binary("probe"), ALONE.join(" "));
    let service = Service::of(place.command("/bin/sh", &["-c", &script]), tempfile::tempdir().unwrap());
    place.wait_until_it_serves(&service);
    // A link, which is not followed.
    let place = Place::new();
    fs::write(place.at("target"), &pid).unwrap();
    symlink(place.at("target"), place.at("dirty.sock.pid")).unwrap();
    let service = place.start(&ALONE);
    assert_eq!(fs::read_to_string(place.at("target")).unwrap(), pid);
    assert!(innocent.try_wait().unwrap().is_none());
    let log = service.log().join("\n");
    assert!(log.contains("No pid file") && log.contains("it is a symbolic link"), "{log}");
    innocent.kill().unwrap();
    innocent.wait().unwrap();
}

/// The test itself is the innocent process.
#[test]
fn nobody_is_signalled_because_he_has_locked_a_pid_file() {
    let place = Place::new();
    let path = place.at("dirty.sock.pid");
    fs::write(&path, "").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    let lock = |kind: i32| {
        let range =
            libc::flock { l_type: i16::try_from(kind).unwrap(), l_whence: 0, l_start: 0, l_len: 1, l_pid: 0 };
        nix::fcntl::fcntl(&file, nix::fcntl::FcntlArg::F_SETLK(&range)).unwrap();
    };
    lock(libc::F_WRLCK);
    let last = place.refused(&ALONE);
    let expected =
        format!("gunmetal: process {}, which is no dirty arbiter of this user, ", std::process::id());
    assert!(last.starts_with(&expected), "{last}");
    lock(libc::F_UNLCK);
    place.start(&ALONE);
}

#[test]
fn a_socket_is_taken_over_only_if_nobody_listens() {
    let place = Place::new();
    let listener = UnixListener::bind(place.at("dirty.sock")).unwrap();
    let last = place.refused(&ALONE);
    let path = place.at("dirty.sock");
    assert_eq!(last, format!("gunmetal: another process listens on {}", path.display()));
    assert!(UnixStream::connect(&path).is_ok(), "the listener's socket was removed");
    drop(listener);
    // What a crash leaves.
    let service = place.start(&ALONE);
    place.wait_until_it_serves(&service);
}

#[test]
fn a_path_that_no_socket_can_have_is_named_with_the_reason() {
    let place = Place::new();
    fs::write(place.at("file"), "precious").unwrap();
    fs::create_dir(place.at("directory")).unwrap();
    symlink(place.at("file"), place.at("link")).unwrap();
    let long = "x".repeat(108);
    for (name, reason) in [
        ("file", "exists and is not a socket"),
        ("directory", "exists and is not a socket"),
        ("link", "exists and is not a socket"),
        ("none/dirty.sock", "its directory does not exist"),
        ("file/dirty.sock", "Not a directory"),
        (long.as_str(), "is longer than 107 bytes"),
    ] {
        let last = place.refused(&["--dirty-only", "--dirty-socket", name]);
        assert!(
            last.contains(&place.at(name).display().to_string()) && last.contains(reason),
            "{name}: {last}"
        );
    }
    assert_eq!(fs::read_to_string(place.at("file")).unwrap(), "precious");
    assert_eq!(place.names(), ["directory", "file", "link"]);
}

fn all_ended(family: &[Process]) -> Option<()> {
    family.iter().all(|process| !process.is_alive()).then_some(())
}
