//! Our own path: client, router, dirty worker, as a user starts them.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use gunmetal::blocking;
use gunmetal::client::Client;
use gunmetal_benches::{Samples, Tree};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio_stream::StreamExt;

use crate::peer::{Load, Outcome, Peer, runtime};

/// The async client.
pub(crate) struct AsyncPeer {
    runtime: Runtime,
    client: Client,
    _tree: Tree,
}

impl AsyncPeer {
    pub(crate) fn start(dir: &Path) -> Result<Self> {
        let tree = Tree::start(env!("CARGO_BIN_EXE_bench-app"), dir.join("gunmetal-async.sock"), &[])?;
        Ok(Self { runtime: runtime()?, client: Client::at(tree.socket()), _tree: tree })
    }
}

impl Peer for AsyncPeer {
    fn name(&self) -> String {
        "gunmetal async, 2 hops".into()
    }

    fn one_at_a_time(&mut self, payload: &Bytes, calls: usize, samples: &mut Samples) -> Result<Outcome> {
        self.runtime.block_on(async {
            for _ in 0..calls {
                let start = Instant::now();
                let reply = echo(&self.client, payload.clone()).await?;
                samples.push(start.elapsed());
                ensure!(reply.len() == payload.len(), "an echo of {} bytes", reply.len());
            }
            Ok(Outcome::Done)
        })
    }

    fn in_flight(&mut self, payload: &Bytes, depth: usize, calls: usize) -> Result<Option<Duration>> {
        self.runtime.block_on(async {
            let start = Instant::now();
            let mut tasks = JoinSet::new();
            for _ in 0..depth {
                let (client, payload) = (self.client.clone(), payload.clone());
                tasks.spawn(async move {
                    for _ in 0..calls / depth {
                        echo(&client, payload.clone()).await?;
                    }
                    anyhow::Ok(())
                });
            }
            while let Some(done) = tasks.join_next().await {
                done??;
            }
            Ok(Some(start.elapsed()))
        })
    }

    fn stream(&mut self, chunk_len: usize, count: usize) -> Result<Option<Duration>> {
        let args = (i64::try_from(chunk_len)?, i64::try_from(count)?);
        self.runtime.block_on(async {
            let start = Instant::now();
            let mut chunks = self.client.stream::<Bytes>(APP, "chunks", args);
            let mut received = 0;
            while let Some(chunk) = chunks.next().await {
                let len = chunk?.len();
                ensure!(len == chunk_len, "a chunk of {len} bytes");
                received += 1;
            }
            ensure!(received == count, "a stream of {received} chunks");
            Ok(Some(start.elapsed()))
        })
    }

    fn open_load(&mut self, payload: &Bytes, load: Load, samples: &mut Samples) -> Result<bool> {
        self.runtime.block_on(load.run(samples, || {
            let (client, payload) = (self.client.clone(), payload.clone());
            async move { echo(&client, payload).await.map(drop) }
        }))?;
        Ok(true)
    }
}

/// The blocking client.
pub(crate) struct BlockingPeer {
    client: blocking::Client,
    _tree: Tree,
}

impl BlockingPeer {
    pub(crate) fn start(dir: &Path) -> Result<Self> {
        let tree = Tree::start(env!("CARGO_BIN_EXE_bench-app"), dir.join("gunmetal-blocking.sock"), &[])?;
        Ok(Self { client: blocking::Client::at(tree.socket()), _tree: tree })
    }
}

impl Peer for BlockingPeer {
    fn name(&self) -> String {
        "gunmetal blocking, 2 hops".into()
    }

    fn one_at_a_time(&mut self, payload: &Bytes, calls: usize, samples: &mut Samples) -> Result<Outcome> {
        for _ in 0..calls {
            let start = Instant::now();
            let reply: Bytes = self.client.execute(APP, "echo", (payload.clone(),))?;
            samples.push(start.elapsed());
            ensure!(reply.len() == payload.len(), "an echo of {} bytes", reply.len());
        }
        Ok(Outcome::Done)
    }

    /// It makes one call at a time.
    fn in_flight(&mut self, _: &Bytes, _: usize, _: usize) -> Result<Option<Duration>> {
        Ok(None)
    }

    fn stream(&mut self, chunk_len: usize, count: usize) -> Result<Option<Duration>> {
        let args = (i64::try_from(chunk_len)?, i64::try_from(count)?);
        let start = Instant::now();
        let mut received = 0;
        for chunk in self.client.stream::<Bytes>(APP, "chunks", args) {
            let len = chunk?.len();
            ensure!(len == chunk_len, "a chunk of {len} bytes");
            received += 1;
        }
        ensure!(received == count, "a stream of {received} chunks");
        Ok(Some(start.elapsed()))
    }

    fn open_load(&mut self, _: &Bytes, _: Load, _: &mut Samples) -> Result<bool> {
        Ok(false)
    }
}

async fn echo(client: &Client, payload: Bytes) -> Result<Bytes> {
    client.execute(APP, "echo", (payload,)).await.context("a call of ours")
}

const APP: &str = "bench:Echo";
