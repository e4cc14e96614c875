//! Sockets that systemd has opened.

use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Stdio};

use libc::{SIGTERM, SIGUSR2};

use crate::greeter::{Successor, get, patient};
use crate::supervisor::{Access, Supervisor};
use crate::support::{PATIENCE, Service, example_binary};

/// Moves what it finds as standard input and output to descriptors 3 and 4, and the first one to 7 as well.
const LAUNCHER: &str = "exec 3<&0 4<&1 7<&0 </dev/null >/dev/null; LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=web:local exec \"$0\" \"$@\"";

struct Sockets {
    tcp: TcpListener,
    unix: UnixListener,
}

impl Sockets {
    fn answers(&self) -> [String; 2] {
        let tcp = patient(TcpStream::connect(self.tcp.local_addr().unwrap()).unwrap());
        [get(tcp, "/"), get(self.connect(), "/")]
    }

    fn connect(&self) -> UnixStream {
        let address = self.unix.local_addr().unwrap();
        let stream = UnixStream::connect(address.as_pathname().unwrap()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }
}

/// Starts the service with both sockets.
fn activated(supervisor: &Supervisor, flags: &[&str]) -> (Service, Sockets) {
    let directory = tempfile::tempdir().unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let unix = UnixListener::bind(directory.path().join("web.sock")).unwrap();
    let passed_on = |socket: OwnedFd| Stdio::from(socket);
    let mut command = Command::new("sh");
    command.args(["-c", LAUNCHER]).arg(example_binary("systemd")).args(flags);
    command.stdin(passed_on(tcp.try_clone().unwrap().into()));
    command.stdout(passed_on(unix.try_clone().unwrap().into()));
    command.env("NOTIFY_SOCKET", supervisor.address()).env("TMPDIR", directory.path());
    command.current_dir(directory.path()).stderr(Stdio::piped());
    let service = Service::as_it_is(command, directory);
    supervisor.watch(service.pid());
    (service, Sockets { tcp, unix })
}

#[test]
fn the_sockets_of_systemd_are_served_and_stay_after_the_end() {
    let supervisor = Supervisor::new(Access::Main);
    // Taken, but not looked at.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let (mut service, sockets) = activated(&supervisor, &["--bind", &taken]);
    supervisor.until("READY=1");
    let greeting = "Hello from systemd!\n";
    assert_eq!(sockets.answers(), [greeting, greeting]);
    service.signal(SIGTERM);
    assert_eq!(service.wait().code(), Some(0));
    // Whoever comes now waits for the next start.
    drop(sockets.connect());
    assert!(TcpStream::connect(&taken).is_err());
}

#[test]
fn an_upgrade_passes_the_sockets_of_systemd_on_under_their_numbers() {
    let supervisor = Supervisor::new(Access::Main);
    let (mut service, sockets) = activated(&supervisor, &["--bind", "fd://7"]);
    supervisor.until("READY=1");
    service.signal(SIGUSR2);
    let named = supervisor.until("READY=1").pop().unwrap();
    let new = Successor(named.value("MAINPID").unwrap().parse().unwrap());
    service.signal(SIGTERM);
    assert_eq!(service.wait().code(), Some(0));
    let promoted = supervisor.until("READY=1").pop().unwrap();
    let (tcp, path) = (sockets.tcp.local_addr().unwrap(), sockets.unix.local_addr().unwrap());
    let path = path.as_pathname().unwrap().display().to_string();
    assert_eq!(promoted.status(), format!("1 worker serves at http://{tcp}, unix:{path}, http://{tcp}"));
    let greeting = "Hello from systemd!\n";
    assert_eq!(sockets.answers(), [greeting, greeting]);
    let words = service.log().join("\n");
    assert_eq!(words.matches("systemd has opened the listeners").count(), 2, "{words}");

    let process = new.process();
    process.signal(SIGTERM);
    service.wait_for("the end of the new master", || (!process.is_alive()).then_some(()));
    drop(sockets.connect());
    assert_eq!(supervisor.refused(), []);
}
