//! What an operator does to a service within a minute, and what else may happen to it.

use std::cell::Cell;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use libc::{SIGHUP, SIGKILL, SIGTERM, SIGTTIN, SIGTTOU};

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
}

impl Restless {
    pub(crate) fn start(flags: &[&str]) -> Restless {
        let directory = tempfile::tempdir().unwrap();
        // A copy, which can be changed.
        let program = directory.path().join("whoami");
        fs::copy(example_binary("whoami"), &program).unwrap();
        let mut command = Command::new(&program);
        command.args(["--bind", "127.0.0.1:0", "--workers", &WORKERS.to_string()]).args(flags);
        command.env("TMPDIR", directory.path()).current_dir(directory.path()).stderr(Stdio::piped());
        let service = Service::of(command, directory);
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
        let status = self.service.wait();
        assert_eq!(status.code(), Some(0), "{}", self.service.log().join("\n"));
        assert_eq!(self.service.leftovers(), [self.program.clone()], "left behind");
    }
}

/// Workers at the start and at the end.
const WORKERS: usize = 4;
/// How much later than the end of its worker a client may notice, on a machine that is busy.
const SLOW_CLIENT: Duration = Duration::from_millis(250);
