//! A web service with companions that write down how they live.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use super::http::HttpService;
use super::master::{configure, directory_with, lines, start_configured};
use super::{PATIENCE, Process, Service};

/// What such a service leaves in its directory.
pub const LEFT: [&str; 4] = ["app", "app.toml", "companion.sh", "notes"];

/// The first settings of such a service.
pub const SETTINGS: &str =
    "bind = [\"127.0.0.1:0\"]\npidfile = \"app.pid\"\ncompanion_control_socket = \"c.sock\"\n";

/// A companion that is there by the name and lives in this manner, see [`SCRIPT`].
pub fn companion(name: &str, manner: &str) -> String {
    companion_with(name, manner, "")
}

/// The same with more settings.
pub fn companion_with(name: &str, manner: &str, settings: &str) -> String {
    let command = ["sh", "companion.sh", name, manner];
    format!("[[companion_workers]]\nname = {name:?}\ncommand = {command:?}\n{settings}\n")
}

/// A directory with an example as its program, configured like this.
pub fn directory_of(example: &str, settings: &str) -> TempDir {
    let directory = directory_with(example);
    fs::create_dir(directory.path().join("notes")).unwrap();
    fs::write(directory.path().join("companion.sh"), SCRIPT).unwrap();
    configure(directory.path(), settings);
    directory
}

/// Starts `hello` with [`SETTINGS`] and these behind them, and waits until the first process of each companion has begun.
pub fn start(settings: &str, names: &[&str]) -> HttpService {
    start_example("hello", settings, names)
}

/// The same for another example.
pub fn start_example(example: &str, settings: &str, names: &[&str]) -> HttpService {
    let directory = directory_of(example, &format!("{SETTINGS}{settings}"));
    let http = start_configured(directory, &[("GUNMETAL", env!("CARGO_BIN_EXE_gunmetal"))]);
    for name in names {
        http.service.begins(name, 1);
    }
    http
}

impl Service {
    /// What companions have written down: name, pid, event.
    pub fn notes(&self) -> Vec<(String, u32, String)> {
        let parts = |line: &String| {
            let mut parts = line.splitn(3, ' ').map(str::to_owned);
            Some((parts.next()?, parts.next()?.parse().ok()?, parts.next()?))
        };
        lines(&self.file("notes/lives")).iter().filter_map(parts).collect()
    }

    /// The pids of those processes of a companion to which this has happened.
    pub fn noted(&self, name: &str, event: &str) -> Vec<u32> {
        let notes = self.notes().into_iter();
        notes.filter(|(of, _, what)| of == name && what == event).map(|(_, pid, _)| pid).collect()
    }

    /// Waits until the `count`th process of a companion has begun.
    pub fn begins(&self, name: &str, count: usize) -> u32 {
        let begun = || self.noted(name, "begins").get(count - 1).copied();
        self.wait_for(&format!("process {count} of {name}"), begun)
    }

    /// Waits until this has happened to that process of a companion.
    pub fn comes_to(&self, name: &str, pid: u32, event: &str) {
        self.wait_for(event, || self.noted(name, event).contains(&pid).then_some(()));
    }

    /// No companion has ever had two processes at a time.
    pub fn never_had_two(&self) {
        let twice: Vec<_> = self.notes().into_iter().filter(|(_, _, what)| what == "twice").collect();
        assert!(twice.is_empty(), "{twice:?}; log: {:#?}", self.lines());
    }

    /// Lets those go that wait for that.
    pub fn go(&self) {
        fs::write(self.file("notes/go"), "").unwrap();
    }

    pub fn manager(&self) -> Process {
        self.process("gunmetal: companion manager")
    }

    /// Waits until another one is in the place of this manager.
    pub fn next_manager(&self, old: &Process) -> Process {
        self.wait_for("another manager", || {
            let mut managers = self.processes("gunmetal: companion manager");
            let manager = managers.pop().filter(|manager| managers.is_empty() && manager.pid != old.pid);
            manager.filter(|_| UnixStream::connect(self.file("c.sock")).is_ok())
        })
    }

    /// What a companion is, by the answer of its manager.
    pub fn status_of(&self, name: &str) -> Value {
        let answer = ask(&self.file("c.sock"), &format!(r#"{{"cmd":"status","name":"{name}"}}"#));
        answer["companions"][0].clone()
    }
}

/// The answer of a manager.
pub fn ask(socket: &Path, request: &str) -> Value {
    Operator::connect(socket).ask(request)
}

/// Somebody at a control socket.
pub struct Operator(pub BufReader<UnixStream>);

impl Operator {
    pub fn connect(socket: &Path) -> Operator {
        let stream = UnixStream::connect(socket).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Operator(BufReader::new(stream))
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).unwrap();
    }

    /// The next line, if there is one.
    pub fn hear(&mut self) -> Option<Value> {
        let mut line = String::new();
        let len = self.0.read_line(&mut line).unwrap();
        (len > 0).then(|| serde_json::from_str(&line).unwrap())
    }

    pub fn ask(&mut self, request: &str) -> Value {
        self.send(format!("{request}\n").as_bytes());
        self.hear().expect("the manager has closed the connection")
    }
}

/// A path in the directory of a service, absolute.
pub fn absolute(service: &Service, name: &str) -> PathBuf {
    fs::canonicalize(service.directory()).unwrap().join(name)
}

/// A companion. Its manner is what it does at SIGTERM, SIGINT or SIGUSR1: it `obeys`, it `ignores` them, it `waits` until it is
/// let go, or it waits and `calls` the dirty arbiter before it ends.
///
/// A lock, which the kernel takes away at the end of a process however that comes, tells whether there are two.
const SCRIPT: &str = r#"
name=$1
note() { echo "$name $$ $1" >> notes/lives; }
wait_to_go() { note "waits"; while [ ! -e notes/go ]; do sleep 0.02 9>&-; done; }
exec 9>> "notes/lock.$name"
flock -n 9 || note twice
for signal in TERM INT USR1; do
    end="note 'ends by $signal'; exit 0"
    case $2 in
        obeys) trap "$end" $signal ;;
        ignores) trap '' $signal ;;
        waits) trap "wait_to_go; $end" $signal ;;
        calls) trap "wait_to_go; note \"called \$(\"\$GUNMETAL\" call hooks:First pid)\"; $end" $signal ;;
    esac
done
note begins
# What it forks would share the lock, and so outlive it for a moment.
[ "$2" = ignores ] && exec sleep 100000
while :; do sleep 0.05 9>&-; done
"#;
