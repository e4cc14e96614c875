//! A tiny arbiter for the clients' tests: a real socket, and each frame by hand. Both clients' tests
//! include this file.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part of this module")]
#![allow(clippy::unwrap_used, reason = "this is a test")]

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use tempfile::TempDir;

pub const REQUEST: u8 = 0x01;
pub const RESPONSE: u8 = 0x02;
pub const ERROR: u8 = 0x03;
pub const CHUNK: u8 = 0x04;
pub const END: u8 = 0x05;
pub const STASH: u8 = 0x10;
pub const STATUS: u8 = 0x11;
pub const MANAGE: u8 = 0x12;
pub const CANCEL: u8 = 0x41;

/// A socket in a directory of its own, served by threads that end with their connections.
pub struct Arbiter {
    directory: TempDir,
    connections: Arc<AtomicUsize>,
}

impl Arbiter {
    /// Serves every connection with `serve`, which is told how many there were before it.
    pub fn start(serve: impl Fn(&mut Peer, usize) + Send + Sync + 'static) -> Arbiter {
        let arbiter =
            Arbiter { directory: tempfile::tempdir().unwrap(), connections: Arc::new(AtomicUsize::new(0)) };
        arbiter.listen(serve);
        arbiter
    }

    /// Begins to listen anew at the same path, as a successor would.
    pub fn listen(&self, serve: impl Fn(&mut Peer, usize) + Send + Sync + 'static) {
        let _ = std::fs::remove_file(self.path());
        let listener = UnixListener::bind(self.path()).unwrap();
        let (serve, connections) = (Arc::new(serve), Arc::clone(&self.connections));
        thread::spawn(move || {
            for socket in listener.incoming() {
                let (serve, number) = (Arc::clone(&serve), connections.fetch_add(1, Ordering::SeqCst));
                let mut peer = Peer { socket: socket.unwrap() };
                thread::spawn(move || serve(&mut peer, number));
            }
        });
    }

    pub fn path(&self) -> PathBuf {
        self.directory.path().join("dirty.sock")
    }

    pub fn connection_count(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// A socket path at which nobody listens.
    pub fn nobody(directory: &Path) -> PathBuf {
        let path = directory.join("nobody.sock");
        drop(UnixListener::bind(&path).unwrap());
        path
    }
}

/// The arbiter's side of one connection.
pub struct Peer {
    pub socket: UnixStream,
}

/// A frame as it came.
#[derive(Debug, Clone, PartialEq)]
pub struct Raw {
    pub kind: u8,
    pub id: u64,
    pub payload: Vec<u8>,
}

impl Raw {
    /// Whether the payload holds `text`: enough to tell requests apart.
    pub fn mentions(&self, text: &str) -> bool {
        self.payload.windows(text.len()).any(|window| window == text.as_bytes())
    }
}

impl Peer {
    /// The next frame; `None` once the client is gone.
    pub fn frame(&mut self) -> Option<Raw> {
        let mut header = [0; 16];
        self.socket.read_exact(&mut header).ok()?;
        assert_eq!(header[..3], *b"GD\x01", "header {header:02x?}");
        let len = u32::from_be_bytes(header[4..8].try_into().unwrap());
        let mut payload = vec![0; len as usize];
        self.socket.read_exact(&mut payload).ok()?;
        let id = u64::from_be_bytes(header[8..].try_into().unwrap());
        Some(Raw { kind: header[3], id, payload })
    }

    /// The next frame, which must be of this kind.
    pub fn expect(&mut self, kind: u8) -> Raw {
        let frame = self.frame().expect("the client went away");
        assert_eq!(frame.kind, kind, "{frame:?}");
        frame
    }

    /// Sends a frame; a client that went away is no failure.
    pub fn send(&mut self, kind: u8, id: u64, payload: &[u8]) {
        let _ = self.socket.write_all(&raw(kind, id, payload));
    }

