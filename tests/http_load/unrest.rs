//! What an operator does to a service within a minute, and what else may happen to it.

use std::cell::Cell;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use libc::{SIGHUP, SIGKILL, SIGTERM, SIGTTIN, SIGTTOU, SIGUSR2};

use crate::connection::{Afterwards, Connection};
use crate::failure::Killed;
use crate::support::{self, Process, Service, example_binary};

/// The service and where it listens.
pub(crate) struct Restless {
    service: Service,
    /// Who is to be signalled.
    master: Cell<u32>,
    /// What was started.
    program: PathBuf,
    pub(crate) address: SocketAddr,
}

/// One thing that is done to the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// HUP.
    Reload,
    /// TTIN.
    More,
    /// TTOU.
    Fewer,
    /// KILL to one of the workers.
    Kill,
    /// USR2 once the program's file is another one, and TERM to the old master.
    Upgrade,
}

impl Restless {
    pub(crate) fn start(flags: &[&str]) -> Restless {
        let directory = tempfile::tempdir().unwrap();
        // A copy, which can be changed.
        let program = directory.path().join("whoami");
        let writing = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
        fs::copy(example_binary("whoami"), &program).unwrap();
        let mut command = Command::new(&program);
        command.args(["--bind", "127.0.0.1:0", "--workers", &WORKERS.to_string()]).args(flags);
        command.env("TMPDIR", directory.path()).current_dir(directory.path()).stderr(Stdio::piped());
        let service = Service::of(command, directory);
        drop(writing);
        let address = service.wait_for("the line with the address", || {
            let log = service.log();
            let line = log.iter().find_map(|line| line.split("Listening at: http://").nth(1))?;
            line.split(' ').next()?.parse().ok()
        });
        let restless = Restless { master: service.pid().into(), service, address, program };
        restless.service.wait_for("the first answer", || restless.program_len());
        restless.settles();
        restless
    }

    /// Takes the steps one after the other, spread over `duration`, whether or not the service is done with the one before.
    /// Returns who was killed.
    pub(crate) fn goes_through(&self, steps: &[Step], duration: Duration) -> Vec<Killed> {
        let start = Instant::now();
        let mut killed = Vec::new();
        for (count, step) in (1_u32..).zip(steps) {
            match step {
                Step::Reload => self.signal(SIGHUP),
                Step::More => self.signal(SIGTTIN),
                Step::Fewer => self.signal(SIGTTOU),
                Step::Kill => killed.push(self.kill(killed.len())),
                Step::Upgrade => self.upgrade(),
            }
            let due = start + duration * count / u32::try_from(steps.len()).unwrap();
            thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        self.settles();
        killed
    }

    fn kill(&self, count: usize) -> Killed {
        let victim = self.service.wait_for("a worker to kill", || {
            let workers = self.workers();
            let at = count % workers.len().max(1);
            workers.into_iter().nth(at)
        });
        let from = Instant::now();
        victim.signal(SIGKILL);
        self.service.wait_for("the end of a worker", || victim.is_reaped().then_some(()));
        Killed { pid: victim.pid, from, until: Instant::now() + SLOW_CLIENT }
    }

    /// As an operator does it who knows gunicorn, by the pid file that `--pid service.pid` has the master write.
    fn upgrade(&self) {
        let old = self.master.get();
        let built = self.change_program();
        self.signal(SIGUSR2);
        let pid_file = self.program.with_file_name("service.pid");
        let second_pid_file = self.program.with_file_name("service.pid.2");
        let read = |path: &Path| fs::read_to_string(path).ok()?.trim().parse::<u32>().ok();
        let new = self.service.wait_for("the new master's pid file", || read(&second_pid_file));
        assert_eq!(read(&pid_file), Some(old), "the old master serves still");
        self.service
            .wait_for("an answer of the new program", || (self.program_len()? == built).then_some(()));

        self.signal(SIGTERM);
        let old = Process { pid: old, title: "the old master".into() };
        self.service.wait_for("the end of the old master", || (!old.is_alive()).then_some(()));
        self.service.wait_for("the promotion", || {
            (read(&pid_file) == Some(new) && !second_pid_file.exists()).then_some(())
        });
        assert_eq!(self.program_len(), Some(built), "nobody is left who runs the old program");
        self.master.set(new);
    }

    /// Replaces the program's file, which runs, by another build: one that is longer. Returns its length.
    fn change_program(&self) -> u64 {
        let _writing = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
        let built = self.program.with_file_name("built");
        fs::copy(&self.program, &built).unwrap();
        OpenOptions::new().append(true).open(&built).unwrap().write_all(b"another build").unwrap();
        fs::rename(&built, &self.program).unwrap();
        fs::metadata(&self.program).unwrap().len()
    }

    /// As many workers as at first, and no other is left.
    fn settles(&self) {
        self.service.wait_for("the workers to settle", || (self.workers().len() == WORKERS).then_some(()));
    }

    fn workers(&self) -> Vec<Process> {
        let below = support::descendants(self.master.get());
        below.into_iter().filter(|process| process.title.contains("http worker")).collect()
    }

    /// Which build of the program gives the next answer.
    fn program_len(&self) -> Option<u64> {
        let answer = Connection::open(self.address).ok()?.ask("/", Afterwards::Leave);
        Some(answer.ok()?.program_len)
    }

    fn signal(&self, signal: i32) {
        support::kill(self.master.get(), signal);
    }

    pub(crate) fn stops(mut self) {
        self.signal(SIGTERM);
        // Ended long ago if there was an upgrade.
        let status = self.service.wait();
        assert_eq!(status.code(), Some(0), "{}", self.service.log().join("\n"));
        let master = Process { pid: self.master.get(), title: "the master".into() };
        self.service.wait_for("the end of the master", || (!master.is_alive()).then_some(()));
        assert_eq!(self.service.leftovers(), [self.program.clone()], "left behind");
    }
}

/// A master that came later is nobody's child who would end it.
impl Drop for Restless {
    fn drop(&mut self) {
        let master = self.master.get();
        if master != self.service.pid() {
            let below = support::descendants(master);
            support::kill(master, SIGKILL);
            below.iter().for_each(|process| process.signal(SIGKILL));
        }
    }
}

/// Held by who writes a program and by who forks: a fork of another test would keep a file open for writing that is about to be
/// executed, which the kernel refuses ("text file busy").
static WRITING: Mutex<()> = Mutex::new(());
/// Workers at the start and at the end.
const WORKERS: usize = 4;
/// How much later than the end of its worker a client may notice, on a machine that is busy.
const SLOW_CLIENT: Duration = Duration::from_millis(250);
