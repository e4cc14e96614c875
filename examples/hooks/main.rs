//! A service that keeps a journal of its processes' lives, a line for each station with the pid of the process it was
//! reached in: `cargo run --example hooks -- --dirty-only --dirty-workers 1`, then look into `journal.txt`.
//!
//! `JOURNAL` names another file. `JOURNAL_PANIC` and `JOURNAL_THREAD` name a hook that panics, or that leaves a thread
//! behind, to see what becomes of the service.

use std::fs::OpenOptions;
use std::io::Write;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use gunmetal::dirty::prelude::*;
use gunmetal::{DirtyArbiterStart, DirtyWorker, DirtyWorkerExit, Hooks, Server};

struct Journal;

impl Hooks for Journal {
    fn on_dirty_starting(&self, arbiter: &DirtyArbiterStart) {
        station("on_dirty_starting", &format!("with {} workers", arbiter.workers));
    }

    fn dirty_post_fork(&self, worker: &DirtyWorker) {
        station("dirty_post_fork", &format!("worker {} of {}", worker.age, worker.arbiter_pid));
    }

    fn dirty_worker_init(&self, worker: &DirtyWorker) {
        station("dirty_worker_init", &worker.apps.join(","));
    }

    fn dirty_worker_exit(&self, exit: &DirtyWorkerExit) {
        station("dirty_worker_exit", &format!("worker {} {}", exit.worker.pid, exit.cause));
    }
}

/// Two apps, to see that hooks come before and after all of them.
struct First;
struct Second;

#[dirty_app]
impl First {
    fn init(_: &InitContext) -> Result<Self> {
        station("init", "hooks:First");
        Ok(First)
    }

    #[action]
    fn pid(&self) -> u32 {
        station("call", "hooks:First");
        std::process::id()
    }

    /// Writes lines to the log.
    #[action]
    fn log(&self, name: String, count: u32) {
        for number in 0..count {
            tracing::info!("{name} {number} of {count}");
        }
    }

    fn close(&mut self) {
        station("close", "hooks:First");
    }
}

#[dirty_app]
impl Second {
    fn init(_: &InitContext) -> Result<Self> {
        station("init", "hooks:Second");
        Ok(Second)
    }

    fn close(&mut self) {
        station("close", "hooks:Second");
    }
}

/// Notes that a station was reached, in one write, since several processes note theirs.
fn station(name: &str, remark: &str) {
    let path = std::env::var("JOURNAL").unwrap_or_else(|_| "journal.txt".to_owned());
    let line = format!("{name} {} {remark}\n", std::process::id());
    let journal = OpenOptions::new().create(true).append(true).open(path);
    if let Err(error) = journal.and_then(|mut journal| journal.write_all(line.as_bytes())) {
        eprintln!("no journal: {error}");
    }
    let is_asked = |variable| std::env::var(variable).is_ok_and(|asked| asked == name);
    if is_asked("JOURNAL_PANIC") {
        panic!("asked to panic");
    }
    if is_asked("JOURNAL_THREAD") {
        let _ =
            thread::Builder::new().name("stray".into()).spawn(|| thread::sleep(Duration::from_secs(3600)));
    }
}

fn main() -> ExitCode {
    Server::new().app::<First>("hooks:First").app::<Second>("hooks:Second").hooks(Journal).run()
}
