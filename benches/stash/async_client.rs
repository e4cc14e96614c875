//! Our async client, one connection, so many operations in flight.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use gunmetal::client::Client;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

use crate::dialect::TABLE;

/// A client with a runtime of its own, of one thread.
pub(crate) struct AsyncClient {
    runtime: Runtime,
    client: Client,
}

impl AsyncClient {
    pub(crate) fn new(socket: &Path) -> Result<AsyncClient> {
        let runtime = Builder::new_current_thread().enable_all().build().context("building a runtime")?;
        Ok(AsyncClient { runtime, client: Client::at(socket) })
    }

    /// Stores `data` `count` times, under each of the keys in turn.
    pub(crate) fn put(
        &self,
        keys: Vec<String>,
        data: Vec<u8>,
        depth: usize,
        count: usize,
    ) -> Result<Duration> {
        let data = Bytes::from(data);
        self.run(keys, depth, count, move |client, key| {
            let data = data.clone();
            async move { Ok(client.stash().put(TABLE, key.as_str(), data).await?) }
        })
    }

    /// Fetches `count` values of `len` bytes.
    pub(crate) fn get(&self, keys: Vec<String>, len: usize, depth: usize, count: usize) -> Result<Duration> {
        self.run(keys, depth, count, move |client, key| async move {
            let value: Option<Bytes> = client.stash().get(TABLE, key.as_str()).await?;
            ensure!(value.is_some_and(|value| value.len() == len), "another value");
            Ok(())
        })
    }

    fn run<F, O>(&self, keys: Vec<String>, depth: usize, count: usize, operate: F) -> Result<Duration>
    where
        F: Fn(Client, String) -> O + Clone + Send + 'static,
        O: Future<Output = Result<()>> + Send,
    {
        self.runtime.block_on(async {
            let start = Instant::now();
            let mut tasks = JoinSet::new();
            for task in 0..depth {
                let (client, operate, keys) = (self.client.clone(), operate.clone(), keys.clone());
                tasks.spawn(async move {
                    for number in 0..count / depth {
                        let key = keys[(number * depth + task) % keys.len()].clone();
                        operate(client.clone(), key).await?;
                    }
                    anyhow::Ok(())
                });
            }
            while let Some(done) = tasks.join_next().await {
                done??;
            }
            Ok(start.elapsed())
        })
    }
}
