use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use gunmetal_benches::{Options, Samples, bytes};

use crate::peer::{Load, Outcome, Peer};

/// One question put to every peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Measure {
    /// Calls of `payload` bytes, each after the answer to the one before.
    OneAtATime { payload: usize },
    /// Calls of 64 bytes, `depth` at once from one client.
    InFlight { depth: usize },
    /// A stream of chunks.
    Stream { chunk: usize },
    /// Bursts of calls of 64 bytes, one a millisecond.
    OpenLoad { burst: usize },
}

/// What a peer answered to a measure.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    /// Durations of single calls.
    pub(crate) latency: Samples,
    /// Calls or chunks per second, one figure a round.
    pub(crate) rates: Vec<f64>,
    /// The peer refused this size.
    pub(crate) refused: bool,
}

/// Figures by measure, then by the peer's place.
pub(crate) type Results = BTreeMap<Measure, Vec<Figures>>;

/// Every measure, in the order of the tables.
const ALL: &[Measure] = &[
    Measure::OneAtATime { payload: 64 },
    Measure::OneAtATime { payload: 64 << 10 },
    Measure::OneAtATime { payload: 1 << 20 },
    Measure::OneAtATime { payload: 16 << 20 },
    Measure::InFlight { depth: 16 },
    Measure::InFlight { depth: 64 },
    Measure::Stream { chunk: 16 },
    Measure::Stream { chunk: 64 << 10 },
    Measure::OpenLoad { burst: 5 },
    Measure::OpenLoad { burst: 20 },
];

/// Asks every peer everything, round after round, each round in another order of peers.
pub(crate) fn run(peers: &mut [Box<dyn Peer>], options: &Options) -> Result<Results> {
    let rounds = options.rounds.unwrap_or(if options.quick { 1 } else { 11 });
    let measures: Vec<Measure> =
        ALL.iter().copied().filter(|measure| options.wants_measure(&measure.title())).collect();
    let mut results: Results = measures
        .iter()
        .map(|&measure| (measure, peers.iter().map(|_| Figures::default()).collect()))
        .collect();
    for round in 0..rounds {
        eprintln!("round {} of {rounds}", round + 1);
        for &measure in &measures {
            for turn in 0..peers.len() {
                let at = (turn + round) % peers.len();
                let figures = &mut results.get_mut(&measure).expect("inserted above")[at];
                let peer = &mut peers[at];
                measure
                    .ask(peer.as_mut(), options, figures)
                    .with_context(|| format!("{}: {}", peer.name(), measure.title()))?;
            }
        }
    }
    Ok(results)
}

impl Measure {
    /// A heading for people, and the text that `--measure` searches.
    pub(crate) fn title(self) -> String {
        match self {
            Self::OneAtATime { payload } => format!("one at a time, {}", bytes(payload)),
            Self::InFlight { depth } => format!("{depth} in flight, 64 B"),
            Self::Stream { chunk } => format!("stream of {} chunks", bytes(chunk)),
            Self::OpenLoad { burst } => {
                format!("open load, {burst} k calls/s in bursts each millisecond, 64 B")
            }
        }
    }

    fn ask(self, peer: &mut dyn Peer, options: &Options, figures: &mut Figures) -> Result<()> {
        match self {
            Self::OneAtATime { payload } => {
                let payload = payload_of(payload);
                let (warm_up, calls) = match payload.len() {
                    ..=1024 => (100, 1500),
                    1025..=0x10000 => (20, 400),
                    0x10001..=0x0010_0000 => (5, 60),
                    _ => (2, 10),
                };
                let mut unused = Samples::default();
                peer.one_at_a_time(&payload, options.scaled(warm_up), &mut unused)?;
                let outcome = peer.one_at_a_time(&payload, options.scaled(calls), &mut figures.latency)?;
                figures.refused = outcome == Outcome::Refused;
                figures.latency.end_round();
            }
            Self::InFlight { depth } => {
                let calls = options.scaled(30_000).max(depth);
                peer.in_flight(&payload_of(64), depth, options.scaled(2000).max(depth))?;
                let took = peer.in_flight(&payload_of(64), depth, calls)?;
                figures.push_rate(calls / depth * depth, took);
            }
            Self::Stream { chunk } => {
                let count = options.scaled(if chunk < 1024 { 100_000 } else { 4000 });
                peer.stream(chunk, options.scaled(1000))?;
                figures.push_rate(count, peer.stream(chunk, count)?);
            }
            Self::OpenLoad { burst } => {
                let load = Load { burst, bursts: options.scaled(300) };
                peer.open_load(&payload_of(64), load, &mut figures.latency)?;
                figures.latency.end_round();
            }
        }
        Ok(())
    }
}

impl Figures {
    fn push_rate(&mut self, count: usize, took: Option<Duration>) {
        self.rates.extend(took.map(|took| count as f64 / took.as_secs_f64()));
    }
}

fn payload_of(len: usize) -> Bytes {
    (0..=u8::MAX).cycle().take(len).collect::<Vec<u8>>().into()
}
