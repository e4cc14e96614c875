use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use gunmetal_benches::{Options, Samples};

use crate::arbiter::Arbiter;
use crate::frames::{Connections, Question};
use crate::stock::{self, Task};

/// One question put to both arbiters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Measure {
    /// Echo calls of 64 bytes.
    Calls(Client, usize),
    /// Chunks of 16 bytes.
    Stream(Client),
    /// 100 bytes out of the stash.
    StashGet(Client, usize),
    /// 100 bytes into the stash.
    StashPut(Client, usize),
    /// Eight callers of short calls, alone.
    ShortCalls,
    /// The same while a call of two seconds has one of the two workers.
    BesideLong,
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Client {
    /// gunicorn's, in Python.
    Stock,
    /// Prepared frames, from Rust.
    Frames,
}

/// What an arbiter answered to a measure.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    /// Calls, chunks or operations per second, one figure a round.
    pub(crate) rates: Vec<f64>,
    /// Durations of short calls.
    pub(crate) latency: Samples,
}

/// Figures by measure, then by the arbiter's place.
pub(crate) type Results = BTreeMap<Measure, Vec<Figures>>;

/// Every measure, in the order of the tables.
const ALL: &[Measure] = &[
    Measure::Calls(Client::Stock, 1),
    Measure::Calls(Client::Stock, 16),
    Measure::Calls(Client::Frames, 1),
    Measure::Calls(Client::Frames, 16),
    Measure::Calls(Client::Frames, 64),
    Measure::Stream(Client::Stock),
    Measure::Stream(Client::Frames),
    Measure::StashGet(Client::Stock, 1),
    Measure::StashGet(Client::Frames, 1),
    Measure::StashGet(Client::Frames, 16),
    Measure::StashPut(Client::Stock, 1),
    Measure::StashPut(Client::Frames, 1),
    Measure::StashPut(Client::Frames, 16),
    Measure::ShortCalls,
    Measure::BesideLong,
];

/// Asks both everything, round after round, each round in the other order.
pub(crate) fn run(arbiters: &[Arbiter], options: &Options) -> Result<Results> {
    let rounds = options.rounds.unwrap_or(if options.quick { 1 } else { 7 });
    let measures = ALL.iter().copied().filter(|measure| options.wants_measure(&measure.title()));
    let mut results: Results =
        measures.map(|measure| (measure, arbiters.iter().map(|_| Figures::default()).collect())).collect();
    for round in 0..rounds {
        eprintln!("round {} of {rounds}", round + 1);
        for (measure, figures) in &mut results {
            for turn in 0..arbiters.len() {
                let at = (turn + round) % arbiters.len();
                measure
                    .ask(&arbiters[at], options, &mut figures[at])
                    .with_context(|| format!("{}: {}", arbiters[at].name, measure.title()))?;
            }
        }
    }
    Ok(results)
}

impl Measure {
    /// A heading for people, and the text that `--measure` searches.
    pub(crate) fn title(self) -> String {
        let counted = |what: &str, client: Client, count: usize| {
            let plural = if count == 1 { "" } else { "s" };
            format!("{what}, {}, {count} connection{plural}", client.name())
        };
        match self {
            Self::Calls(client, count) => counted("calls of 64 B", client, count),
            Self::Stream(client) => format!("stream of 16 B chunks, {}", client.name()),
            Self::StashGet(client, count) => counted("stash get of 100 B", client, count),
            Self::StashPut(client, count) => counted("stash put of 100 B", client, count),
            Self::ShortCalls => "8 callers of short calls, 2 workers".into(),
            Self::BesideLong => "8 callers of short calls, 2 workers, beside a call of 2 s".into(),
        }
    }

    fn ask(self, arbiter: &Arbiter, options: &Options, figures: &mut Figures) -> Result<()> {
        let count = options.scaled(match self {
            Self::Calls(Client::Stock, _)
            | Self::StashGet(Client::Stock, _)
            | Self::StashPut(Client::Stock, _) => 3000,
            Self::Stream(Client::Stock) => 10_000,
            Self::Calls(..) | Self::StashGet(..) | Self::StashPut(..) => 6000,
            Self::Stream(Client::Frames) => 20_000,
            Self::ShortCalls | Self::BesideLong => 0,
        });
        let socket = &arbiter.socket;
        let took = match self {
            Self::Calls(Client::Stock, connections) => stock::run(socket, Task::Call, connections, count)?,
            Self::StashGet(Client::Stock, connections) => {
                stock::run(socket, Task::StashPut, 1, 1)?;
                stock::run(socket, Task::StashGet, connections, count)?
            }
            Self::StashPut(Client::Stock, connections) => {
                stock::run(socket, Task::StashPut, connections, count)?
            }
            Self::Stream(Client::Stock) => stock::run(socket, Task::Stream, 1, count)?,
            Self::Calls(Client::Frames, connections) => frames(arbiter, Question::Echo, connections, count)?,
            Self::StashGet(Client::Frames, connections) => {
                frames(arbiter, Question::StashPut, 1, 1)?;
                frames(arbiter, Question::StashGet, connections, count)?
            }
            Self::StashPut(Client::Frames, connections) => {
                frames(arbiter, Question::StashPut, connections, count)?
            }
            Self::Stream(Client::Frames) => Connections::open(socket, 1)?.stream(count)?,
            Self::ShortCalls | Self::BesideLong => {
                let long = (self == Self::BesideLong).then_some(LONG_CALL);
                let period = if options.quick { LONG_CALL / 20 } else { LONG_CALL };
                for took in Connections::open(socket, 1 + CALLERS)?.latencies(period, long)? {
                    figures.latency.push(took);
                }
                figures.latency.end_round();
                return Ok(());
            }
        };
        figures.rates.push(count as f64 / took.as_secs_f64());
        Ok(())
    }
}

impl Client {
    fn name(self) -> &'static str {
        match self {
            Self::Stock => "gunicorn's client",
            Self::Frames => "prepared frames",
        }
    }
}

fn frames(arbiter: &Arbiter, question: Question, connections: usize, count: usize) -> Result<Duration> {
    let mut connections = Connections::open(&arbiter.socket, connections)?;
    connections.ask(question, count / 20 + 1)?;
    connections.ask(question, count)
}

/// Who makes short calls beside a long one.
const CALLERS: usize = 8;
const LONG_CALL: Duration = Duration::from_secs(2);
