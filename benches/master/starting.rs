//! From the exec of a service to its first answer, and from a SIGKILL of its only worker to the next one.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use gunmetal_benches::{Options, Samples, Table, duration};
use nix::sys::signal::{Signal, kill};

use crate::service::{Kind, SINGLE, Service};

pub(crate) fn measure(options: &Options) -> Result<Table> {
    let rounds = options.rounds.unwrap_or(if options.quick { 1 } else { 21 });
    let kinds: Vec<Kind> =
        [Kind::Gunmetal, Kind::Gunicorn].into_iter().filter(|kind| kind.is_wanted(options)).collect();
    let mut figures: Vec<[Samples; 2]> = kinds.iter().map(|_| Default::default()).collect();
    for round in 0..rounds {
        for turn in 0..kinds.len() {
            let at = (turn + round) % kinds.len();
            let took = start_and_heal(kinds[at]).with_context(|| kinds[at].name())?;
            for (samples, took) in figures[at].iter_mut().zip(took) {
                samples.push(took);
                samples.end_round();
            }
        }
    }
    Ok(table(&kinds, &figures))
}

/// A fresh service for each kill: a worker that crashes again and again is started with a growing delay.
fn start_and_heal(kind: Kind) -> Result<[Duration; 2]> {
    let start = Instant::now();
    let service = Service::spawn(kind, SINGLE)?;
    service.answers()?;
    let first = start.elapsed();

    // The master has nothing left to do for the start, and sleeps.
    thread::sleep(Duration::from_millis(300));
    let processes = service.processes()?;
    ensure!(processes.len() == 2, "a master and a worker were expected: {processes:?}");
    let start = Instant::now();
    kill(processes[1].pid, Signal::SIGKILL).context("killing a worker")?;
    service.answers()?;
    Ok([first, start.elapsed()])
}

fn table(kinds: &[Kind], figures: &[[Samples; 2]]) -> Table {
    let mut table =
        Table::new(&["one worker", "start to first answer", "longest", "SIGKILL to next answer", "longest"]);
    for (kind, figures) in kinds.iter().zip(figures) {
        let mut row = vec![kind.name()];
        for samples in figures {
            let cell = |nanos: Option<f64>| nanos.map_or_else(String::new, duration);
            row.extend([cell(samples.median()), cell(samples.quantile(1.0))]);
        }
        table.row(row);
    }
    if let [ours, theirs] = figures {
        let ratio = |at: usize| Some(format!("{:.3}", ours[at].median()? / theirs[at].median()?));
        let cells = [0, 1].map(|at| ratio(at).unwrap_or_default());
        let [start, heal] = cells;
        table.row(vec!["ratio (below 1 is better)".into(), start, String::new(), heal]);
    }
    table
}
