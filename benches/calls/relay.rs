//! The yardstick: a blocking client, relay and server that pass length-prefixed bytes and nothing
//! else. Each side keeps its buffers, takes what one read brings and passes on in one write every
//! frame that is whole, so pipelined calls travel in batches.

use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use gunmetal_benches::{Child, Samples, say_ready};

use crate::peer::{Load, Outcome, Peer};

/// How the middle process passes bytes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Whole frames only, one thread, one connection.
    StoreAndForward,
    /// Whatever a read brings, a thread for each direction.
    CutThrough,
}

/// A client of the relay, with the processes behind it.
pub(crate) struct RelayPeer {
    mode: Mode,
    socket: UnixStream,
    inbox: Inbox,
    outbox: Vec<u8>,
    _relay: Child,
    _server: Child,
}

impl RelayPeer {
    pub(crate) fn start(dir: &Path, mode: Mode) -> Result<Self> {
        let (role, server_name) = match mode {
            Mode::StoreAndForward => ("relay", "relay-echo.sock"),
            Mode::CutThrough => ("cut-through", "cut-through-echo.sock"),
        };
        let server_path = dir.join(server_name).display().to_string();
        let relay_path = dir.join(role).with_extension("sock").display().to_string();
        let server = Child::role(&["echo", &server_path])?;
        let relay = Child::role(&[role, &relay_path, &server_path])?;
        let socket = UnixStream::connect(&relay_path).context("connecting to the relay")?;
        Ok(Self { mode, socket, inbox: Inbox::new(), outbox: Vec::new(), _relay: relay, _server: server })
    }

    fn call(&mut self, payload: &Bytes) -> Result<usize> {
        self.socket.write_all(&self.outbox)?;
        let batch = self.inbox.whole_frames(&mut self.socket)?.context("the relay closed")?;
        ensure!(batch.finals == 1, "one call, {} answers", batch.finals);
        let len = self.inbox.front(batch.len).len();
        debug_assert_eq!(len, payload.len() + PREFIX_LEN);
        self.inbox.consume(batch.len);
        Ok(len)
    }
}

impl Peer for RelayPeer {
    fn name(&self) -> String {
        match self.mode {
            Mode::StoreAndForward => "relay, 2 hops".into(),
            Mode::CutThrough => "relay, cut-through".into(),
        }
    }

    fn one_at_a_time(&mut self, payload: &Bytes, calls: usize, samples: &mut Samples) -> Result<Outcome> {
        self.outbox.clear();
        put_frame(&mut self.outbox, payload, Last::Yes);
        for _ in 0..calls {
            let start = Instant::now();
            let len = self.call(payload)?;
            samples.push(start.elapsed());
            ensure!(len == payload.len() + PREFIX_LEN, "an echo of {len} bytes");
        }
        Ok(Outcome::Done)
    }

    fn in_flight(&mut self, payload: &Bytes, depth: usize, calls: usize) -> Result<Option<Duration>> {
        self.outbox.clear();
        for _ in 0..depth {
            put_frame(&mut self.outbox, payload, Last::Yes);
        }
        let frame_len = payload.len() + PREFIX_LEN;
        let start = Instant::now();
        self.socket.write_all(&self.outbox)?;
        let (mut sent, mut answered) = (depth, 0);
        while answered < sent {
            let batch = self.inbox.whole_frames(&mut self.socket)?.context("the relay closed")?;
            answered += batch.finals;
            self.inbox.consume(batch.len);
            let more = batch.finals.min(calls.saturating_sub(sent));
            if more > 0 {
                self.socket.write_all(&self.outbox[..more * frame_len])?;
                sent += more;
            }
        }
        Ok(Some(start.elapsed()))
    }

    fn stream(&mut self, chunk_len: usize, count: usize) -> Result<Option<Duration>> {
        let mut request = u64::try_from(chunk_len)?.to_le_bytes().to_vec();
        request.extend_from_slice(&u64::try_from(count)?.to_le_bytes());
        self.outbox.clear();
        put_frame(&mut self.outbox, &request, Last::No);
        let start = Instant::now();
        self.socket.write_all(&self.outbox)?;
        let (mut frames, mut ended) = (0, false);
        while !ended {
            let batch = self.inbox.whole_frames(&mut self.socket)?.context("the relay closed")?;
            frames += batch.frames;
            ended = batch.finals > 0;
            self.inbox.consume(batch.len);
        }
        let took = start.elapsed();
        ensure!(frames == count + 1, "a stream of {frames} frames");
        Ok(Some(took))
    }

    fn open_load(&mut self, _: &Bytes, _: Load, _: &mut Samples) -> Result<bool> {
        Ok(false)
    }
}

/// The server: answers each frame with itself, or with the stream that it asks for.
pub(crate) fn serve_echo(listen: &str) -> Result<()> {
    let listener = UnixListener::bind(listen).context("binding the echo server")?;
    say_ready()?;
    let (mut socket, _) = listener.accept()?;
    let mut inbox = Inbox::new();
    while let Some(batch) = inbox.whole_frames(&mut socket)? {
        let frames = inbox.front(batch.len);
        if batch.finals == batch.frames {
            socket.write_all(frames)?;
        } else {
            write_stream(&mut socket, &frames[PREFIX_LEN..])?;
        }
        inbox.consume(batch.len);
    }
    Ok(())
}

