//! How fast a dirty tree starts and heals, what its router keeps in memory, and that it sleeps when
//! there is nothing to do.

#![forbid(unsafe_code)]

use std::env;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use gunmetal::client::Client;
use gunmetal_benches::{CpuTime, Options, Process, Samples, Table, Tree, duration};
use gunmetal_protocol::{HEADER_LEN, Header, Segments, encode_status};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::runtime::Runtime;

fn main() -> Result<()> {
    let options = Options::from_args(env::args().skip(1))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    if options.wants_measure("spawn") {
        print!("{}", spawning(&runtime, &options)?);
    }
    if options.wants_measure("memory") {
        println!();
        print!("{}", memory(&options)?);
    }
    if options.wants_measure("idle") {
        println!();
        print!("{}", idle(&runtime, &options)?);
    }
    Ok(())
}

/// What a worker has to have in memory before it can answer.
const LOADS: [(&str, &[(&str, &str)]); 3] = [
    ("nothing loaded", &[]),
    ("200 MB preloaded by the master", &[("BENCH_PRELOAD_MB", "200")]),
    ("200 MB loaded by the app's init", &[("BENCH_INIT_MB", "200")]),
];

fn spawning(runtime: &Runtime, options: &Options) -> Result<Table> {
    let rounds = options.rounds.unwrap_or(if options.quick { 1 } else { 21 });
    let mut figures: Vec<[Samples; 2]> = LOADS.iter().map(|_| Default::default()).collect();
    let mut failed_calls = [0; LOADS.len()];
    for _ in 0..rounds {
        for (at, (_, environment)) in LOADS.iter().enumerate() {
            let start = Instant::now();
            let tree = Service::start(environment)?;
            runtime.block_on(async {
                let [boot, heal] = &mut figures[at];
                let worker = tree.worker().await?;
                boot.push(start.elapsed());
                // Once a tree: a worker that crashes again and again is started with a growing delay.
                let start = Instant::now();
                kill(worker, Signal::SIGKILL).context("killing a worker")?;
                failed_calls[at] += tree.next_worker(worker).await?;
                heal.push(start.elapsed());
                anyhow::Ok(())
            })?;
            figures[at].iter_mut().for_each(Samples::end_round);
        }
    }
    let mut table = Table::new(&[
        "one worker",
        "start to first call",
        "longest",
        "SIGKILL to next call",
        "longest",
        "calls failed meanwhile",
    ]);
    for (at, (name, _)) in LOADS.iter().enumerate() {
        let mut row = vec![(*name).to_string()];
        for samples in &figures[at] {
            let cell = |nanos: Option<f64>| nanos.map_or_else(String::new, duration);
            row.extend([cell(samples.median()), cell(samples.quantile(1.0))]);
        }
        row.push(format!("{} in {rounds} kills", failed_calls[at]));
        table.row(row);
    }
    Ok(table)
}

fn memory(options: &Options) -> Result<Table> {
    let count = options.scaled(1000);
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard.min(1 << 16), hard).context("raising the limit of open files")?;
    let service = Service::start(&[])?;
    let router = service.router()?;
    let mut table = Table::new(&["router", "resident", "private", "private, per connection"]);
    let idle = router.memory()?;
    table.row(vec!["idle".into(), kib(idle.resident), kib(idle.private)]);

    let connections: Vec<UnixStream> = (0..count)
        .map(|_| UnixStream::connect(service.tree.socket()))
        .collect::<Result<_, _>>()
        .context("opening idle connections")?;
    thread::sleep(Duration::from_millis(300));
    let connected = router.memory()?;
    let per_connection = |private: usize| format!("{} B", private.saturating_sub(idle.private) / count);
    table.row(vec![
        format!("{count} connections"),
        kib(connected.resident),
        kib(connected.private),
        per_connection(connected.private),
    ]);

    for connection in &connections {
        ask_status(connection).context("asking for the status")?;
    }
    let used = router.memory()?;
    table.row(vec![
        "the same after a STATUS on each".into(),
        kib(used.resident),
        kib(used.private),
        per_connection(used.private),
    ]);
    drop(connections);
    thread::sleep(Duration::from_millis(300));
    let closed = router.memory()?;
    table.row(vec!["after they closed".into(), kib(closed.resident), kib(closed.private)]);
    Ok(table)
}

fn idle(runtime: &Runtime, options: &Options) -> Result<Table> {
    let pause = Duration::from_secs(if options.quick { 1 } else { 10 });
    let service = Service::start(&[])?;
    runtime.block_on(service.worker())?;
    thread::sleep(Duration::from_millis(200));
    let processes = Process::tree(service.tree.arbiter().pid())?;
    let times = || processes.iter().map(Process::cpu_time).collect::<Result<Vec<CpuTime>>>();
    let before = times()?;
    thread::sleep(pause);
    let after = times()?;
    let seconds = pause.as_secs();
    let ticks = format!("ticks in {seconds} s");
    let mut table = Table::new(&["idle tree", "pid", &ticks, "processor time", "wake-ups", ""]);
    for ((process, before), after) in processes.iter().zip(before).zip(after) {
        let ticks = after.ticks - before.ticks;
        table.row(vec![
            process.title.chars().take(60).collect(),
            process.pid.to_string(),
            ticks.to_string(),
            duration((after.nanos - before.nanos) as f64),
            (after.wake_ups - before.wake_ups).to_string(),
            if ticks == 0 { "PASS" } else { "MISS" }.into(),
        ]);
    }
    Ok(table)
}

/// A running tree and a client of it.
struct Service {
    client: Client,
    tree: Tree,
    _dir: tempfile::TempDir,
}

impl Service {
    fn start(environment: &[(&str, &str)]) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let tree = Tree::start(env!("CARGO_BIN_EXE_bench-app"), dir.path().join("dirty.sock"), environment)?;
        Ok(Self { client: Client::at(tree.socket()), tree, _dir: dir })
    }

    /// The pid of the worker that answers.
    async fn worker(&self) -> Result<Pid> {
        let pid: i32 =
            self.client.execute("bench:Echo", "pid", ()).await.context("asking a worker for its pid")?;
        Ok(Pid::from_raw(pid))
    }

    /// Calls until another worker than `old`, which was killed, answers; returns how many calls failed until then.
    async fn next_worker(&self, old: Pid) -> Result<usize> {
        for failed in 0..1000 {
            match self.worker().await {
                Ok(pid) if pid != old => return Ok(failed),
                Ok(_) => bail!("a killed worker answered"),
                // The call was on its way to the worker when it died.
                Err(_) => {}
            }
        }
        bail!("a thousand calls failed after a kill")
    }

    fn router(&self) -> Result<Process> {
        let deadline = Instant::now() + Duration::from_secs(5);
        loop {
            let tree = Process::tree(self.tree.arbiter().pid())?;
            if let Some(router) = tree.iter().find(|process| process.title.contains("router")) {
                return Ok(router.clone());
            }
            ensure!(
                Instant::now() < deadline,
                "no process of the tree has \"router\" in its title: {tree:?}"
            );
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// One round trip that involves the router alone.
fn ask_status(mut connection: &UnixStream) -> Result<()> {
    let mut request = Segments::new();
    encode_status(1, &mut request);
    connection.write_all(&request.into_contiguous())?;
    let mut header = [0; HEADER_LEN];
    connection.read_exact(&mut header)?;
    let mut payload = vec![0; Header::decode(&header)?.payload_len as usize];
    connection.read_exact(&mut payload)?;
    Ok(())
}

fn kib(len: usize) -> String {
    format!("{} KiB", len >> 10)
}
