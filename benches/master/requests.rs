//! Requests per second of a greeting: what a master costs on the path of a request.

use std::time::Duration;

use anyhow::{Context, Result};
use gunmetal_benches::{Bound, CpuTime, Options, Process, Table, duration, median, rate};

use crate::service::{Kind, SINGLE, Service, Setup};
use crate::wrk;

/// A way to serve.
struct Peer {
    kind: Kind,
    setup: Setup,
    title: &'static str,
}

/// What one round of one peer came to.
#[derive(Debug, Clone, Copy)]
struct Figures {
    /// Answers per second.
    rate: f64,
    /// Nanoseconds of processor time for an answer, of all processes and threads of the service.
    cpu: f64,
}

/// The yardstick comes first, and once more at the end: its ratio to itself says what the machine makes of two things that
/// are the same.
const PEERS: [Peer; 4] = [
    Peer { kind: Kind::Plain, setup: SINGLE, title: "one process" },
    Peer { kind: Kind::Gunmetal, setup: SINGLE, title: "1 worker" },
    Peer { kind: Kind::Gunicorn, setup: Setup { workers: 2, ..SINGLE }, title: "2 sync workers" },
    Peer { kind: Kind::Plain, setup: SINGLE, title: "one process, again" },
];

pub(crate) fn measure(options: &Options) -> Result<Table> {
    let rounds = options.rounds.unwrap_or(if options.quick { 1 } else { 21 });
    let period = Duration::from_secs(if options.quick { 1 } else { 2 });
    let peers: Vec<Peer> = PEERS.into_iter().filter(|peer| peer.kind.is_wanted(options)).collect();
    let mut figures: Vec<Vec<Figures>> = peers.iter().map(|_| Vec::new()).collect();
    for round in 0..rounds {
        eprintln!("round {} of {rounds}", round + 1);
        for turn in 0..peers.len() {
            let at = (turn + round) % peers.len();
            figures[at].push(peers[at].load(period).with_context(|| peers[at].kind.name())?);
        }
    }
    table(&peers, &figures)
}

impl Peer {
    /// Loads a fresh service: how a process came to lie in memory is worth some percent.
    fn load(&self, period: Duration) -> Result<Figures> {
        let service = Service::start(self.kind, self.setup)?;
        let processes = service.processes()?;
        let used = || -> Result<u64> {
            let times = processes.iter().map(Process::cpu_time).collect::<Result<Vec<CpuTime>>>()?;
            Ok(times.iter().map(|time| time.nanos).sum())
        };
        let before = used()?;
        let load = wrk::run(service.port, CONNECTIONS, period)?;
        Ok(Figures { rate: load.rate, cpu: (used()? - before) as f64 / load.answered as f64 })
    }
}

fn table(peers: &[Peer], figures: &[Vec<Figures>]) -> Result<Table> {
    let title = format!("{}, {CONNECTIONS} connections", wrk::version()?);
    let mut table =
        Table::new(&[&title, "rate", "x plain", "target", "", "processor time per answer", "x plain"]);
    let has_yardstick = peers.first().is_some_and(|peer| peer.kind == Kind::Plain);
    for (peer, theirs) in peers.iter().zip(figures) {
        let middle = |of: fn(&Figures) -> f64| median(&theirs.iter().map(of).collect::<Vec<_>>());
        // Round by round, as the machine changes from one to the next.
        let ratio = |of: fn(&Figures) -> f64| {
            let rounds = theirs.iter().zip(&figures[0]);
            has_yardstick
                .then(|| median(&rounds.map(|(figures, plain)| of(figures) / of(plain)).collect::<Vec<_>>()))
        };
        let show = |ratio: Option<f64>| ratio.map_or_else(String::new, |ratio| format!("{ratio:.3}"));
        let (rates, cpu) = (ratio(|figures| figures.rate), ratio(|figures| figures.cpu));
        let judged = match rates {
            Some(ratio) if peer.kind == Kind::Gunmetal => {
                [TARGET.to_string(), TARGET.judge(ratio).to_string()]
            }
            _ => [String::new(), String::new()],
        };
        let mut row = vec![format!("{}, {}", peer.kind.name(), peer.title)];
        row.extend([rate(middle(|figures| figures.rate)), show(rates)]);
        row.extend(judged);
        row.extend([duration(middle(|figures| figures.cpu)), show(cpu)]);
        table.row(row);
    }
    Ok(table)
}

const CONNECTIONS: usize = 64;
/// A master must cost nothing on the path of a request.
const TARGET: Bound = Bound::AtLeast(0.97);
