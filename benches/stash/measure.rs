use std::collections::BTreeMap;

use anyhow::{Context, Result};
use gunmetal_benches::{Options, bytes};

use crate::async_client::AsyncClient;
use crate::dialect::Dialect;
use crate::pipeline::{Batch, Pipeline};
use crate::server::{Client, Peer, Server, start_all};

/// One question put to every server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Measure {
    /// Fetch values.
    Get { value: usize, depth: usize },
    /// Store values.
    Put { value: usize, depth: usize },
    /// List 100 of 10,000 keys.
    Keys(Shape),
    /// Bytes of memory for each of a million keys.
    Memory { key: usize, value: usize },
}

/// What a pattern looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Shape {
    /// `user:0042*`
    Prefix,
    /// `*:??42[0-9][0-9]`
    Other,
}

/// What a peer answered to a measure: operations per second, or bytes per key, one figure a round.
pub(crate) type Figures = Vec<f64>;

/// Figures by measure, then by the peer's place.
pub(crate) type Results = BTreeMap<Measure, Vec<Figures>>;

/// Every measure, in the order of the table.
fn all() -> Vec<Measure> {
    let mut all = Vec::new();
    for value in [100, 64 << 10] {
        for depth in [1, 16, 64] {
            all.push(Measure::Get { value, depth });
            all.push(Measure::Put { value, depth });
        }
    }
    all.extend([Measure::Keys(Shape::Prefix), Measure::Keys(Shape::Other)]);
    all.extend([Measure::Memory { key: 12, value: 100 }, Measure::Memory { key: 100, value: 1 }]);
    all
}

/// Asks every peer everything, round after round, each round in another order of peers.
pub(crate) fn run(peers: &[Peer<'_>], options: &Options) -> Result<Results> {
    let rounds = options.rounds.unwrap_or(if options.quick { 1 } else { 9 });
    let measures: Vec<Measure> =
        all().into_iter().filter(|measure| options.wants_measure(&measure.title())).collect();
    let mut results: Results =
        measures.iter().map(|&measure| (measure, vec![Figures::new(); peers.len()])).collect();
    for round in 0..rounds {
        eprintln!("round {} of {rounds}", round + 1);
        for &measure in &measures {
            if matches!(measure, Measure::Memory { .. }) && round > 0 {
                // It does not scatter.
                continue;
            }
            for turn in 0..peers.len() {
                let at = (turn + round) % peers.len();
                let context = || format!("{}: {}", peers[at].name, measure.title());
                let figure = measure.ask(&peers[at], options).with_context(context)?;
                results.get_mut(&measure).expect("inserted above")[at].extend(figure);
            }
        }
    }
    Ok(results)
}

impl Measure {
    /// A heading for people, and the text that `--measure` searches.
    pub(crate) fn title(self) -> String {
        match self {
            Self::Get { value, depth } => format!("get {}, {depth} in flight", bytes(value)),
            Self::Put { value, depth } => format!("put {}, {depth} in flight", bytes(value)),
            Self::Keys(Shape::Prefix) => "keys, 100 of 10,000 by prefix".into(),
            Self::Keys(Shape::Other) => "keys, 100 of 10,000 by another pattern".into(),
            Self::Memory { key, value } => format!("memory for a key of {key} B, value of {value} B"),
        }
    }

    fn ask(self, peer: &Peer<'_>, options: &Options) -> Result<Option<f64>> {
        match &peer.client {
            Client::Raw => self.ask_raw(peer.server, options).map(Some),
            Client::Async(client) => self.ask_async(client, options),
        }
    }

    /// How many operations on how many keys.
    fn counts(value: usize, depth: usize, options: &Options) -> (usize, usize) {
        let (count, keys) = if value <= 1024 { (200_000, 1024) } else { (8_000, 64) };
        (options.scaled(if depth == 1 { count / 8 } else { count }).max(depth), keys)
    }

    fn ask_async(self, client: &AsyncClient, options: &Options) -> Result<Option<f64>> {
        let (Self::Get { value, depth } | Self::Put { value, depth }) = self else { return Ok(None) };
        let (count, keys) = Self::counts(value, depth, options);
        let keys: Vec<String> = (0..keys).map(key).collect();
        client.put(keys.clone(), vec![7; value], depth, keys.len().max(depth))?;
        let took = match self {
            Self::Put { .. } => client.put(keys, vec![7; value], depth, count)?,
            _ => client.get(keys, value, depth, count)?,
        };
        Ok(Some((count / depth * depth) as f64 / took.as_secs_f64()))
    }

    fn ask_raw(self, server: &Server, options: &Options) -> Result<f64> {
        let dialect = server.dialect;
        match self {
            Self::Get { value, depth } | Self::Put { value, depth } => {
                let mut pipeline = Pipeline::connect(&server.socket)?;
                pipeline.exchange(&dialect.flush()?, true)?;
                let (count, keys) = Self::counts(value, depth, options);
                let data = vec![7; value];
                let puts = Batch::new((0..keys).map(|number| dialect.put(&key(number), &data)))?;
                pipeline.run(&puts, 16.min(keys), keys)?;
                let batch = match self {
                    Self::Put { .. } => puts,
                    _ => Batch::new((0..keys).map(|number| dialect.get(&key(number), &data)))?,
                };
                pipeline.run(&batch, depth, count / 10 + depth)?;
                let took = pipeline.run(&batch, depth, count)?;
                Ok(count as f64 / took.as_secs_f64())
            }
            Self::Keys(shape) => {
                let mut pipeline = Pipeline::connect(&server.socket)?;
                pipeline.exchange(&dialect.flush()?, true)?;
                pipeline.run(
                    &Batch::new((0..10_000).map(|number| dialect.put(&user(number), b"x")))?,
                    64,
                    10_000,
                )?;
                let (pattern, matching): (_, Vec<String>) = match shape {
                    Shape::Prefix => ("user:0042*", (4200..4300).map(user).collect()),
                    Shape::Other => ("*:??42[0-9][0-9]", (4200..4300).map(user).collect()),
                };
                let exchange = dialect.keys(pattern, &matching)?;
                pipeline.exchange(&exchange, dialect == Dialect::Gunmetal)?;
                let count = options.scaled(1000);
                let start = std::time::Instant::now();
                for _ in 0..count {
                    pipeline.exchange(&exchange, false)?;
                }
                Ok(count as f64 / start.elapsed().as_secs_f64())
            }
            Self::Memory { key, value } => {
                let dir = tempfile::tempdir()?;
                let only = Options { only: vec![dialect.option().into()], ..Options::default() };
                let fresh = start_all(dir.path(), &only)?.pop().context("no server")?;
                let mut pipeline = Pipeline::connect(&fresh.socket)?;
                // What listens there has started by now.
                pipeline.exchange(&dialect.flush()?, true)?;
                let before = fresh.resident()?;
                let count = if options.quick { 10_000 } else { 1_000_000 };
                let data = vec![7; value];
                for first in (0..count).step_by(10_000) {
                    let numbers = first..first + 10_000;
                    let puts = numbers.map(|number| dialect.put(&format!("{number:0key$}"), &data));
                    pipeline.run(&Batch::new(puts)?, 64, 10_000)?;
                }
                Ok((fresh.resident()? - before) as f64 / f64::from(count))
            }
        }
    }
}

fn key(number: usize) -> String {
    format!("key:{number:08}")
}

fn user(number: usize) -> String {
    format!("user:{number:06}")
}