/// The middle process that keeps frames until they are whole.
pub(crate) fn serve_relay(listen: &str, upstream: &str) -> Result<()> {
    let listener = UnixListener::bind(listen).context("binding the relay")?;
    let mut server = UnixStream::connect(upstream).context("connecting the relay to its server")?;
    say_ready()?;
    let (mut client, _) = listener.accept()?;
    let (mut requests, mut replies) = (Inbox::new(), Inbox::new());
    while let Some(batch) = requests.whole_frames(&mut client)? {
        server.write_all(requests.front(batch.len))?;
        requests.consume(batch.len);
        let mut waiting = batch.frames;
        while waiting > 0 {
            let batch = replies.whole_frames(&mut server)?.context("the server closed")?;
            client.write_all(replies.front(batch.len))?;
            replies.consume(batch.len);
            waiting -= batch.finals;
        }
    }
    Ok(())
}

/// The middle process that passes on what each read brings.
pub(crate) fn serve_cut_through(listen: &str, upstream: &str) -> Result<()> {
    let listener = UnixListener::bind(listen).context("binding the relay")?;
    let mut server = UnixStream::connect(upstream).context("connecting the relay to its server")?;
    say_ready()?;
    let (mut client, _) = listener.accept()?;
    let (mut client_reader, mut server_writer) = (client.try_clone()?, server.try_clone()?);
    let requests = thread::spawn(move || pump(&mut client_reader, &mut server_writer));
    pump(&mut server, &mut client)?;
    requests.join().expect("pump does not panic")?;
    Ok(())
}

fn pump(from: &mut UnixStream, to: &mut UnixStream) -> io::Result<()> {
    let mut buf = vec![0; READ_LEN];
    loop {
        match from.read(&mut buf)? {
            0 => return Ok(()),
            len => to.write_all(&buf[..len])?,
        }
    }
}

/// Writes the chunks that `request` asks for one by one, then an empty last frame.
fn write_stream(socket: &mut UnixStream, request: &[u8]) -> Result<()> {
    let word = |at: usize| -> Result<u64> {
        Ok(u64::from_le_bytes(request.get(at..at + 8).context("a short stream request")?.try_into()?))
    };
    let (chunk_len, count) = (usize::try_from(word(0)?)?, word(8)?);
    let mut chunk = Vec::new();
    put_frame(&mut chunk, &vec![7; chunk_len], Last::No);
    for _ in 0..count {
        socket.write_all(&chunk)?;
    }
    let mut end = Vec::new();
    put_frame(&mut end, &[], Last::Yes);
    socket.write_all(&end)?;
    Ok(())
}

/// Whether a frame ends its call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Last {
    Yes,
    No,
}

fn put_frame(out: &mut Vec<u8>, payload: &[u8], last: Last) {
    let len = u32::try_from(payload.len()).expect("payloads of the bench are small");
    let prefix = if last == Last::Yes { len } else { len | MORE };
    out.extend_from_slice(&prefix.to_le_bytes());
    out.extend_from_slice(payload);
}

/// A kept receive buffer that knows how many whole frames it begins with.
struct Inbox {
    buf: Vec<u8>,
    start: usize,
    end: usize,
}

/// Whole frames at the front of an inbox.
#[derive(Debug, Clone, Copy)]
struct Batch {
    /// Their bytes, prefixes included.
    len: usize,
    frames: usize,
    /// Frames that end a call.
    finals: usize,
}

impl Inbox {
    fn new() -> Self {
        Self { buf: vec![0; READ_LEN], start: 0, end: 0 }
    }

    /// Reads until at least one frame is whole; `None` at the end of the stream.
    fn whole_frames(&mut self, socket: &mut UnixStream) -> io::Result<Option<Batch>> {
        loop {
            let (batch, wanted) = self.scan();
            if batch.frames > 0 {
                return Ok(Some(batch));
            }
            if self.buf.len() - self.start < wanted {
                self.buf.copy_within(self.start..self.end, 0);
                (self.start, self.end) = (0, self.end - self.start);
                if self.buf.len() < wanted {
                    self.buf.resize(wanted, 0);
                }
            }
            match socket.read(&mut self.buf[self.end..])? {
                0 => return Ok(None),
                len => self.end += len,
            }
        }
    }

    fn front(&self, len: usize) -> &[u8] {
        &self.buf[self.start..self.start + len]
    }

    fn consume(&mut self, len: usize) {
        self.start += len;
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// The whole frames, and the bytes that the buffer must have room for to hold the next one.
    fn scan(&self) -> (Batch, usize) {
        let mut batch = Batch { len: 0, frames: 0, finals: 0 };
        let held = &self.buf[self.start..self.end];
        while let Some(prefix) = held.get(batch.len..batch.len + PREFIX_LEN) {
            let prefix = u32::from_le_bytes(prefix.try_into().expect("the range has four bytes"));
            let frame_len = PREFIX_LEN + (prefix & !MORE) as usize;
            if held.len() - batch.len < frame_len {
                return (batch, frame_len.max(READ_LEN / 2));
            }
            batch.len += frame_len;
            batch.frames += 1;
            batch.finals += usize::from(prefix & MORE == 0);
        }
        (batch, READ_LEN / 2)
    }
}

/// Bytes before each payload: its length, little endian.
const PREFIX_LEN: usize = 4;
/// Set in the prefix of a frame that does not end its call.
const MORE: u32 = 1 << 31;
/// Room for one read.
const READ_LEN: usize = 128 << 10;
