//! Where a service listens, and whose sockets those are: its own, handed over by number or by variables, or by systemd.

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod support;

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};

use libc::{SIGCONT, SIGHUP, SIGKILL, SIGSTOP, SIGTERM, SIGUSR2};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};
use support::Service;
use support::http::{Client, HttpService};
use support::master::{Load, PROGRAM, configure, directory_with, over, pid_in, start_configured, start_in};

#[test]
fn every_bind_is_listened_at() {
    let mut binds = vec!["127.0.0.1:0", "localhost:0", "unix:one.sock", "unix:two.sock"];
    if TcpListener::bind("[::1]:0").is_ok() {
        binds.push("[::1]:0");
    }
    let flags: Vec<&str> = binds.iter().flat_map(|bind| ["--bind", bind]).collect();
    let service = Service::start("hello", &flags, &[]);
    service.line("Booting worker");
    let listens: Vec<String> =
        service.log().into_iter().filter(|line| line.contains("Listening at: ")).collect();
    assert_eq!(listens.len(), binds.len(), "{listens:#?}");
    for line in listens {
        let address = line.split("Listening at: ").nth(1).unwrap().split(' ').next().unwrap();
        let answer = match address.strip_prefix("unix:") {
            Some(path) => over(&service.file(path), "/pid").unwrap(),
            None => {
                let stream = TcpStream::connect(address.strip_prefix("http://").unwrap()).unwrap();
                Client::new(stream).get("/pid").unwrap().body
            }
        };
        assert_eq!(answer, service.process("http worker").pid.to_string(), "{address}");
    }
    let mut service = service;
    service.signal(SIGTERM);
    assert_eq!(service.wait().code(), Some(0));
    service.leaves_nothing_but(&[]);
}

#[test]
fn umask_says_who_may_connect_to_a_unix_socket() {
    for (umask, mode) in [(None, 0o777), (Some("077"), 0o700), (Some("0o117"), 0o660)] {
        let mut flags = vec!["--bind", "127.0.0.1:0", "--bind", "unix:http.sock"];
        flags.extend(umask.iter().flat_map(|umask| ["--umask", umask]));
        let http = HttpService::of(Service::start("hello", &flags, &[]));
        http.answers();
        let metadata = fs::symlink_metadata(http.file("http.sock")).unwrap();
        assert!(metadata.file_type().is_socket());
        assert_eq!(metadata.permissions().mode() & 0o777, mode, "{umask:?}");
    }
}

#[test]
fn a_stale_socket_is_replaced_and_one_that_somebody_listens_at_is_not() {
    let directory = directory_with("hello");
    let path = directory.path().join("http.sock");
    drop(UnixListener::bind(&path).unwrap());
    let http = start_in(directory, &["--bind", "unix:http.sock"], &[]);
    assert!(http.answers_over("http.sock"));

    let last = refuses(&["--bind", &format!("unix:{}", http.file("http.sock").display())]);
    assert!(last.contains("another process listens on ") && last.ends_with("http.sock"), "{last}");
    assert!(http.answers_over("http.sock"), "the one that is there is left alone");
    // Whoever was killed has left one as well.
    let http = {
        let mut http = http;
        http.service.signal(SIGKILL);
        http.service.wait();
        http
    };
    http.service.wait_for("the end of its workers", || {
        UnixStream::connect(http.file("http.sock")).is_err().then_some(())
    });
    assert!(http.file("http.sock").exists());
    let bind = format!("unix:{}", http.file("http.sock").display());
    let next = HttpService::of(Service::start("hello", &["--bind", "127.0.0.1:0", "--bind", &bind], &[]));
    assert!(over(&http.file("http.sock"), "/pid").is_some());
    next.ends(SIGTERM, &[]);
    assert!(!http.file("http.sock").exists());
}

#[test]
fn an_address_that_cannot_be_listened_at_is_named_with_the_reason() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "precious").unwrap();
    let long = format!("unix:{}", "x".repeat(120));
    let cases = [
        (format!("unix:{}", file.display()), "exists and is not a socket"),
        (
            format!("unix:{}", directory.path().join("no/such/directory").display()),
            "its directory does not exist",
        ),
        (long, "is longer than 107 bytes"),
        ("192.0.2.1:0".to_owned(), "cannot listen at 192.0.2.1:0: Cannot assign requested address"),
        ("no-such-host.invalid:0".to_owned(), "cannot listen at no-such-host.invalid:0"),
        ("127.0.0.1:65536".to_owned(), "is not allowed"),
        ("fd://77".to_owned(), "this process was not started with a descriptor 77 that it could use"),
        ("fd://2".to_owned(), "descriptor \"2\" is not a number from 3 on"),
    ];
    for (bind, words) in cases {
        // What was bound before it is given back.
        let last = refuses(&["--bind", "unix:first.sock", "--bind", &bind]);
        assert!(last.contains(words), "{bind}: {last}");
    }
    assert_eq!(fs::read_to_string(file).unwrap(), "precious");
}

