use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bytes::Bytes;
use gunmetal_benches::{Options, Samples};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::{gunmetal_peer, relay, tonic_peer, ttrpc_peer};

/// One way to reach an echo server in another process.
pub(crate) trait Peer {
    /// Name and version, as the tables show it.
    fn name(&self) -> String;

    /// Makes `calls` echo calls, each after the answer to the one before.
    fn one_at_a_time(&mut self, payload: &Bytes, calls: usize, samples: &mut Samples) -> Result<Outcome>;

    /// Keeps `depth` echo calls in flight from one client until `calls` are answered; how long that took.
    fn in_flight(&mut self, payload: &Bytes, depth: usize, calls: usize) -> Result<Option<Duration>>;

    /// Reads one stream of `count` chunks of `chunk_len` bytes; how long that took.
    fn stream(&mut self, chunk_len: usize, count: usize) -> Result<Option<Duration>>;

    /// Sends a burst of calls each millisecond, whether or not the last one is answered; each
    /// sample counts from its burst's due time. `false` where the peer has no such client.
    fn open_load(&mut self, payload: &Bytes, load: Load, samples: &mut Samples) -> Result<bool>;
}

/// Whether a peer takes a payload of the given size at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All calls were answered.
    Done,
    /// The peer refuses payloads of this size.
    Refused,
}

/// An open load: what arrives does not wait for what was answered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    /// Calls sent together.
    pub(crate) burst: usize,
    /// Bursts, one a millisecond.
    pub(crate) bursts: usize,
}

/// The peers there are.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Relay,
    CutThrough,
    Ttrpc,
    Tonic,
    GunmetalAsync,
    GunmetalBlocking,
}

/// Every peer, in the order of the tables.
pub(crate) const ALL: &[Kind] =
    &[Kind::Relay, Kind::CutThrough, Kind::Ttrpc, Kind::Tonic, Kind::GunmetalAsync, Kind::GunmetalBlocking];

impl Kind {
    /// Starts the peer's processes with sockets below `dir` and connects to them; `None` if the
    /// options leave it out.
    pub(crate) fn start(self, dir: &Path, options: &Options) -> Result<Option<Box<dyn Peer>>> {
        if !options.wants_peer(self.option()) {
            return Ok(None);
        }
        Ok(Some(match self {
            Self::Relay => Box::new(relay::RelayPeer::start(dir, relay::Mode::StoreAndForward)?),
            Self::CutThrough => Box::new(relay::RelayPeer::start(dir, relay::Mode::CutThrough)?),
            Self::Ttrpc => Box::new(ttrpc_peer::TtrpcPeer::start(dir)?),
            Self::Tonic => Box::new(tonic_peer::TonicPeer::start(dir)?),
            Self::GunmetalAsync => Box::new(gunmetal_peer::AsyncPeer::start(dir)?),
            Self::GunmetalBlocking => Box::new(gunmetal_peer::BlockingPeer::start(dir)?),
        }))
    }

    /// The name for `--only`.
    fn option(self) -> &'static str {
        match self {
            Self::Relay => "relay",
            Self::CutThrough => "cut-through",
            Self::Ttrpc => "ttrpc",
            Self::Tonic => "tonic",
            Self::GunmetalAsync => "gunmetal-async",
            Self::GunmetalBlocking => "gunmetal-blocking",
        }
    }
}

impl Load {
    /// Runs the load on the current runtime: `call` makes one call's future.
    pub(crate) async fn run<F, C>(self, samples: &mut Samples, mut call: F) -> Result<()>
    where
        F: FnMut() -> C,
        C: Future<Output = Result<()>> + Send + 'static,
    {
        // tokio's timer is a millisecond coarse; a thread that sleeps is not.
        let (ticks, mut due_times) = mpsc::channel(self.bursts);
        let ticker = thread::spawn(move || {
            let start = Instant::now();
            for burst in 0..self.bursts {
                let due = start + Duration::from_millis(1) * u32::try_from(burst).expect("bursts are few");
                thread::sleep(due.saturating_duration_since(Instant::now()));
                if ticks.try_send(due).is_err() {
                    return;
                }
            }
        });
        let mut calls = JoinSet::new();
        while let Some(due) = due_times.recv().await {
            for _ in 0..self.burst {
                let call = call();
                calls.spawn(async move { call.await.map(|()| due.elapsed()) });
            }
        }
        ticker.join().expect("the ticker does not panic");
        while let Some(took) = calls.join_next().await {
            samples.push(took??);
        }
        Ok(())
    }
}

/// The runtime of every async client and server here. One thread: on two cores it is the fastest
/// for each of the libraries, since a call is a matter of wake-ups.
pub(crate) fn runtime() -> Result<Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().context("building a runtime")
}
