//! Four processes beside a service, as companions by function and as programs under supervisord: what they keep in memory
//! around something large that each of them reads, and how fast one that was killed is back.

#![forbid(unsafe_code)]

mod keeper;

use std::env;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use gunmetal_benches::{Bound, Memory, Options, Process, Samples, Table, duration};
use keeper::{Keeper, Kind, NAMES};
use nix::sys::signal::{Signal, kill};

fn main() -> Result<()> {
    let options = Options::from_args(env::args().skip(1))?;
    let mebibytes = if options.quick { 50 } else { 300 };
    let kinds: Vec<Kind> =
        [Kind::Gunmetal, Kind::Supervisord].into_iter().filter(|kind| kind.is_wanted(&options)).collect();
    if options.wants_measure("memory") {
        println!("\n{}", memory(&kinds, mebibytes)?);
    }
    if options.wants_measure("healing") {
        println!("\n{}", healing(&kinds, mebibytes, &options)?);
    }
    Ok(())
}

fn memory(kinds: &[Kind], mebibytes: usize) -> Result<Table> {
    let title = format!("{mebibytes} MiB, read by {} processes", NAMES.len());
    let mut table = Table::new(&[
        &title,
        "resident, all",
        "proportional, all",
        "x one copy",
        "largest of the four, private",
        "beside the four, private",
        "target",
        "",
    ]);
    for &kind in kinds {
        let keeper = Keeper::start(kind, mebibytes)?;
        let (beside, four) = keeper.processes()?;
        let [beside, four] = [beside, four]
            .map(|processes| -> Result<Vec<Memory>> { processes.iter().map(Process::memory).collect() });
        let (beside, four) = (beside?, four?);
        let sum = |of: fn(&Memory) -> usize| beside.iter().chain(&four).map(of).sum::<usize>();
        let proportional = sum(|memory| memory.proportional);
        let copies = proportional as f64 / (mebibytes << 20) as f64;
        let largest = four.iter().map(|memory| memory.private).max().unwrap_or(0);
        let beside = beside.iter().map(|memory| memory.private).sum();
        let mut row = vec![kind.name(), mib(sum(|memory| memory.resident)), mib(proportional)];
        row.extend([format!("{copies:.3}"), mib(largest), mib(beside)]);
        if kind == Kind::Gunmetal {
            row.extend([TARGET.to_string(), TARGET.judge(copies).to_string()]);
        }
        table.row(row);
    }
    Ok(table)
}

fn healing(kinds: &[Kind], mebibytes: usize, options: &Options) -> Result<Table> {
    let rounds = options.rounds.unwrap_or(if options.quick { 1 } else { 7 });
    let mut figures: Vec<[Samples; 2]> = kinds.iter().map(|_| Default::default()).collect();
    for round in 0..rounds {
        for turn in 0..kinds.len() {
            let at = (turn + round) % kinds.len();
            for (samples, mebibytes) in figures[at].iter_mut().zip([0, mebibytes]) {
                let took = heal_each(kinds[at], mebibytes).with_context(|| kinds[at].name())?;
                took.into_iter().for_each(|took| samples.push(took));
                samples.end_round();
            }
        }
    }
    let loaded = format!("{mebibytes} MiB");
    let mut table = Table::new(&[
        "SIGKILL to the successor's sign of life",
        "nothing loaded",
        "longest",
        &loaded,
        "longest",
    ]);
    for (kind, figures) in kinds.iter().zip(&figures) {
        let cell = |nanos: Option<f64>| nanos.map_or_else(String::new, duration);
        let cells = figures.iter().flat_map(|samples| [samples.median(), samples.quantile(1.0)].map(cell));
        table.row([kind.name()].into_iter().chain(cells).collect());
    }
    Ok(table)
}

/// How long each of the four takes to be back.
fn heal_each(kind: Kind, mebibytes: usize) -> Result<Vec<Duration>> {
    let keeper = Keeper::start(kind, mebibytes)?;
    let (_, four) = keeper.processes()?;
    let mut took = Vec::new();
    for process in four {
        let start = Instant::now();
        kill(process.pid, Signal::SIGKILL).context("killing one of the four")?;
        let sign = keeper.next_sign()?;
        took.push(start.elapsed());
        ensure!(NAMES.contains(&sign.name.as_str()) && sign.pid != process.pid, "{sign:?} is no successor");
    }
    Ok(took)
}

fn mib(len: usize) -> String {
    format!("{:.1} MiB", len as f64 / f64::from(1 << 20))
}

/// One copy for all, and what else six processes need.
const TARGET: Bound = Bound::AtMost(1.1);
