//! A router in a thread, and the ends of its sockets: the test plays parent, workers and clients.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::BytesMut;
use gunmetal_dirty::link::{FromWorker, Hello, LaneReady, ToWorker};
use gunmetal_protocol::{
    Args, ErrorPayload, Frame, FrameDecoder, Header, MessageType, Segments, Value, decode_chunk,
    decode_result, encode_chunk, encode_request, encode_response,
};
use gunmetal_supervise::WorkerId;
use tempfile::TempDir;

use crate::link::{self, ConfiguredApp, FromRouter, ToRouter, WorkerUp};
use crate::router::{RouterConfig, RouterError, run};

/// A running router and its parent's end of the link.
pub(super) struct Rig {
    dir: TempDir,
    pub(super) parent: Peer,
    router: Option<JoinHandle<Result<(), RouterError>>>,
    thread: nix::unistd::Pid,
    workers: u32,
}

impl Rig {
    pub(super) fn new() -> Rig {
        Rig::with(|_| {})
    }

    pub(super) fn with(configure: impl FnOnce(&mut RouterConfig)) -> Rig {
        let dir = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(dir.path().join("clients")).unwrap();
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut config = RouterConfig::new(listener, theirs);
        configure(&mut config);
        let (say_thread, thread) = std::sync::mpsc::channel();
        let router = move || {
            say_thread.send(nix::unistd::gettid()).unwrap();
            run(config)
        };
        let router = std::thread::Builder::new().name("router".to_owned()).spawn(router).unwrap();
        let thread = thread.recv().unwrap();
        let mut rig = Rig { dir, parent: Peer::new(ours), router: Some(router), thread, workers: 0 };
        assert_eq!(rig.heard(), FromRouter::Ready);
        let apps = [("a:A", None), ("b:B", None), ("off:Off", Some(0))];
        let apps = apps.map(|(path, limit)| ConfiguredApp { path: path.to_owned(), limit });
        rig.tell(&ToRouter::Apps(apps.into()));
        rig
    }

    pub(super) fn tell(&mut self, message: &ToRouter) {
        self.parent.stream.write_all(&link::encode(message).unwrap()).unwrap();
    }

    pub(super) fn heard(&mut self) -> FromRouter {
        link::decode(&self.parent.frame()).unwrap()
    }

    pub(super) fn client(&self) -> Peer {
        Peer::new(UnixStream::connect(self.dir.path().join("clients")).unwrap())
    }

    /// A worker with `threads` lanes, all of them ready. Asked to give calls back, it says that all have started.
    pub(super) fn worker(&mut self, threads: u32) -> Worker {
        let mut worker = self.worker_with_control(threads);
        let control = worker.control.take().unwrap();
        std::thread::spawn(|| give_nothing_back(control));
        worker
    }

    /// The same, but the test answers on the control connection.
    pub(super) fn worker_with_control(&mut self, threads: u32) -> Worker {
        self.workers += 1;
        let id = WorkerId { slot: self.workers, generation: 1 };
        let socket = self.dir.path().join(format!("worker-{id}"));
        let listener = UnixListener::bind(&socket).unwrap();
        self.tell(&ToRouter::WorkerUp(WorkerUp {
            worker: id,
            pid: 1000 + self.workers,
            age: self.workers.into(),
            apps: vec!["a:A".to_owned(), "b:B".to_owned()],
            socket: socket.to_str().unwrap().to_owned(),
            threads,
            max_calls: None,
        }));
        let mut worker = Worker { id, listener, control: None, lanes: VecDeque::new() };
        while worker.control.is_none() || worker.lanes.len() < threads as usize {
            worker.accept();
        }
        worker
    }

    pub(super) fn gone(&mut self, worker: WorkerId, cause: &str) {
        self.tell(&ToRouter::WorkerGone { worker, cause: cause.to_owned() });
    }

    /// How often the router's thread has gone to sleep.
    pub(super) fn sleep_count(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/self/task/{}/status", self.thread)).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        line.unwrap().trim().parse().unwrap()
    }

    /// How long the router's thread has run, in nanoseconds of the processor.
    pub(super) fn run_time(&self) -> u64 {
        let times = std::fs::read_to_string(format!("/proc/self/task/{}/schedstat", self.thread)).unwrap();
        times.split(' ').next().unwrap().parse().unwrap()
    }

    /// Waits for the router to end.
    pub(super) fn outcome(&mut self) -> Result<(), RouterError> {
        self.router.take().unwrap().join().unwrap()
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        let _ = self.parent.stream.shutdown(std::net::Shutdown::Both);
        if let Some(router) = self.router.take() {
            let outcome = router.join();
            if !std::thread::panicking() {
                outcome.unwrap().unwrap();
            }
        }
    }
}

/// A scripted worker.
pub(super) struct Worker {
    pub(super) id: WorkerId,
    pub(super) listener: UnixListener,
    pub(super) control: Option<Peer>,
    pub(super) lanes: VecDeque<Lane>,
}

/// A lane as the worker sees it.
pub(super) struct Lane {
    pub(super) number: u64,
    pub(super) peer: Peer,
}

impl Worker {
    /// Takes up one connection of the router.
    pub(super) fn accept(&mut self) {
        let mut peer = Peer::new(self.listener.accept().unwrap().0);
        match link::decode(&peer.frame()).unwrap() {
            Hello::Control => self.control = Some(peer),
            Hello::Lane { lane } => {
                peer.stream.write_all(&link::encode(&LaneReady).unwrap()).unwrap();
                self.lanes.push_back(Lane { number: lane, peer });
            }
        }
    }

    /// Takes up one connection without saying that it is ready.
    pub(super) fn accept_silently(&mut self) -> Peer {
        let mut peer = Peer::new(self.listener.accept().unwrap().0);
        peer.frame();
        peer
    }

