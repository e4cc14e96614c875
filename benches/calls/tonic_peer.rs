//! tonic, one hop, with the windows, frame size and message limit raised to suit large messages:
//! its defaults are made for the open internet and would lose by a factor of two to three.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use gunmetal_benches::{Child, Samples, say_ready};
use tokio::net::UnixListener;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Response, Status};

use crate::peer::{Load, Outcome, Peer, runtime};
use generated::echo_client::EchoClient;
use generated::echo_server::EchoServer;

#[allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::cast_possible_truncation)]
mod generated {
    use super::{Payload, StreamRequest};

    include!(concat!(env!("OUT_DIR"), "/echo.Echo.rs"));
}

/// `echo.Payload` of `proto/echo.proto`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Payload {
    #[prost(bytes = "bytes", tag = "1")]
    data: Bytes,
}

/// `echo.StreamRequest` of `proto/echo.proto`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct StreamRequest {
    #[prost(uint32, tag = "1")]
    count: u32,
    #[prost(uint32, tag = "2")]
    chunk_len: u32,
}

pub(crate) struct TonicPeer {
    runtime: Runtime,
    client: EchoClient<Channel>,
    _server: Child,
}

impl TonicPeer {
    pub(crate) fn start(dir: &Path) -> Result<Self> {
        let path = dir.join("tonic.sock");
        let server = Child::role(&["tonic", &path.display().to_string()])?;
        let runtime = runtime()?;
        let client = runtime.block_on(async {
            let channel = Endpoint::try_from(format!("unix://{}", path.display()))?
                .initial_stream_window_size(WINDOW_LEN)
                .initial_connection_window_size(WINDOW_LEN)
                .max_frame_size(MAX_FRAME_LEN)
                .connect()
                .await
                .context("connecting to the tonic server")?;
            anyhow::Ok(
                EchoClient::new(channel)
                    .max_decoding_message_size(MAX_MESSAGE_LEN)
                    .max_encoding_message_size(MAX_MESSAGE_LEN),
            )
        })?;
        Ok(Self { runtime, client, _server: server })
    }
}

impl Peer for TonicPeer {
    fn name(&self) -> String {
        "tonic 0.14, 1 hop".into()
    }

    fn one_at_a_time(&mut self, payload: &Bytes, calls: usize, samples: &mut Samples) -> Result<Outcome> {
        let client = &mut self.client;
        self.runtime.block_on(async {
            for _ in 0..calls {
                let start = Instant::now();
                let reply = call(client, payload.clone()).await?;
                samples.push(start.elapsed());
                ensure!(reply.len() == payload.len(), "an echo of {} bytes", reply.len());
            }
            Ok(Outcome::Done)
        })
    }

    fn in_flight(&mut self, payload: &Bytes, depth: usize, calls: usize) -> Result<Option<Duration>> {
        let client = &self.client;
        self.runtime.block_on(async {
            let start = Instant::now();
            let mut tasks = JoinSet::new();
            for _ in 0..depth {
                let (mut client, payload) = (client.clone(), payload.clone());
                tasks.spawn(async move {
                    for _ in 0..calls / depth {
                        call(&mut client, payload.clone()).await?;
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
        let request = StreamRequest { count: u32::try_from(count)?, chunk_len: u32::try_from(chunk_len)? };
        let client = &mut self.client;
        self.runtime.block_on(async {
            let start = Instant::now();
            let mut chunks = client.chunks(request).await?.into_inner();
            let mut received = 0;
            while let Some(chunk) = chunks.next().await {
                let len = chunk?.data.len();
                ensure!(len == chunk_len, "a chunk of {len} bytes");
                received += 1;
            }
            ensure!(received == count, "a stream of {received} chunks");
            Ok(Some(start.elapsed()))
        })
    }

    fn open_load(&mut self, payload: &Bytes, load: Load, samples: &mut Samples) -> Result<bool> {
        let client = &self.client;
        self.runtime.block_on(load.run(samples, || {
            let (mut client, payload) = (client.clone(), payload.clone());
            async move { call(&mut client, payload).await.map(drop) }
        }))?;
        Ok(true)
    }
}

async fn call(client: &mut EchoClient<Channel>, data: Bytes) -> Result<Bytes> {
    Ok(client.call(Payload { data }).await.context("a tonic call")?.into_inner().data)
}

/// The server process.
pub(crate) fn serve(path: &str) -> Result<()> {
    let path = PathBuf::from(path);
    runtime()?.block_on(async {
        let listener = UnixListener::bind(path).context("binding the tonic server")?;
        say_ready()?;
        let echo = EchoServer::new(Echo)
            .max_decoding_message_size(MAX_MESSAGE_LEN)
            .max_encoding_message_size(MAX_MESSAGE_LEN);
        Server::builder()
            .initial_stream_window_size(WINDOW_LEN)
            .initial_connection_window_size(WINDOW_LEN)
            .max_frame_size(MAX_FRAME_LEN)
            .add_service(echo)
            .serve_with_incoming(UnixListenerStream::new(listener))
            .await
            .context("serving tonic")
    })
}

struct Echo;

#[async_trait::async_trait]
impl generated::echo_server::Echo for Echo {
    async fn call(&self, request: Request<Payload>) -> Result<Response<Payload>, Status> {
        Ok(Response::new(request.into_inner()))
    }

    type ChunksStream = Box<dyn tokio_stream::Stream<Item = Result<Payload, Status>> + Send + Unpin>;

    async fn chunks(&self, request: Request<StreamRequest>) -> Result<Response<Self::ChunksStream>, Status> {
        let StreamRequest { count, chunk_len } = request.into_inner();
        let chunk = Payload { data: vec![7; chunk_len as usize].into() };
        Ok(Response::new(Box::new(tokio_stream::iter((0..count).map(move |_| Ok(chunk.clone()))))))
    }
}

/// Bytes that may be on their way unacknowledged.
const WINDOW_LEN: u32 = 64 << 20;
/// The largest HTTP/2 frame that the protocol allows.
const MAX_FRAME_LEN: u32 = (1 << 24) - 1;
/// A message limit above everything that the bench sends.
const MAX_MESSAGE_LEN: usize = 65 << 20;