    pub fn result(&mut self, id: u64, value: &[u8]) {
        self.send(RESPONSE, id, &dict(&[("result", value)]));
    }

    pub fn chunk(&mut self, id: u64, value: &[u8]) {
        self.send(CHUNK, id, &dict(&[("data", value)]));
    }

    pub fn end(&mut self, id: u64) {
        self.send(END, id, &[]);
    }

    pub fn error(&mut self, id: u64, class: &str, message: &str, details: &[(&str, &[u8])]) {
        let error =
            dict(&[("error_type", &str(class)), ("message", &str(message)), ("details", &dict(details))]);
        self.send(ERROR, id, &dict(&[("error", &error)]));
    }

    /// Answers the first STATUS request as our router would.
    pub fn greet_as_gunmetal(&mut self) {
        let id = self.expect(STATUS).id;
        self.result(id, &gunmetal_status());
    }

    /// Answers the first STATUS request as gunicorn's arbiter would.
    pub fn greet_as_gunicorn(&mut self) {
        let id = self.expect(STATUS).id;
        self.result(id, &gunicorn_status());
    }

    /// Whether writing to the client fails, because it has closed the connection.
    pub fn is_gone(&mut self) -> bool {
        // A frame for no call changes nothing.
        self.socket.write_all(&raw(END, u64::MAX, &[])).is_err()
    }

    /// Whether the client has closed the connection; waits for it.
    pub fn is_closed_by_client(&mut self) -> bool {
        matches!(self.socket.read(&mut [0]), Ok(0) | Err(_))
    }
}

pub fn gunmetal_status() -> Vec<u8> {
    let extensions = list(&[&str("cancel"), &str("multiplex"), &str("stash-scan")]);
    dict(&[("arbiter_pid", &int(7)), ("extensions", &extensions)])
}

pub fn gunicorn_status() -> Vec<u8> {
    let worker = dict(&[
        ("pid", &int(12)),
        ("age", &int(1)),
        ("apps", &list(&[&str("a:B")])),
        ("booted", &boolean(false)),
        ("last_heartbeat", &float(0.25)),
    ]);
    dict(&[
        ("arbiter_pid", &int(7)),
        ("workers", &list(&[&worker])),
        ("worker_count", &int(1)),
        ("apps", &list(&[&str("a:B")])),
    ])
}

/// A whole frame.
pub fn raw(kind: u8, id: u64, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).unwrap();
    [b"GD\x01", &[kind][..], &len.to_be_bytes(), &id.to_be_bytes(), payload].concat()
}

// Values, tag by tag, as the specification has them.

pub fn none() -> Vec<u8> {
    vec![0]
}

pub fn boolean(value: bool) -> Vec<u8> {
    vec![1, u8::from(value)]
}

pub fn int(value: i64) -> Vec<u8> {
    [&[5][..], &value.to_be_bytes()].concat()
}

pub fn float(value: f64) -> Vec<u8> {
    [&[6][..], &value.to_be_bytes()].concat()
}

pub fn bytes(value: &[u8]) -> Vec<u8> {
    sized(0x10, value)
}

pub fn str(value: &str) -> Vec<u8> {
    sized(0x11, value.as_bytes())
}

pub fn list(items: &[&[u8]]) -> Vec<u8> {
    let count = u32::try_from(items.len()).unwrap();
    [&[0x20][..], &count.to_be_bytes(), &items.concat()].concat()
}

pub fn dict(pairs: &[(&str, &[u8])]) -> Vec<u8> {
    let count = u32::try_from(pairs.len()).unwrap();
    let mut out = [&[0x21][..], &count.to_be_bytes()].concat();
    for (key, value) in pairs {
        out.extend(str(key));
        out.extend(*value);
    }
    out
}

fn sized(tag: u8, data: &[u8]) -> Vec<u8> {
    let len = u32::try_from(data.len()).unwrap();
    [&[tag][..], &len.to_be_bytes(), data].concat()
}
