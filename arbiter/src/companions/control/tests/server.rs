//! A manager's loop and its clients, in one thread.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use gunmetal_supervise::Poller;

use super::{Control, Reply, Request};

/// The manager's loop, with a directory for its socket.
pub(super) struct Server {
    pub(super) control: Control,
    /// Every request that has been answered.
    pub(super) asked: Vec<Request>,
    /// What is answered to commands; if empty, the command.
    pub(super) message: String,
    pub(super) directory: tempfile::TempDir,
}

/// A client, which reads only when it is told to.
pub(super) struct Peer {
    pub(super) stream: UnixStream,
    received: Vec<u8>,
}

impl Server {
    pub(super) fn new() -> Self {
        Self::with_mode(0o600)
    }

    pub(super) fn with_mode(mode: u32) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let control = Control::bind(&directory.path().join("s"), mode).unwrap();
        Self { control, asked: Vec::new(), message: String::new(), directory }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.directory.path().join("s")
    }

    pub(super) fn connect(&self) -> Peer {
        let stream = UnixStream::connect(self.path()).unwrap();
        stream.set_nonblocking(true).unwrap();
        Peer { stream, received: Vec::new() }
    }

    /// One round of the loop, which waits for a moment at most; returns how many news there were.
    pub(super) fn turn(&mut self) -> usize {
        let mut poller = Poller::new();
        self.control.watch(&mut poller, |watch| watch);
        let moment = Instant::now() + Duration::from_millis(10);
        let deadline = self.control.next_deadline().map_or(moment, |deadline| deadline.min(moment));
        let news = poller.wait(Some(deadline)).unwrap();
        let count = news.len();
        let (asked, message) = (&mut self.asked, &self.message);
        for watch in news {
            self.control.news(watch, &mut |request| {
                asked.push(request.clone());
                reply(request, message)
            });
        }
        self.control.tick();
        count
    }

    pub(super) fn until<T>(&mut self, what: &str, mut check: impl FnMut(&mut Self) -> Option<T>) -> T {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(found) = check(self) {
                return found;
            }
            assert!(Instant::now() < deadline, "no {what} in a minute");
            self.turn();
        }
    }

    /// Goes on until nothing happens any more; returns how many requests have been answered by then.
    pub(super) fn settle(&mut self) -> usize {
        self.until("end of the news", |server| (server.turn() == 0).then_some(()));
        self.asked.len()
    }

    /// The next line that the client gets.
    pub(super) fn line(&mut self, client: &mut Peer) -> String {
        let end = self.until("answer", |_| {
            let is_open = client.read();
            let end = client.received.iter().position(|byte| *byte == b'\n');
            assert!(is_open || end.is_some(), "the connection has ended");
            end
        });
        let line: Vec<u8> = client.received.drain(..=end).collect();
        String::from_utf8(line).unwrap().trim_end().to_owned()
    }

    /// Everything that the client gets until its connection ends.
    pub(super) fn rest(&mut self, client: &mut Peer) -> String {
        self.until("end of the connection", |_| (!client.read()).then_some(()));
        String::from_utf8(std::mem::take(&mut client.received)).unwrap()
    }
}

impl Peer {
    /// Sends something that the socket has room for.
    pub(super) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Reads what there is; false once the connection has ended.
    fn read(&mut self) -> bool {
        let mut buffer = [0; 4096];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return false,
                Ok(len) => self.received.extend_from_slice(&buffer[..len]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                // What it had sent was not read before the end.
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return false,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

fn reply(request: Request, message: &str) -> Reply {
    let done = |command: &str, name: String| {
        let message = if message.is_empty() { format!("{command} {name}") } else { message.to_owned() };
        Reply::Done { message }
    };
    match request {
        Request::Status { .. } => Reply::Status(Vec::new()),
        Request::Reread => Reply::Reread {
            added: Vec::new(),
            removed: Vec::new(),
            restarted: Vec::new(),
            unchanged: Vec::new(),
        },
        Request::Start(name) => done("start", name),
        Request::Stop(name) => done("stop", name),
        Request::Restart(name) => done("restart", name),
    }
}