#[test]
fn a_descriptor_is_served_by_number() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let service = launch("hello", vec![listener.into()], "", &["--bind", "fd://3", "--bind", "127.0.0.1:0"]);
    let http = HttpService::of(service);
    assert_eq!(http.port, port, "the first one");
    http.answers();
    http.service.signal(SIGHUP);
    http.service.line("reload done");
    http.answers();
    http.ends(SIGTERM, &["app"]);
}

#[test]
fn listeners_of_systemd_are_served_whatever_bind_says_and_stay_where_they_are() {
    let directory = directory_with("hello");
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = tcp.local_addr().unwrap().port();
    let unix = UnixListener::bind(directory.path().join("activated.sock")).unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let bind = taken.local_addr().unwrap().to_string();
    let variables = "LISTEN_PID=$$ LISTEN_FDS=2";
    let flags = ["--bind", &bind, "--pid", "app.pid"];
    let mut http = HttpService::of(launch_in(directory, vec![tcp.into(), unix.into()], variables, &flags));
    assert_eq!(http.port, port);
    http.answers();
    assert!(http.answers_over("activated.sock"));
    http.service.line("systemd has opened the listeners: bind is not looked at");
    http.service.signal(SIGHUP);
    http.service.line("reload done");
    http.answers();

    // The next master has them too.
    http.service.signal(SIGUSR2);
    http.service.line("New master is in service");
    let new = pid_in(&http.file("app.pid.2")).unwrap();
    http.service.signal(SIGTERM);
    assert_eq!(http.service.wait().code(), Some(0));
    http.service.follow(new);
    http.service.line("promoted");
    http.answers();
    assert!(http.answers_over("activated.sock"));
    http.service.signal(SIGTERM);
    http.service.leaves_nothing_but(&["app", "activated.sock"]);
    assert!(http.file("activated.sock").exists(), "it is systemd's");
}

#[test]
fn listeners_of_systemd_that_are_for_another_process_are_not_touched() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    for variables in
        ["LISTEN_PID=1 LISTEN_FDS=1", "LISTEN_FDS=1", "LISTEN_PID=$$", "LISTEN_PID=$$ LISTEN_FDS=0"]
    {
        let descriptor = listener.try_clone().unwrap().into();
        let http = HttpService::of(launch("hello", vec![descriptor], variables, &["--bind", "127.0.0.1:0"]));
        assert_ne!(http.port, port, "{variables}");
        http.answers();
    }
}

#[test]
fn listeners_of_gunicorn_fd_are_served_whatever_bind_says() {
    let directory = directory_with("hello");
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = tcp.local_addr().unwrap().port();
    let unix = UnixListener::bind(directory.path().join("handed.sock")).unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let bind = taken.local_addr().unwrap().to_string();
    let descriptors = vec![tcp.into(), unix.into()];
    let http = HttpService::of(launch_in(directory, descriptors, "GUNICORN_FD=3,4", &["--bind", &bind]));
    assert_eq!(http.port, port);
    http.answers();
    assert!(http.answers_over("handed.sock"));
    // As with gunicorn, they are the service's.
    http.ends(SIGTERM, &["app"]);
}

#[test]
fn gunicorn_pid_means_an_upgrade_if_it_is_the_parent() {
    for (elder, name) in [("$PPID", "app.pid.2"), ("1", "app.pid"), ("4194303", "app.pid")] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let variables = format!("GUNICORN_FD=3 GUNICORN_PID={elder}");
        let flags = ["--pid", "app.pid", "--bind", "127.0.0.1:0"];
        let http = HttpService::of(launch("hello", vec![listener.into()], &variables, &flags));
        assert_eq!(http.port, port);
        http.answers();
        assert_eq!(pid_in(&http.file(name)), Some(http.service.pid()), "{elder}");
        http.ends(SIGTERM, &["app"]);
    }
}

