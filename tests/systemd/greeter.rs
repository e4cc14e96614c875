//! `examples/systemd` under a supervisor.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use nix::sys::stat::Mode;

use crate::supervisor::Supervisor;
use crate::support::{PATIENCE, Process, Service, descendants, example_binary, kill};

/// A running service. What its workers greet with is in a file of the test.
pub(crate) struct Greeter {
    pub(crate) service: Service,
    /// The working directory.
    pub(crate) directory: PathBuf,
}

impl Greeter {
    /// Starts it on a port of its own.
    pub(crate) fn start(supervisor: &Supervisor, flags: &[&str], environment: &[(&str, &str)]) -> Greeter {
        Greeter::prepared(supervisor, flags, environment, |greeting| {
            fs::write(greeting, "Good day!\n").unwrap()
        })
    }

    /// Starts it with workers that wait for their greetings. Each line that is written lets one go on.
    pub(crate) fn held(supervisor: &Supervisor, flags: &[&str]) -> (Greeter, File) {
        let mut gate = None;
        let greeter = Greeter::prepared(supervisor, flags, &[], |greeting| {
            nix::unistd::mkfifo(greeting, Mode::from_bits_truncate(0o600)).unwrap();
            // Both ends: neither the test nor a worker waits for the other to open its own.
            gate = Some(OpenOptions::new().read(true).write(true).open(greeting).unwrap());
        });
        (greeter, gate.unwrap())
    }

    /// Starts it after `prepare` has been given the path of the greeting.
    pub(crate) fn prepared(
        supervisor: &Supervisor,
        flags: &[&str],
        environment: &[(&str, &str)],
        prepare: impl FnOnce(&PathBuf),
    ) -> Greeter {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().to_owned();
        prepare(&path.join("greeting"));
        // Systemd names the process that it starts as the one whose watchdog it is.
        let mut command = Command::new("sh");
        command.args(["-c", "[ -n \"$WATCHDOG_PID\" ] || export WATCHDOG_PID=$$; exec \"$0\" \"$@\""]);
        command.arg(example_binary("systemd")).args(["--bind", "127.0.0.1:0"]).args(flags);
        command.env("NOTIFY_SOCKET", supervisor.address()).env("GREETING", "greeting");
        command.env("TMPDIR", &path).envs(environment.iter().copied());
        command.current_dir(&path).stderr(Stdio::piped());
        let service = Service::of(command, directory);
        supervisor.watch(service.pid());
        Greeter { service, directory: path }
    }

    /// The port of the first master's first line about it.
    pub(crate) fn port(&self) -> u16 {
        self.service.wait_for("the line with the port", || {
            let log = self.service.log();
            let line = log.iter().find(|line| line.contains("Listening at: http://"))?;
            line.split("127.0.0.1:").nth(1)?.split(' ').next()?.parse().ok()
        })
    }

    /// What it answers at `path`.
    pub(crate) fn get(&self, path: &str) -> String {
        get(TcpStream::connect(("127.0.0.1", self.port())).unwrap(), path)
    }

    pub(crate) fn greeting(&self) -> PathBuf {
        self.directory.join("greeting")
    }

    pub(crate) fn workers(&self) -> Vec<u32> {
        self.service.processes("http worker").into_iter().map(|process| process.pid).collect()
    }
}

/// A master that outlives the one that the test started: it and what is below it end with this value.
pub(crate) struct Successor(pub(crate) u32);

impl Successor {
    pub(crate) fn process(&self) -> Process {
        Process { pid: self.0, title: String::new() }
    }
}

impl Drop for Successor {
    fn drop(&mut self) {
        let below = descendants(self.0);
        kill(self.0, libc::SIGKILL);
        for process in below {
            kill(process.pid, libc::SIGKILL);
        }
    }
}

/// The body of the answer to a request over `stream`.
pub(crate) fn get(mut stream: impl Read + Write, path: &str) -> String {
    write!(stream, "GET {path} HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

/// How long a test waits, for those that read streams themselves.
pub(crate) fn patient(stream: TcpStream) -> TcpStream {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}
