//! A service that keeps a journal of its processes' lives, a line for each station with the pid of the process it was
//! reached in: `cargo run --example hooks`, then look into `journal.txt`.
//!
//! `JOURNAL` names another file. To see what becomes of the service, stations can be told to go wrong; each variable names
//! some of them, between commas: `JOURNAL_PANIC`, `JOURNAL_THREAD` (leaves a thread behind), `JOURNAL_ORPHAN` (leaves a
//! process behind), `JOURNAL_ABORT` (takes its process with it) and `JOURNAL_HANG` (waits for a file named `go`).

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::thread;
use std::time::Duration;

use axum::{Router, routing::get};
use gunmetal::dirty::prelude::*;
use gunmetal::{
    DirtyArbiterStart, DirtyWorker, DirtyWorkerExit, Hooks, HttpWorker, HttpWorkerExit, HttpWorkerProcess,
    MasterProcess, Server, preloaded,
};

struct Journal;

impl Hooks for Journal {
    fn on_starting(&self, master: &MasterProcess) {
        station("on_starting", &format!("{} with {} workers", master.name, master.workers));
    }

    fn when_ready(&self, master: &MasterProcess) {
        station("when_ready", &format!("{} at {}", master.name, master.addresses.join(",")));
    }

    fn on_reload(&self, master: &MasterProcess) {
        station("on_reload", &format!("{} with {} workers", master.name, master.workers));
    }

    fn nworkers_changed(&self, _: &MasterProcess, new: u32, old: Option<u32>) {
        let old = old.map_or_else(|| "none".to_owned(), |old| old.to_string());
        station("nworkers_changed", &format!("from {old} to {new}"));
    }

    fn pre_fork(&self, worker: &HttpWorkerProcess) {
        station("pre_fork", &format!("worker {} of {}", worker.age, worker.master_pid));
    }

    fn post_fork(&self, worker: &HttpWorkerProcess) {
        station("post_fork", &format!("worker {} of {}", worker.age, worker.master_pid));
    }

    fn post_worker_init(&self, worker: &HttpWorkerProcess) {
        station("post_worker_init", &format!("worker {} in slot {}", worker.age, worker.slot));
    }

    fn worker_abort(&self, worker: &HttpWorkerProcess) {
        station("worker_abort", &format!("worker {}", worker.age));
    }

    fn worker_exit(&self, worker: &HttpWorkerProcess) {
        station("worker_exit", &format!("worker {}", worker.age));
    }

    fn child_exit(&self, exit: &HttpWorkerExit) {
        let pid = exit.worker.pid.unwrap_or_default();
        station("child_exit", &format!("worker {pid} {}", exit.cause));
    }

    fn pre_exec(&self, master: &MasterProcess) {
        station("pre_exec", &format!("child of {}", master.pid));
    }

    fn on_exit(&self, master: &MasterProcess) {
        station("on_exit", master.name);
    }

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

/// What every worker needs: the process that has loaded it.
struct Loaded {
    by: u32,
}

fn load() -> std::io::Result<Loaded> {
    station("load", "what every worker needs");
    Ok(Loaded { by: std::process::id() })
}

/// The web side: who answers, who has loaded what it needs, and a request that hangs the worker as a whole.
async fn serve(worker: HttpWorker) -> std::io::Result<()> {
    let app = Router::new()
        .route("/pid", get(async || std::process::id().to_string()))
        .route("/loaded", get(async || preloaded::<Loaded>().map_or(0, |loaded| loaded.by).to_string()))
        .route("/variable", get(async || std::env::var("VARIABLE").unwrap_or_default()))
        .route("/grow", get(async || std::mem::forget(vec![1_u8; 128 << 20])))
        .route("/hang", get(hang));
    worker.serve(app).await
}

/// Blocks every thread of the runtime.
async fn hang() {
    for _ in 0..tokio::runtime::Handle::current().metrics().num_workers() {
        tokio::spawn(async { forever() });
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
    let is_asked =
        |variable| std::env::var(variable).is_ok_and(|asked| asked.split(',').any(|asked| asked == name));
    if is_asked("JOURNAL_PANIC") {
        panic!("asked to panic");
    }
    if is_asked("JOURNAL_THREAD") {
        let _ = thread::Builder::new().name("stray".into()).spawn(forever);
    }
    if is_asked("JOURNAL_ORPHAN") {
        // The shell ends, what it has started goes on for a moment.
        let _ = Command::new("sh").args(["-c", "sleep 0.1 & echo $! >> orphans.txt"]).status();
    }
    if is_asked("JOURNAL_ABORT") {
        std::process::abort();
    }
    while is_asked("JOURNAL_HANG") && !Path::new("go").exists() {
        thread::sleep(Duration::from_millis(5));
    }
}

fn forever() {
    loop {
        thread::sleep(Duration::from_secs(3600));
    }
}

fn main() -> ExitCode {
    Server::new()
        .app::<First>("hooks:First")
        .app::<Second>("hooks:Second")
        .http_async(serve)
        .hooks(Journal)
        .preload(load)
        .run()
}