#[test]
fn variables_that_make_no_sense_stop_the_start_and_are_named() {
    let cases = [
        ("GUNICORN_FD=x", "environment variable GUNICORN_FD = \"x\" is not understood"),
        ("GUNICORN_FD=3,,4", "environment variable GUNICORN_FD = \"3,,4\" is not understood"),
        ("GUNICORN_FD=99", "this process was not started with a descriptor 99 that it could use"),
        ("GUNICORN_FD=-3", "this process was not started with a descriptor -3 that it could use"),
        ("GUNICORN_FD=2", "this process was not started with a descriptor 2 that it could use"),
        ("GUNICORN_FD=3,3", "this process was not started with a descriptor 3 that it could use"),
        ("GUNICORN_FD=4", "descriptor 4 is no socket"),
        ("GUNICORN_PID=me", "environment variable GUNICORN_PID = \"me\" is not understood"),
        ("LISTEN_PID=$$ LISTEN_FDS=two", "environment variable LISTEN_FDS = \"two\" is not understood"),
        ("LISTEN_PID=me LISTEN_FDS=1", "environment variable LISTEN_PID = \"me\" is not understood"),
        ("LISTEN_PID=$$ LISTEN_FDS=2", "descriptor 4 is no socket"),
        ("LISTEN_PID=$$ LISTEN_FDS=2147483647", "LISTEN_FDS = \"2147483647\" is not understood"),
        ("LISTEN_PID=$$ LISTEN_FDS=60000", "descriptor 4 is no socket"),
        ("LISTEN_PID=$$ LISTEN_FDS=-1", "environment variable LISTEN_FDS = \"-1\" is not understood"),
    ];
    for (variables, words) in cases {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let null = fs::File::open("/dev/null").unwrap();
        let flags = ["--bind", "127.0.0.1:0", "--pid", "app.pid"];
        let mut service = launch("hello", vec![listener.into(), null.into()], variables, &flags);
        assert_eq!(service.wait().code(), Some(1), "{variables}");
        let last = service.line("gunmetal: ");
        assert!(last.contains(words), "{variables}: {last}");
        service.leaves_nothing_but(&["app"]);
    }
}

#[test]
fn so_many_connections_wait_as_backlog_says_and_a_reload_changes_it() {
    let directory = directory_with("hello");
    let settings =
        |backlog: u32| format!("bind = [\"127.0.0.1:0\", \"unix:http.sock\"]\nbacklog = {backlog}\n");
    configure(directory.path(), &settings(5));
    let http = start_configured(directory, &[]);
    http.answers();
    let path = http.file("http.sock");
    let waiting = || {
        let workers = http.service.processes("http worker");
        workers.iter().for_each(|worker| worker.signal(SIGSTOP));
        let is_stopped = |pid: u32| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
            stat.rsplit_once(") ").unwrap().1.starts_with('T')
        };
        http.service
            .wait_for("the stop", || workers.iter().all(|worker| is_stopped(worker.pid)).then_some(()));
        let clients: Vec<OwnedFd> = (0..100).map_while(|_| connect_at_once(&path)).collect();
        workers.iter().for_each(|worker| worker.signal(SIGCONT));
        clients.len()
    };
    // The kernel lets one more wait than was asked for.
    assert_eq!(waiting(), 5 + 1);
    http.answers_over("http.sock");
    configure(http.service.directory(), &settings(20));
    http.service.signal(SIGHUP);
    http.service.line("reload done");
    http.service.wait_for("the new worker alone", || (http.workers().len() == 1).then_some(()));
    assert_eq!(waiting(), 20 + 1);
}

#[test]
fn with_reuse_port_each_worker_has_a_listener_of_its_own() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let flags = ["--bind", &free.to_string(), "--reuse-port", "--workers", "3", "--pid", "app.pid"];
    let mut http = HttpService::of(Service::start_in(directory_with("hello"), "hello", &flags, &[]));
    assert_eq!(http.port, free.port());
    let workers = http.has_workers(3);
    http.service.wait_for("three listeners", || (listener_count(http.port) == 3).then_some(()));
    let each: Vec<_> = workers.iter().map(|worker| std::collections::BTreeSet::from([*worker])).collect();
    http.all_answer(&each.iter().collect::<Vec<_>>());
    http.service.signal(SIGHUP);
    http.service.line("reload done");
    http.service.wait_for("new workers", || http.workers().is_disjoint(&workers).then_some(()));
    http.service.wait_for("three listeners", || (listener_count(http.port) == 3).then_some(()));
    // The next master binds the port for itself.
    http.service.signal(SIGUSR2);
    http.service.line("New master is in service");
    let new = pid_in(&http.file("app.pid.2")).unwrap();
    http.service.signal(SIGTERM);
    assert_eq!(http.service.wait().code(), Some(0));
    http.service.follow(new);
    http.has_workers(3);
    http.answers();
    http.service.signal(SIGTERM);
    http.service.leaves_nothing_but(&["app"]);
}

