//! Starts a real service for a test, looks at its processes, and leaves nothing behind.

#![allow(dead_code, unreachable_pub, reason = "each file of tests uses a part of this module")]

pub mod companions;
pub mod http;
pub mod http2;
pub mod master;
pub mod probe;
pub mod python;
pub mod raw;
pub mod traces;
pub mod troupe;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long a condition may take to come true before a test gives up on it.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A running service: an example binary of this package in a directory of its own.
pub struct Service {
    child: Child,
    /// The process that is looked at: the one that was started, or another that goes on in its place.
    main: u32,
    directory: tempfile::TempDir,
    log: Arc<Mutex<Vec<String>>>,
}

impl Service {
    /// Starts `example` with `flags`; its temporary files (`TMPDIR`) and working directory are the test's own.
    pub fn start(example: &str, flags: &[&str], environment: &[(&str, &str)]) -> Service {
        Service::start_in(tempfile::tempdir().unwrap(), example, flags, environment)
    }

    /// [`start`](Self::start), in a directory that the test has prepared.
    pub fn start_in(
        directory: tempfile::TempDir,
        example: &str,
        flags: &[&str],
        environment: &[(&str, &str)],
    ) -> Service {
        let mut command = Command::new(example_binary(example));
        command.args(flags).envs(environment.iter().copied()).env("TMPDIR", directory.path());
        command.current_dir(directory.path()).stderr(Stdio::piped());
        Service::of(command, directory)
    }

    /// Runs `command`, which keeps its files in `directory`; collects what it writes to standard error if that is piped.
    pub fn of(mut command: Command, directory: tempfile::TempDir) -> Service {
        command.stdin(Stdio::null()).stdout(Stdio::null());
        Service::as_it_is(command, directory)
    }

    /// The same, with the standard input and output that `command` has.
    pub fn as_it_is(mut command: Command, directory: tempfile::TempDir) -> Service {
        let mut child = command.spawn().unwrap();
        // Closes what was passed on.
        drop(command);
        let log = Arc::new(Mutex::new(Vec::new()));
        if let Some(stderr) = child.stderr.take() {
            let lines = Arc::clone(&log);
            std::thread::spawn(move || {
                for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                    lines.lock().unwrap().push(line);
                }
            });
        }
        Service { main: child.id(), child, directory, log }
    }

    /// Starts the probe as a dirty arbiter alone, and waits until its socket takes connections.
    pub fn probe(flags: &[&str], environment: &[(&str, &str)]) -> Service {
        let mut all = vec!["--dirty-only", "--dirty-socket", "dirty.sock"];
        all.extend_from_slice(flags);
        let service = Service::start("probe", &all, environment);
        service
            .wait_for("the dirty socket", || std::os::unix::net::UnixStream::connect(service.socket()).ok());
        service
    }

    /// The dirty socket of [`Service::probe`].
    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("dirty.sock")
    }

    /// The process that the test started, or [follows](Self::follow).
    pub fn pid(&self) -> u32 {
        self.main
    }

    /// Looks at another process from now on: a daemon, or the next master of the same service.
    pub fn follow(&mut self, pid: u32) {
        self.main = pid;
    }

    /// What the service wrote to standard error so far.
    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    /// Every process below the one that the test started, parents first.
    pub fn descendants(&self) -> Vec<Process> {
        descendants(self.pid())
    }

    /// The descendants whose title contains `part`.
    pub fn processes(&self, part: &str) -> Vec<Process> {
        self.descendants().into_iter().filter(|process| process.title.contains(part)).collect()
    }

    /// The one descendant whose title contains `part`; waits until there is exactly one.
    pub fn process(&self, part: &str) -> Process {
        self.wait_for(part, || {
            let mut found = self.processes(part);
            if found.len() == 1 { found.pop() } else { None }
        })
    }

    /// Waits until `condition` gives something, and fails the test with the service's log if it never does.
    pub fn wait_for<T>(&self, what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
        let give_up = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = condition() {
                return found;
            }
            assert!(
                Instant::now() < give_up,
                "waited {PATIENCE:?} in vain for {what}; processes: {:#?}; log:\n{}",
                self.descendants(),
                self.log().join("\n")
            );
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Sends `signal` to the process that the test started.
    pub fn signal(&self, signal: i32) {
        kill(self.pid(), signal);
    }

    /// Waits for the end of the process that the test started.
    pub fn wait(&mut self) -> ExitStatus {
        let give_up = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(
                Instant::now() < give_up,
                "still running after {PATIENCE:?}; log:\n{}",
                self.log().join("\n")
            );
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Where the service keeps its files: its working directory.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Processes whose working directory is the service's, whoever has started them: what a service must not leave behind.
    pub fn strays(&self) -> Vec<Process> {
        let directory = fs::canonicalize(self.directory.path()).unwrap();
        let is_here = |pid: &u32| {
            fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|path| path.starts_with(&directory))
                && state(*pid).is_some_and(|state| state != 'Z')
        };
        pids().filter(is_here).map(|pid| Process { pid, title: title(pid) }).collect()
    }

    /// Files, sockets and directories that the service left in its directory.
    pub fn leftovers(&self) -> Vec<PathBuf> {
        fs::read_dir(self.directory.path()).unwrap().map(|entry| entry.unwrap().path()).collect()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let below = self.descendants();
        let _ = self.child.kill();
        let _ = self.child.wait();
        below.iter().for_each(|process| kill(process.pid, libc::SIGKILL));
        // Who was being forked meanwhile is seen the next time.
        for _ in 0..100 {
            let strays = self.strays();
            if strays.is_empty() {
                break;
            }
            strays.iter().for_each(|process| kill(process.pid, libc::SIGKILL));
            std::thread::sleep(Duration::from_millis(10));
        }
        if std::thread::panicking() {
            eprintln!("log of the service:\n{}", self.log().join("\n"));
        }
    }
}