    pub(super) fn lane(&mut self) -> &mut Peer {
        &mut self.lanes[0].peer
    }

    pub(super) fn control(&mut self) -> &mut Peer {
        self.control.as_mut().unwrap()
    }

    /// Hears a revocation and answers that nothing from `first` on has started.
    pub(super) fn revoked_from(&mut self, first: u64) -> ToWorker {
        let message = link::decode(&self.control().frame()).unwrap();
        let lane = self.lanes[0].number;
        let answer = link::encode(&FromWorker::Revoked { lane, first }).unwrap();
        self.control().stream.write_all(&answer).unwrap();
        message
    }

    /// Closes everything, as the end of the process does.
    pub(super) fn die(self) -> WorkerId {
        self.id
    }
}

/// One end of a connection that carries frames.
pub(super) struct Peer {
    pub(super) stream: UnixStream,
    decoder: FrameDecoder,
    buf: BytesMut,
}

impl Peer {
    pub(super) fn new(stream: UnixStream) -> Peer {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Peer { stream, decoder: FrameDecoder::new(), buf: BytesMut::new() }
    }

    /// The next frame; `None` at the end of the connection.
    pub(super) fn try_frame(&mut self) -> io::Result<Option<Frame>> {
        loop {
            if let Some(frame) = self.decoder.next_frame(&mut self.buf).map_err(io::Error::other)? {
                return Ok(Some(frame));
            }
            let mut bytes = [0; 64 << 10];
            let len = self.stream.read(&mut bytes)?;
            if len == 0 {
                return Ok(None);
            }
            self.buf.extend_from_slice(&bytes[..len]);
        }
    }

    pub(super) fn frame(&mut self) -> Frame {
        self.try_frame().unwrap().expect("a frame, found the end of the connection")
    }

    /// Whether the connection has ended, after whatever frames.
    pub(super) fn ends(&mut self) -> bool {
        loop {
            match self.try_frame() {
                Ok(Some(_)) => {}
                Ok(None) => return true,
                Err(error) => return error.kind() == io::ErrorKind::ConnectionReset,
            }
        }
    }

    /// Whether nothing comes for a moment.
    pub(super) fn is_silent_for(&mut self, moment: Duration) -> bool {
        self.stream.set_read_timeout(Some(moment)).unwrap();
        let silent = self.try_frame().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
        self.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        silent
    }

    pub(super) fn send(&mut self, frames: Segments) {
        self.stream.write_all(&frames.into_contiguous()).unwrap();
    }

    pub(super) fn send_header(&mut self, message_type: MessageType, request_id: u64, payload_len: u32) {
        self.stream.write_all(&Header { message_type, payload_len, request_id }.encode()).unwrap();
    }

    // As a client

    pub(super) fn call(&mut self, request_id: u64, action: &str, argument: impl Into<Value>) {
        self.send(request(request_id, "a:A", action, argument));
    }

    /// The next frame as the answer to a request.
    pub(super) fn result(&mut self, request_id: u64) -> Value {
        let frame = self.frame();
        assert_eq!((frame.header.message_type, frame.header.request_id), (MessageType::Response, request_id));
        Value::decode(decode_result(frame.payload).unwrap()).unwrap()
    }

    pub(super) fn chunk(&mut self, request_id: u64) -> Value {
        let frame = self.frame();
        assert_eq!((frame.header.message_type, frame.header.request_id), (MessageType::Chunk, request_id));
        Value::decode(decode_chunk(frame.payload).unwrap()).unwrap()
    }

    pub(super) fn error(&mut self, request_id: u64) -> ErrorPayload {
        let frame = self.frame();
        assert_eq!((frame.header.message_type, frame.header.request_id), (MessageType::Error, request_id));
        ErrorPayload::decode(frame.payload).unwrap()
    }

    // As a lane

    /// The next request: its sequence number and its first argument.
    pub(super) fn request(&mut self) -> (u64, Value) {
        let frame = self.frame();
        assert_eq!(frame.header.message_type, MessageType::Request);
        let payload = Value::decode(frame.payload).unwrap();
        let argument = payload.get("args").and_then(Value::as_list).and_then(|args| args.first().cloned());
        (frame.header.request_id, argument.unwrap_or(Value::None))
    }

    pub(super) fn respond(&mut self, seq: u64, result: impl Into<Value>) {
        let mut frame = Segments::new();
        encode_response(seq, &result.into(), &mut frame).unwrap();
        self.send(frame);
    }

    pub(super) fn send_chunk(&mut self, seq: u64, data: impl Into<Value>) {
        let mut frame = Segments::new();
        encode_chunk(seq, &data.into(), &mut frame).unwrap();
        self.send(frame);
    }

    /// Serves one call by sending its argument back.
    pub(super) fn echo(&mut self) -> u64 {
        let (seq, argument) = self.request();
        self.respond(seq, argument);
        seq
    }
}

pub(super) fn request(request_id: u64, app: &str, action: &str, argument: impl Into<Value>) -> Segments {
    let mut frame = Segments::new();
    let mut args = Args::default();
    args.positional.push(argument.into());
    encode_request(request_id, app, action, &args, &mut frame).unwrap();
    frame
}

/// Serves a control connection to its end.
fn give_nothing_back(mut control: Peer) {
    control.stream.set_read_timeout(None).unwrap();
    while let Ok(Some(frame)) = control.try_frame() {
        let ToWorker::Revoke { lane, upto } = link::decode(&frame).unwrap() else { return };
        let answer = link::encode(&FromWorker::Revoked { lane, first: upto + 1 }).unwrap();
        if control.stream.write_all(&answer).is_err() {
            return;
        }
    }
}

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);
