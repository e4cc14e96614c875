//! A service under a master, and what tests ask of it.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use tempfile::TempDir;

use super::http::{Client, HttpService};
use super::{PATIENCE, Process, Service, example_binary};

/// What services of these tests are called in their directory.
pub const PROGRAM: &str = "./app";

/// A directory with a program in it, which is a link to an example: so it can be changed.
pub fn directory_with(example: &str) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    put_program(directory.path(), &example_binary(example));
    directory
}

/// Puts another program in the place of the one in a directory.
pub fn put_program(directory: &Path, binary: &Path) {
    let new = directory.join("app.new");
    std::os::unix::fs::symlink(binary, &new).unwrap();
    fs::rename(new, directory.join(PROGRAM)).unwrap();
}

/// Starts the program of a directory, on a port of its own.
pub fn start_in(directory: TempDir, flags: &[&str], environment: &[(&str, &str)]) -> HttpService {
    let mut command = command(directory.path(), flags, environment);
    command.stderr(Stdio::piped());
    HttpService::of(Service::of(command, directory))
}

/// The settings of a service that is started by [`start_configured`].
pub fn configure(directory: &Path, settings: &str) {
    fs::write(directory.join("app.toml"), settings).unwrap();
}

/// Starts the program of a directory with the settings of its `app.toml`, which binds `127.0.0.1:0` first.
pub fn start_configured(directory: TempDir, environment: &[(&str, &str)]) -> HttpService {
    HttpService::of(begin_configured(directory, environment))
}

/// As [`start_configured`], without waiting for anything.
pub fn begin_configured(directory: TempDir, environment: &[(&str, &str)]) -> Service {
    let mut command = Command::new(PROGRAM);
    command.args(["--config", "app.toml"]).envs(environment.iter().copied());
    command.env("TMPDIR", directory.path()).current_dir(directory.path()).stderr(Stdio::piped());
    Service::of(command, directory)
}

/// Starts the program of a directory as a daemon, with `app.pid` and `app.log`, on a port of its own.
pub fn daemon_in(directory: TempDir, flags: &[&str], environment: &[(&str, &str)]) -> HttpService {
    let mut all = vec!["--daemon", "--pid", "app.pid", "--error-logfile", "app.log"];
    all.extend_from_slice(flags);
    let mut command = command(directory.path(), &all, environment);
    command.stderr(Stdio::piped());
    let mut service = Service::of(command, directory);
    let code = service.wait().code();
    assert_eq!(code, Some(0), "{:?}", service.log());
    let master = pid_in(&service.file("app.pid")).unwrap();
    service.follow(master);
    let port = lines(&service.file("app.log")).iter().find_map(|line| port_in(line)).unwrap();
    HttpService { service, port }
}

fn command(directory: &Path, flags: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(["--bind", "127.0.0.1:0"]).args(flags);
    command.envs(environment.iter().copied()).env("TMPDIR", directory).current_dir(directory);
    command
}

fn port_in(line: &str) -> Option<u16> {
    line.split_once("Listening at: http://127.0.0.1:")?.1.split(' ').next()?.parse().ok()
}

/// The lines of a file that need not be there.
pub fn lines(path: &Path) -> Vec<String> {
    fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

/// The process that a pid file names.
pub fn pid_in(path: &Path) -> Option<u32> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

impl Service {
    /// A file in the service's directory.
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory().join(name)
    }

    /// Waits for a line of the log, on standard error or in `app.log`, and returns it.
    pub fn line(&self, part: &str) -> String {
        self.wait_for(part, || self.lines().into_iter().find(|line| line.contains(part)))
    }

    /// Everything that has been logged.
    pub fn lines(&self) -> Vec<String> {
        let mut all = self.log();
        all.extend(lines(&self.file("app.log")));
        all
    }

    /// How many lines of the log have this part.
    pub fn count(&self, part: &str) -> usize {
        self.lines().iter().filter(|line| line.contains(part)).count()
    }

    /// Waits until none of the service's processes is left, and checks that its files are gone, but for `left`.
    pub fn leaves_nothing_but(&self, left: &[&str]) {
        self.wait_for("the end of every process", || self.strays().is_empty().then_some(()));
        let name = |path: PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
        let found: BTreeSet<String> = self.leftovers().into_iter().map(name).collect();
        let found: Vec<&str> = found.iter().map(String::as_str).filter(|name| !left.contains(name)).collect();
        assert!(found.is_empty(), "left behind: {found:?}");
    }
}