/// A process as `/proc` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// Its command line, which is its title.
    pub title: String,
}

impl Process {
    /// Whether it still runs (a zombie does not).
    pub fn is_alive(&self) -> bool {
        state(self.pid).is_some_and(|state| state != 'Z')
    }

    /// Whether it has ended and its parent has taken note: not even a zombie is left.
    pub fn is_reaped(&self) -> bool {
        state(self.pid).is_none()
    }

    /// Sends it `signal`.
    pub fn signal(&self, signal: i32) {
        kill(self.pid, signal);
    }

    /// Resident memory in KiB.
    pub fn resident_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|rest| rest.trim().trim_end_matches(" kB").trim().parse().ok()).unwrap_or(0)
    }
}

/// Every live process below `root`, parents first.
pub fn descendants(root: u32) -> Vec<Process> {
    let parents: Vec<(u32, u32)> = pids()
        .filter_map(|pid| {
            let (state, parent) = stat(pid)?;
            (state != 'Z').then_some((pid, parent))
        })
        .collect();
    let mut found = vec![root];
    let mut next = 0;
    while next < found.len() {
        let parent = found[next];
        found.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    found[1..].iter().map(|&pid| Process { pid, title: title(pid) }).collect()
}

/// Sends `signal` to `pid`; a process that is already gone is fine.
pub fn kill(pid: u32, signal: i32) {
    let pid = nix::unistd::Pid::from_raw(i32::try_from(pid).unwrap());
    let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::try_from(signal).unwrap());
}

/// The built example, which `cargo test` puts beside the tests.
pub fn example_binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().and_then(Path::parent).unwrap();
    let binary = profile.join("examples").join(name);
    assert!(binary.exists(), "{} is missing: run `cargo build --examples` first", binary.display());
    binary
}

fn pids() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn title(pid: u32) -> String {
    let raw = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&raw).replace('\0', " ").trim().to_owned()
}

fn state(pid: u32) -> Option<char> {
    stat(pid).map(|(state, _)| state)
}

/// State and parent of `pid`, from `/proc/<pid>/stat`, see proc_pid_stat(5).
fn stat(pid: u32) -> Option<(char, u32)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}
