//! A worker in a thread, and a router played by hand.

use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytes::BytesMut;
use gunmetal_dirty::link::{self, Hello, LaneReady, ToWorker};
use gunmetal_dirty::worker::{ReadyWriter, StopHandle, StopSource, WorkerConfig, WorkerExit, run};
use gunmetal_dirty::{AppFactory, DirtyApp, Value};
use gunmetal_protocol::{
    Args, ErrorPayload, Frame, FrameDecoder, MessageType, Segments, decode_chunk, decode_result,
    encode_request,
};

/// How long anything that must happen may take before the test fails.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A worker that runs in a thread of the test; quits when dropped.
pub struct Worker {
    path: PathBuf,
    stop: Option<StopHandle>,
    thread: Option<JoinHandle<WorkerExit>>,
    ready: io::PipeReader,
    _dir: tempfile::TempDir,
}

impl Worker {
    /// A worker with one app at `tests:App`.
    pub fn start<T: DirtyApp>(threads: usize) -> Self {
        Self::with(threads, vec![("tests:App".to_owned(), AppFactory::of::<T>())], |_| ())
    }

    pub fn with(
        threads: usize,
        apps: Vec<(String, AppFactory)>,
        change: impl FnOnce(&mut WorkerConfig),
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("worker.sock");
        let (ready, writer) = io::pipe().unwrap();
        let (stop, source) = StopSource::handle().unwrap();
        let mut config = WorkerConfig {
            listener: UnixListener::bind(&path).unwrap(),
            slot: 1,
            generation: 2,
            threads,
            apps,
            init_hook: None,
            heartbeat: None,
            ready: Some(ReadyWriter(Box::new(writer))),
            stop: source,
            lifeline: None,
            reopen_logs: || {},
        };
        change(&mut config);
        let thread = thread::spawn(move || run(config).unwrap());
        Self { path, stop: Some(stop), thread: Some(thread), ready, _dir: dir }
    }

    /// What the worker said about its readiness.
    pub fn readiness(&mut self) -> String {
        let mut text = String::new();
        self.ready.read_to_string(&mut text).unwrap();
        text
    }

    pub fn stop(&self) -> &StopHandle {
        self.stop.as_ref().unwrap()
    }

    /// Waits for its end.
    pub fn exit(&mut self) -> WorkerExit {
        self.thread.take().unwrap().join().unwrap()
    }

    pub fn connect(&self, hello: &Hello) -> Peer {
        let mut peer = Peer::new(UnixStream::connect(&self.path).unwrap());
        peer.write(&link::encode(hello).unwrap());
        peer
    }

    pub fn control(&self) -> Peer {
        self.connect(&Hello::Control)
    }

    /// A lane that a thread has picked up.
    pub fn lane(&self, lane: u64) -> Peer {
        let mut peer = self.connect(&Hello::Lane { lane });
        peer.expect_ready();
        peer
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            self.stop().quit();
            // A second panic would hide the first.
            let _ = thread.join();
        }
    }
}

/// The router's end of a connection.
pub struct Peer {
    pub stream: UnixStream,
    decoder: FrameDecoder,
    buf: BytesMut,
}

/// A reply as the router sees it.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    Result(Value),
    Chunk(Value),
    End,
    Error(ErrorPayload),
}

impl Peer {
    fn new(stream: UnixStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { stream, decoder: FrameDecoder::new(), buf: BytesMut::new() }
    }

    pub fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    pub fn tell(&mut self, message: &ToWorker) {
        self.write(&link::encode(message).unwrap());
    }

    /// Sends requests in one write.
    pub fn request(&mut self, calls: &[(u64, &str, Args)]) {
        let mut out = Segments::new();
        for (id, action, args) in calls {
            encode_request(*id, "tests:App", action, args, &mut out).unwrap();
        }
        self.write(&out.into_contiguous());
    }

    /// The next frame; `None` at the end of the connection.
    pub fn frame(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.decoder.next_frame(&mut self.buf).unwrap() {
                return Some(frame);
            }
            let mut scratch = vec![0; 1 << 16];
            match self.stream.read(&mut scratch) {
                Ok(0) => return None,
                Ok(count) => self.buf.extend_from_slice(&scratch[..count]),
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("no frame within {PATIENCE:?}: {error}"),
            }
        }
    }

    /// The next reply and the request it answers.
    pub fn reply(&mut self) -> (u64, Reply) {
        let Frame { header, payload } = self.frame().expect("a reply, not the end");
        let reply = match header.message_type {
            MessageType::Response => Reply::Result(Value::decode(decode_result(payload).unwrap()).unwrap()),
            MessageType::Chunk => Reply::Chunk(Value::decode(decode_chunk(payload).unwrap()).unwrap()),
            MessageType::End => Reply::End,
            MessageType::Error => Reply::Error(ErrorPayload::decode(payload).unwrap()),
            other => panic!("a worker does not send {other:?}"),
        };
        (header.request_id, reply)
    }

    pub fn call(&mut self, id: u64, action: &str, args: Args) -> Reply {
        self.request(&[(id, action, args)]);
        let (answered, reply) = self.reply();
        assert_eq!(answered, id, "{reply:?}");
        reply
    }

    pub fn call_error(&mut self, id: u64, action: &str, args: Args) -> ErrorPayload {
        match self.call(id, action, args) {
            Reply::Error(error) => error,
            other => panic!("expected an error, got {other:?}"),
        }
    }

    pub fn message<T: serde::de::DeserializeOwned>(&mut self) -> T {
        link::decode(&self.frame().expect("a message, not the end")).unwrap()
    }

    pub fn expect_ready(&mut self) {
        let LaneReady = self.message();
    }

    /// Whether nothing can be read right now.
    pub fn is_silent(&mut self) -> bool {
        self.stream.set_nonblocking(true).unwrap();
        let mut byte = [0];
        let read = self.stream.read(&mut byte);
        self.stream.set_nonblocking(false).unwrap();
        match read {
            Ok(count) => {
                self.buf.extend_from_slice(&byte[..count]);
                false
            }
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        }
    }
}

/// A number that threads count up and wait for.
#[derive(Clone, Default)]
pub struct Counter(Arc<(Mutex<u64>, Condvar)>);

impl Counter {
    pub fn add(&self) -> u64 {
        let mut count = self.0.0.lock().unwrap();
        *count += 1;
        self.0.1.notify_all();
        *count
    }

    pub fn count(&self) -> u64 {
        *self.0.0.lock().unwrap()
    }

    /// Waits until the count is at least `wanted`.
    pub fn wait_for(&self, wanted: u64) {
        let count = self.0.0.lock().unwrap();
        let (count, timeout) = self.0.1.wait_timeout_while(count, PATIENCE, |count| *count < wanted).unwrap();
        assert!(!timeout.timed_out(), "count is {count} after {PATIENCE:?}, not {wanted}");
    }
}
