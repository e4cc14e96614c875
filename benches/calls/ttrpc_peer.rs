//! ttrpc, async client and async server, one hop. Its limit of 4 MiB a message is a constant.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use async_trait::async_trait;
use bytes::Bytes;
use gunmetal_benches::{Child, Samples, say_ready};
use tokio::net::{UnixListener, UnixStream};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio_stream::wrappers::UnixListenerStream;
use ttrpc::r#async::transport::{Listener, Socket};
use ttrpc::r#async::{Client, Server, ServerStreamSender, TtrpcContext};
use ttrpc::proto::MESSAGE_LENGTH_MAX;

use crate::peer::{Load, Outcome, Peer, runtime};
use generated::echo::{Payload, StreamRequest};
use generated::echo_ttrpc::{self, EchoClient};

#[allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::cast_possible_truncation)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/mod.rs"));
}

pub(crate) struct TtrpcPeer {
    runtime: Runtime,
    client: EchoClient,
    _server: Child,
}

impl TtrpcPeer {
    pub(crate) fn start(dir: &Path) -> Result<Self> {
        let path = dir.join("ttrpc.sock").display().to_string();
        let server = Child::role(&["ttrpc", &path])?;
        let runtime = runtime()?;
        let client = runtime.block_on(async {
            let socket = UnixStream::connect(&path).await.context("connecting to the ttrpc server")?;
            anyhow::Ok(EchoClient::new(Client::new(Socket::new(socket))))
        })?;
        Ok(Self { runtime, client, _server: server })
    }
}

impl Peer for TtrpcPeer {
    fn name(&self) -> String {
        "ttrpc 0.10, 1 hop".into()
    }

    fn one_at_a_time(&mut self, payload: &Bytes, calls: usize, samples: &mut Samples) -> Result<Outcome> {
        if payload.len() >= MESSAGE_LENGTH_MAX {
            return Ok(Outcome::Refused);
        }
        let request = message(payload);
        self.runtime.block_on(async {
            for _ in 0..calls {
                let start = Instant::now();
                let reply = call(&self.client, &request).await?;
                samples.push(start.elapsed());
                ensure!(reply.data.len() == payload.len(), "an echo of {} bytes", reply.data.len());
            }
            Ok(Outcome::Done)
        })
    }

    fn in_flight(&mut self, payload: &Bytes, depth: usize, calls: usize) -> Result<Option<Duration>> {
        let request = Arc::new(message(payload));
        self.runtime.block_on(async {
            let start = Instant::now();
            let mut tasks = JoinSet::new();
            for _ in 0..depth {
                let (client, request) = (self.client.clone(), Arc::clone(&request));
                tasks.spawn(async move {
                    for _ in 0..calls / depth {
                        call(&client, &request).await?;
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
        let mut request = StreamRequest::new();
        request.chunk_len = u32::try_from(chunk_len)?;
        request.count = u32::try_from(count)?;
        self.runtime.block_on(async {
            let start = Instant::now();
            let mut chunks = self.client.chunks(ttrpc::context::Context::default(), &request).await?;
            let mut received = 0;
            while let Some(chunk) = chunks.recv().await? {
                ensure!(chunk.data.len() == chunk_len, "a chunk of {} bytes", chunk.data.len());
                received += 1;
            }
            ensure!(received == count, "a stream of {received} chunks");
            Ok(Some(start.elapsed()))
        })
    }

    fn open_load(&mut self, payload: &Bytes, load: Load, samples: &mut Samples) -> Result<bool> {
        let request = Arc::new(message(payload));
        let client = &self.client;
        self.runtime.block_on(load.run(samples, || {
            let (client, request) = (client.clone(), Arc::clone(&request));
            async move { call(&client, &request).await.map(drop) }
        }))?;
        Ok(true)
    }
}

async fn call(client: &EchoClient, request: &Payload) -> Result<Payload> {
    client.call(ttrpc::context::Context::default(), request).await.context("a ttrpc call")
}

fn message(payload: &Bytes) -> Payload {
    let mut message = Payload::new();
    message.data = payload.to_vec();
    message
}

/// The server process.
pub(crate) fn serve(path: &str) -> Result<()> {
    runtime()?.block_on(async {
        let listener = UnixListener::bind(path).context("binding the ttrpc server")?;
        let mut server = Server::new()
            .add_listener(Listener::new(UnixListenerStream::new(listener)))
            .register_service(echo_ttrpc::create_echo(Arc::new(Echo)));
        server.start().await?;
        say_ready()?;
        std::future::pending().await
    })
}

struct Echo;

#[async_trait]
impl echo_ttrpc::Echo for Echo {
    async fn call(&self, _: &TtrpcContext, request: Payload) -> ttrpc::Result<Payload> {
        Ok(request)
    }

    async fn chunks(
        &self,
        _: &TtrpcContext,
        request: StreamRequest,
        sender: ServerStreamSender<Payload>,
    ) -> ttrpc::Result<()> {
        let mut chunk = Payload::new();
        chunk.data = vec![7; request.chunk_len as usize];
        for _ in 0..request.count {
            sender.send(&chunk).await?;
        }
        Ok(())
    }
}
