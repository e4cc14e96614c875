//! A service with HTTP workers, and a client that keeps its connections.

use std::collections::BTreeSet;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;

use super::{PATIENCE, Service};

/// A running service and the port it listens on.
pub struct HttpService {
    pub service: Service,
    pub port: u16,
}

impl HttpService {
    /// Starts an example on a port of its own.
    pub fn start(example: &str, flags: &[&str]) -> HttpService {
        let mut all = vec!["--bind", "127.0.0.1:0"];
        all.extend_from_slice(flags);
        HttpService::of(Service::start(example, &all, &[]))
    }

    /// Waits until a service has said where it listens.
    pub fn of(service: Service) -> HttpService {
        let port = service.wait_for("the line with the port", || {
            let log = service.log();
            let line = log.iter().find(|line| line.contains("Listening at: "))?;
            line.split("127.0.0.1:").nth(1)?.split([' ', ',']).next()?.parse().ok()
        });
        HttpService { service, port }
    }

    /// A new connection.
    pub fn connect(&self) -> Client<TcpStream> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Client::new(stream)
    }

    /// The pids of the HTTP workers.
    pub fn workers(&self) -> BTreeSet<u32> {
        self.service.processes("http worker").into_iter().map(|process| process.pid).collect()
    }

    /// Has the service reload, and waits until new workers are in the place of those that drain then.
    pub fn reload(&self) {
        let before = self.served_by_new(&BTreeSet::new());
        self.service.signal(libc::SIGHUP);
        self.served_by_new(&before);
    }

    /// Asks until none of `old` answers, and returns the HTTP workers that there are.
    fn served_by_new(&self, old: &BTreeSet<u32>) -> BTreeSet<u32> {
        self.service.wait_for("answers of new workers only", || {
            (0..8).all(|_| !old.contains(&self.pid_of_answer())).then(|| self.workers())
        })
    }

    fn pid_of_answer(&self) -> u32 {
        self.connect().get("/pid").unwrap().body.parse().unwrap()
    }

    /// The path of a file in the service's directory.
    pub fn file(&self, name: &str) -> PathBuf {
        self.service.socket().with_file_name(name)
    }

    pub fn logged(&self, text: &str) -> Option<()> {
        self.service.log().iter().any(|line| line.contains(text)).then_some(())
    }
}

/// One connection, over which one request follows the other.
pub struct Client<S> {
    stream: BufReader<S>,
}

/// An answer that came whole.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: String,
    /// Whether the server said that it closes.
    pub closes: bool,
}

impl<S: Read + Write> Client<S> {
    pub fn new(stream: S) -> Client<S> {
        Client { stream: BufReader::new(stream) }
    }

    pub fn get(&mut self, path: &str) -> io::Result<Answer> {
        self.send(format!("GET {path} HTTP/1.1\r\nhost: here\r\n\r\n").as_bytes())?;
        self.answer()
    }

    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    pub fn answer(&mut self) -> io::Result<Answer> {
        let status = self.line()?.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.ok_or_else(|| io::Error::other("no status"))?;
        let (mut length, mut closes) = (0, false);
        loop {
            let line = self.line()?.to_ascii_lowercase();
            match line.split_once(": ") {
                Some(("content-length", value)) => length = value.parse().map_err(io::Error::other)?,
                Some(("connection", value)) => closes = value == "close",
                Some(_) => {}
                None => break,
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok(Answer { status, body: String::from_utf8(body).map_err(io::Error::other)?, closes })
    }

    /// What the server still sends before it closes; an error if it does not close in an orderly way.
    pub fn rest(&mut self) -> io::Result<Vec<u8>> {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest)?;
        Ok(rest)
    }

    pub fn read_exact(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        self.stream.read_exact(buffer)
    }

    pub fn stream(&mut self) -> &mut S {
        self.stream.get_mut()
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }
}