impl HttpService {
    /// Waits until this many HTTP workers serve, and no other process of that kind is left below the followed master.
    pub fn has_workers(&self, count: usize) -> BTreeSet<u32> {
        self.service.wait_for("the workers", || Some(self.workers()).filter(|workers| workers.len() == count))
    }

    /// Waits until there are this many HTTP workers below `master`.
    pub fn has_workers_of(&self, master: u32, count: usize) -> BTreeSet<u32> {
        let workers = || http_workers_of(master);
        self.service.wait_for("the workers", || Some(workers()).filter(|workers| workers.len() == count))
    }

    /// The body of an answer; the request must not fail.
    pub fn body(&self, path: &str) -> String {
        let answer = self.connect().get(path).unwrap();
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.body
    }

    /// The status of an answer; the request must not fail.
    pub fn status(&self, path: &str) -> u16 {
        self.connect().get(path).unwrap().status
    }

    /// Which worker answers.
    pub fn answers(&self) -> u32 {
        self.body("/pid").parse().unwrap()
    }

    /// Asks over and over until workers of all these sets have answered.
    pub fn all_answer(&self, sets: &[&BTreeSet<u32>]) {
        let mut heard = BTreeSet::new();
        self.service.wait_for("answers of all", || {
            heard.insert(self.answers());
            sets.iter().all(|set| !set.is_disjoint(&heard)).then_some(())
        });
    }

    /// Whether the service answers over the unix socket of that name.
    pub fn answers_over(&self, socket: &str) -> bool {
        over(&self.service.file(socket), "/pid").is_some()
    }

    /// Has the master end, which must be the process that the test started and leave nothing but `left`.
    pub fn ends(mut self, signal: i32, left: &[&str]) {
        self.service.signal(signal);
        assert_eq!(self.service.wait().code(), Some(0), "{:#?}", self.service.lines());
        self.service.leaves_nothing_but(left);
    }
}

/// The HTTP workers right below a master.
pub fn http_workers_of(master: u32) -> BTreeSet<u32> {
    let is_child = |process: &Process| super::stat(process.pid).is_some_and(|(_, parent)| parent == master);
    let below = super::descendants(master).into_iter();
    let workers = below.filter(|process| process.title.contains("http worker")).filter(is_child);
    workers.map(|process| process.pid).collect()
}

/// The body of an answer over a unix socket.
pub fn over(socket: &Path, path: &str) -> Option<String> {
    let stream = UnixStream::connect(socket).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    Client::new(stream).get(path).ok().filter(|answer| answer.status == 200).map(|answer| answer.body)
}

/// Clients that ask without end, over new connections and over kept ones.
pub struct Load {
    ends: Arc<AtomicBool>,
    clients: Vec<JoinHandle<(usize, Vec<String>)>>,
}

impl Load {
    pub fn start(port: u16) -> Load {
        let ends = Arc::new(AtomicBool::new(false));
        let client = |keeps: bool| {
            let ends = Arc::clone(&ends);
            thread::spawn(move || ask(port, keeps, &ends))
        };
        let clients = vec![client(true), client(true), client(false)];
        Load { ends, clients }
    }

    /// Ends it. Not one request has failed, of how many.
    pub fn has_lost_nothing(self) -> usize {
        self.ends.store(true, Ordering::Relaxed);
        let outcomes: Vec<_> = self.clients.into_iter().map(|client| client.join().unwrap()).collect();
        let failures: Vec<&String> = outcomes.iter().flat_map(|(_, failures)| failures).collect();
        let count = outcomes.iter().map(|(count, _)| count).sum();
        assert!(failures.is_empty(), "{} of {count} failed: {:?}", failures.len(), failures.first());
        count
    }
}

fn ask(port: u16, keeps: bool, ends: &AtomicBool) -> (usize, Vec<String>) {
    let (mut count, mut failures, mut kept) = (0, Vec::new(), None);
    while !ends.load(Ordering::Relaxed) {
        count += 1;
        let outcome =
            kept.take().map_or_else(|| connect(port), Ok).and_then(|mut client: Client<TcpStream>| {
                let answer = client.get("/pid")?;
                if keeps && !answer.closes {
                    kept = Some(client);
                }
                Ok(answer.status)
            });
        match outcome {
            Ok(200) => {}
            Ok(status) => failures.push(status.to_string()),
            Err(error) => failures.push(error.to_string()),
        }
        thread::sleep(std::time::Duration::from_millis(1));
    }
    (count, failures)
}

fn connect(port: u16) -> std::io::Result<Client<TcpStream>> {
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(Client::new(stream))
}