#[test]
fn a_reload_opens_what_bind_has_more_and_closes_what_it_has_less() {
    let directory = directory_with("hello");
    configure(directory.path(), "bind = [\"127.0.0.1:0\", \"unix:one.sock\"]\nworkers = 2\n");
    let http = start_configured(directory, &[]);
    let load = Load::start(http.port);
    assert!(http.answers_over("one.sock"));
    let extra = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let more = format!("bind = [\"unix:two.sock\", \"{extra}\", \"127.0.0.1:0\"]\nworkers = 2\n");
    configure(http.service.directory(), &more);
    http.service.signal(SIGHUP);
    http.service.line("No longer listening at: unix:one.sock");
    http.service.line("Listening at: unix:two.sock");
    http.service.wait_for("the end of the file", || (!http.file("one.sock").exists()).then_some(()));
    assert!(http.answers_over("two.sock"));
    Client::new(TcpStream::connect(extra).unwrap()).get("/pid").unwrap();

    configure(http.service.directory(), "bind = [\"127.0.0.1:0\"]\nworkers = 2\n");
    http.service.signal(SIGHUP);
    http.service.line("No longer listening at: unix:two.sock");
    http.service.line(&format!("No longer listening at: http://{extra}"));
    http.service.wait_for("the end of the file", || (!http.file("two.sock").exists()).then_some(()));
    http.service.wait_for("the port to be free", || TcpListener::bind(extra).ok());
    load.has_lost_nothing();
    http.ends(SIGTERM, &["app", "app.toml"]);
}

#[test]
fn an_upgrade_with_another_bind_opens_and_closes_too() {
    let directory = directory_with("hello");
    let path = "pidfile = \"app.pid\"\n";
    configure(directory.path(), &format!("bind = [\"127.0.0.1:0\", \"unix:one.sock\"]\n{path}"));
    let mut http = start_configured(directory, &[]);
    let load = Load::start(http.port);
    configure(http.service.directory(), &format!("bind = [\"unix:two.sock\", \"127.0.0.1:0\"]\n{path}"));
    http.service.signal(SIGUSR2);
    http.service.line("New master is in service");
    let new = pid_in(&http.file("app.pid.2")).unwrap();
    assert!(http.answers_over("one.sock") && http.answers_over("two.sock"));
    http.service.signal(SIGTERM);
    assert_eq!(http.service.wait().code(), Some(0));
    http.service.follow(new);
    http.service.line("promoted");
    load.has_lost_nothing();
    assert!(http.answers_over("two.sock"));
    assert!(UnixStream::connect(http.file("one.sock")).is_err());
    http.service.signal(SIGTERM);
    http.service.leaves_nothing_but(&["app", "app.toml"]);
}

/// Starts the program with these descriptors as 3, 4 …, as systemd and gunicorn's masters do. `$$` in `variables` is its pid.
fn launch(example: &str, descriptors: Vec<OwnedFd>, variables: &str, flags: &[&str]) -> Service {
    launch_in(directory_with(example), descriptors, variables, flags)
}

fn launch_in(
    directory: tempfile::TempDir,
    descriptors: Vec<OwnedFd>,
    variables: &str,
    flags: &[&str],
) -> Service {
    // The shell has two to give away: its input and its output.
    let script = format!("exec 3<&0 4>&1 0</dev/null 1>/dev/null; {variables} exec \"$0\" \"$@\"");
    let mut command = Command::new("sh");
    command.args(["-c", &script, PROGRAM]).args(flags);
    command.env("TMPDIR", directory.path()).current_dir(directory.path()).stderr(Stdio::piped());
    let mut descriptors = descriptors.into_iter();
    command.stdin(descriptors.next().unwrap());
    command.stdout(descriptors.next().map_or_else(Stdio::null, Stdio::from));
    Service::as_it_is(command, directory)
}

/// Runs a service that cannot listen where it is told to; its last words.
fn refuses(flags: &[&str]) -> String {
    let mut service = Service::start("hello", flags, &[]);
    assert_eq!(service.wait().code(), Some(1), "{flags:?}");
    let last = service.line("gunmetal: ");
    service.leaves_nothing_but(&[]);
    last
}

/// A connection that is in the queue, if there is room.
fn connect_at_once(path: &Path) -> Option<OwnedFd> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let client = socket(AddressFamily::Unix, SockType::Stream, flags, None).unwrap();
    connect(client.as_raw_fd(), &UnixAddr::new(path).unwrap()).ok().map(|()| client)
}

/// How many sockets listen at a port.
fn listener_count(port: u16) -> usize {
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let rows = table.lines().map(|row| row.split_whitespace().collect::<Vec<_>>());
    rows.filter(|row| row.len() > 3 && row[1].ends_with(&format!(":{port:04X}")) && row[3] == "0A").count()
}
