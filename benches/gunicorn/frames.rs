//! The client that sends prepared frames: connections that each send one and wait for its answer, so that next to
//! nothing of what is measured is the client's.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use gunmetal_protocol::{
    HEADER_LEN, Header, MessageType, Segments, StashOp, Value, args, encode_request, encode_stash, value,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

/// Connections to one arbiter.
pub(crate) struct Connections {
    runtime: Runtime,
    connections: Vec<Connection>,
}

/// What is sent again and again.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Question {
    /// An echo of 64 bytes.
    Echo,
    /// Fetch 100 bytes.
    StashGet,
    /// Store 100 bytes.
    StashPut,
}

struct Connection {
    socket: UnixStream,
    answer: Vec<u8>,
}

impl Connections {
    /// Opens `count` connections.
    pub(crate) fn open(socket: &Path, count: usize) -> Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build().context("building a runtime")?;
        let connections = runtime.block_on(async {
            let mut connections = Vec::with_capacity(count);
            for _ in 0..count {
                connections.push(Connection::open(socket).await?);
            }
            anyhow::Ok(connections)
        })?;
        Ok(Self { runtime, connections })
    }

    /// Makes `count` echo calls on the first connection, each after the answer to the one before.
    pub(crate) fn calls(&mut self, count: usize) -> Result<Duration> {
        self.ask(Question::Echo, count)
    }

    /// Asks `count` times in all, spread over the connections.
    pub(crate) fn ask(&mut self, question: Question, count: usize) -> Result<Duration> {
        let frame: &'static [u8] = question.frame()?.leak();
        let each = count.div_ceil(self.connections.len());
        let connections = std::mem::take(&mut self.connections);
        self.runtime.block_on(async {
            let start = Instant::now();
            let mut tasks = JoinSet::new();
            for mut connection in connections {
                tasks.spawn(async move {
                    for _ in 0..each {
                        connection.round_trip(frame).await?;
                    }
                    anyhow::Ok(connection)
                });
            }
            while let Some(connection) = tasks.join_next().await {
                self.connections.push(connection??);
            }
            Ok(start.elapsed())
        })
    }

    /// Reads one stream of `count` chunks of 16 bytes.
    pub(crate) fn stream(&mut self, count: usize) -> Result<Duration> {
        let frame = request("stream", args![i64::try_from(count)?, 16])?;
        let connection = self.connections.first_mut().context("no connection")?;
        self.runtime.block_on(async {
            let start = Instant::now();
            connection.socket.write_all(&frame).await?;
            let mut chunks = 0;
            loop {
                match connection.read().await? {
                    MessageType::Chunk => chunks += 1,
                    MessageType::End => break,
                    other => bail!("{other:?} in a stream"),
                }
            }
            ensure!(chunks == count, "{chunks} chunks of {count}");
            Ok(start.elapsed())
        })
    }

    /// Lets every connection but the first make calls for `period`, each after the answer to the one before, and returns
    /// how long each took. Where `beside` is given, the first connection first makes one call that takes that long.
    pub(crate) fn latencies(&mut self, period: Duration, beside: Option<Duration>) -> Result<Vec<Duration>> {
        let frame: &'static [u8] = Question::Echo.frame()?.leak();
        let mut connections = std::mem::take(&mut self.connections).into_iter();
        let mut first = connections.next().context("no connection")?;
        self.runtime.block_on(async {
            if let Some(long) = beside {
                first.socket.write_all(&request("sleep", args![long.as_secs_f64()])?).await?;
                // Until it has surely begun.
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            let until = Instant::now() + period;
            let mut tasks = JoinSet::new();
            for mut connection in connections {
                tasks.spawn(async move {
                    let mut took = Vec::new();
                    while Instant::now() < until {
                        let start = Instant::now();
                        connection.round_trip(frame).await?;
                        took.push(start.elapsed());
                    }
                    anyhow::Ok((connection, took))
                });
            }
            let mut all = Vec::new();
            if beside.is_some() {
                ensure!(first.read().await? == MessageType::Response, "the long call failed");
            }
            self.connections.push(first);
            while let Some(task) = tasks.join_next().await {
                let (connection, took) = task??;
                self.connections.push(connection);
                all.extend(took);
            }
            Ok(all)
        })
    }
}

impl Question {
    fn frame(self) -> Result<Vec<u8>> {
        let key = Value::from("key");
        match self {
            Self::Echo => request("echo", args![vec![7_u8; 64]]),
            Self::StashGet => stash(StashOp::Get, &key, None),
            Self::StashPut => {
                let mut value = Segments::new();
                gunmetal_protocol::encode_value(&value!(bytes::Bytes::from(vec![7; 100])), &mut value)?;
                stash(StashOp::Put, &key, Some(value))
            }
        }
    }
}

impl Connection {
    async fn open(socket: &Path) -> Result<Self> {
        // gunicorn's queue of connections is short.
        for _ in 0..100 {
            if let Ok(socket) = UnixStream::connect(socket).await {
                return Ok(Self { socket, answer: Vec::new() });
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        bail!("{} takes no connection", socket.display())
    }

    async fn round_trip(&mut self, frame: &[u8]) -> Result<()> {
        self.socket.write_all(frame).await?;
        match self.read().await? {
            MessageType::Response => Ok(()),
            other => bail!("{other:?}: {}", String::from_utf8_lossy(&self.answer)),
        }
    }

    /// Reads one frame, its payload into `answer`.
    async fn read(&mut self) -> Result<MessageType> {
        let mut header = [0; HEADER_LEN];
        self.socket.read_exact(&mut header).await?;
        let header = Header::decode(&header)?;
        self.answer.resize(header.payload_len as usize, 0);
        self.socket.read_exact(&mut self.answer).await?;
        Ok(header.message_type)
    }
}

fn request(action: &str, args: gunmetal_protocol::Args) -> Result<Vec<u8>> {
    let mut frame = Segments::new();
    encode_request(1, "bench_app:BenchApp", action, &args, &mut frame)?;
    Ok(frame.into_contiguous().to_vec())
}

fn stash(op: StashOp, key: &Value, value: Option<Segments>) -> Result<Vec<u8>> {
    let mut frame = Segments::new();
    encode_stash(1, op, "bench", Some(key), value, None, &mut frame)?;
    Ok(frame.into_contiguous().to_vec())
}
