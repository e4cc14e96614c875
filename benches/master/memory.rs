//! What master and workers keep in memory, idle and around something large that the master has loaded for all.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use gunmetal_benches::{Bound, Memory, Options, Table};

use crate::answer;
use crate::service::{Kind, SINGLE, Service, Setup};

const PEERS: [Kind; 2] = [Kind::Gunmetal, Kind::Gunicorn];

/// One worker that has answered once.
pub(crate) fn idle(options: &Options) -> Result<Table> {
    let mut table = Table::new(&["idle, one worker", "resident", "private", "proportional"]);
    for kind in PEERS.into_iter().filter(|kind| kind.is_wanted(options)) {
        let service = Service::start(kind, SINGLE)?;
        // Freed memory goes back to the system in the background.
        thread::sleep(Duration::from_millis(500));
        let memory = memory(&service)?;
        ensure!(memory.len() == 2, "a master and a worker were expected: {memory:?}");
        for (role, memory) in ["master", "worker"].into_iter().zip(memory) {
            let cells = [memory.resident, memory.private, memory.proportional].map(mib);
            table.row([vec![format!("{}, {role}", kind.name())], cells.into()].concat());
        }
    }
    Ok(table)
}

/// Workers that have all read what the master has preloaded.
pub(crate) fn preloaded(options: &Options) -> Result<Table> {
    let preload_mib = if options.quick { 100 } else { 500 };
    let setup = Setup { workers: 8, preload_mib };
    let title = format!("{preload_mib} MiB preloaded, {} workers", setup.workers);
    let mut table = Table::new(&[
        &title,
        "resident, all",
        "proportional, all",
        "x one copy",
        "largest worker, private",
        "target",
        "",
    ]);
    for kind in PEERS.into_iter().filter(|kind| kind.is_wanted(options)) {
        let service = Service::start(kind, setup)?;
        every_worker_reads(&service, setup).with_context(|| kind.name())?;
        let memory = memory(&service)?;
        ensure!(memory.len() == 1 + setup.workers, "{} processes instead of 9", memory.len());
        let sum = |of: fn(&Memory) -> usize| memory.iter().map(of).sum::<usize>();
        let proportional = sum(|memory| memory.proportional);
        let copies = proportional as f64 / (preload_mib << 20) as f64;
        let largest = memory[1..].iter().map(|memory| memory.private).max().unwrap_or(0);
        let mut row = vec![kind.name(), mib(sum(|memory| memory.resident)), mib(proportional)];
        row.extend([format!("{copies:.3}"), mib(largest)]);
        if kind == Kind::Gunmetal {
            row.extend([TARGET.to_string(), TARGET.judge(copies).to_string()]);
        }
        table.row(row);
    }
    Ok(table)
}

/// Asks for the sum until each worker has answered.
fn every_worker_reads(service: &Service, setup: Setup) -> Result<()> {
    let expected = (setup.preload_mib << 20).to_string();
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut seen = BTreeSet::new();
    while seen.len() < setup.workers {
        ensure!(Instant::now() < deadline, "only {} workers have answered within a minute", seen.len());
        // Many at once: one at a time, the same worker might take them all.
        let bodies: Vec<Result<String>> = thread::scope(|scope| {
            let asked: Vec<_> = (0..3 * setup.workers)
                .map(|_| scope.spawn(|| answer::ask(service.port, "/preloaded")))
                .collect();
            asked
                .into_iter()
                .map(|asked| asked.join().unwrap_or_else(|_| anyhow::bail!("panicked")))
                .collect()
        });
        for body in bodies {
            let body = body?;
            let (pid, sum) = body.split_once(' ').with_context(|| format!("{body:?} is no pid and sum"))?;
            ensure!(sum == expected, "{sum} is not the sum of {expected} ones");
            seen.insert(pid.to_owned());
        }
    }
    Ok(())
}

/// The master's first.
fn memory(service: &Service) -> Result<Vec<Memory>> {
    service.processes()?.iter().map(gunmetal_benches::Process::memory).collect()
}

fn mib(len: usize) -> String {
    format!("{:.1} MiB", len as f64 / f64::from(1 << 20))
}

/// One copy for all, and what else nine processes need.
const TARGET: Bound = Bound::AtMost(1.1);
