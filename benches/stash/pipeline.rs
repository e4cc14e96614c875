//! The client: one connection, so many requests in flight, next to nothing done with the answers.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::dialect::Exchange;

/// Requests of one length whose answers have one length.
#[derive(Debug)]
pub(crate) struct Batch {
    requests: Vec<u8>,
    request_len: usize,
    count: usize,
    answer_len: usize,
    /// What the first request must be answered.
    first_answer: Vec<u8>,
}

/// A connection to a server.
#[derive(Debug)]
pub(crate) struct Pipeline {
    socket: UnixStream,
    buffer: Vec<u8>,
}

impl Batch {
    pub(crate) fn new(exchanges: impl IntoIterator<Item = Result<Exchange>>) -> Result<Batch> {
        let mut exchanges = exchanges.into_iter();
        let first = exchanges.next().context("an empty batch")??;
        let (request_len, answer_len) = (first.request.len(), first.answer.len());
        let mut batch =
            Batch { requests: first.request, request_len, count: 1, answer_len, first_answer: first.answer };
        for exchange in exchanges {
            let exchange = exchange?;
            ensure!(
                (exchange.request.len(), exchange.answer.len()) == (request_len, answer_len),
                "requests of different lengths"
            );
            batch.requests.extend(exchange.request);
            batch.count += 1;
        }
        Ok(batch)
    }
}

impl Pipeline {
    pub(crate) fn connect(socket: &Path) -> Result<Pipeline> {
        let socket =
            UnixStream::connect(socket).with_context(|| format!("connecting to {}", socket.display()))?;
        Ok(Pipeline { socket, buffer: vec![0; 256 << 10] })
    }

    /// Makes one exchange and compares the answer.
    pub(crate) fn exchange(&mut self, exchange: &Exchange, exactly: bool) -> Result<()> {
        self.socket.write_all(&exchange.request)?;
        let mut answer = vec![0; exchange.answer.len()];
        self.socket.read_exact(&mut answer)?;
        let shown = || String::from_utf8_lossy(&answer[..answer.len().min(100)]).into_owned();
        ensure!(!exactly || answer == exchange.answer, "an unexpected answer: {}", shown());
        Ok(())
    }

    /// Sends `count` requests, going round and round in the batch, with `depth` in flight; how long that took.
    pub(crate) fn run(&mut self, batch: &Batch, depth: usize, count: usize) -> Result<Duration> {
        self.exchange(
            &Exchange {
                request: batch.requests[..batch.request_len].to_vec(),
                answer: batch.first_answer.clone(),
            },
            true,
        )?;
        let start = Instant::now();
        let (mut sent, mut answered, mut partial) = (0, 0, 0);
        let mut due = depth.min(count);
        while answered < count {
            while due > 0 {
                let at = sent % batch.count;
                let step = due.min(batch.count - at);
                let bytes = at * batch.request_len..(at + step) * batch.request_len;
                self.socket.write_all(&batch.requests[bytes])?;
                sent += step;
                due -= step;
            }
            let len = self.socket.read(&mut self.buffer)?;
            ensure!(len > 0, "the server closed the connection");
            partial += len;
            let whole = partial / batch.answer_len;
            partial %= batch.answer_len;
            answered += whole;
            due = whole.min(count - sent);
        }
        let took = start.elapsed();
        ensure!(partial == 0, "{partial} bytes too many");
        Ok(took)
    }
}
