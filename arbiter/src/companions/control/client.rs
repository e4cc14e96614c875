//! One connection to the control socket.

use std::io::{self, Read, Write};
use std::ops::ControlFlow;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Instant;

use super::PATIENCE;
use super::reply::Reply;
use super::request::Request;

/// A client: what it has sent and is not answered, and what it is answered and has not read.
#[derive(Debug)]
pub(super) struct Client {
    id: u64,
    stream: UnixStream,
    /// Whole lines first, then the beginning of one.
    input: Vec<u8>,
    /// The rest of one answer.
    output: Vec<u8>,
    sends: Sends,
    /// When the last byte went through, in either direction.
    last_active: Instant,
}

/// What a client can be waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Interest {
    Read,
    Write,
}

/// Whether a client has more to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sends {
    More,
    /// It has sent its last byte, and may wait for answers.
    NoMore,
    /// Nothing that is heard: it gets what is in the output, then the connection ends.
    Unheard,
}

impl Client {
    /// A client on a stream that does not block.
    pub(super) fn new(id: u64, stream: UnixStream) -> Self {
        let (input, output) = (Vec::new(), Vec::new());
        Self { id, stream, input, output, sends: Sends::More, last_active: Instant::now() }
    }

    pub(super) fn id(&self) -> u64 {
        self.id
    }

    pub(super) fn last_active(&self) -> Instant {
        self.last_active
    }

    /// What the next thing to do needs.
    pub(super) fn interest(&self) -> Interest {
        // A request that has arrived needs room for its answer; an open socket without one is writable at once.
        if self.sends == Sends::More && self.output.is_empty() && !self.has_line() {
            Interest::Read
        } else {
            Interest::Write
        }
    }

    /// When it is given up; `None` if there is nothing that it has begun.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let is_idle = self.input.is_empty() && self.output.is_empty();
        (!is_idle).then(|| self.last_active + PATIENCE)
    }

    /// Writes, answers and reads as far as that goes without waiting. At the break the connection is over.
    pub(super) fn go_on(&mut self, answer: &mut dyn FnMut(Request) -> Reply) -> ControlFlow<()> {
        self.flush()?;
        if self.interest() == Interest::Read {
            self.read()?;
        }
        // The rest comes in the next round: nobody else waits for a client that asks for a thousand things.
        for _ in 0..MOST_AT_ONCE {
            if !self.output.is_empty() {
                return ControlFlow::Continue(());
            }
            let Some(reply) = self.next_reply(answer) else { break };
            self.output = reply;
            self.output.push(b'\n');
            self.flush()?;
        }
        let is_over = self.sends != Sends::More && self.input.is_empty() && self.output.is_empty();
        if is_over { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// Says why, and ends the connection.
    pub(super) fn refuse(mut self, error: String) {
        self.output = Reply::Refused { error }.to_line();
        self.output.push(b'\n');
        // The buffer of a new socket has room for a line.
        let _ = self.flush();
    }

    /// The answer to the next line, if there is one.
    fn next_reply(&mut self, answer: &mut dyn FnMut(Request) -> Reply) -> Option<Vec<u8>> {
        let end = self.input.iter().position(|byte| *byte == b'\n');
        let line = match end {
            // Who ends without the end of the line means the line nevertheless.
            None if self.sends == Sends::NoMore && !self.input.is_empty() => std::mem::take(&mut self.input),
            None if self.input.len() <= MAX_LINE_LEN => return None,
            Some(end) if end <= MAX_LINE_LEN => {
                let rest = self.input.split_off(end + 1);
                std::mem::replace(&mut self.input, rest)
            }
            // Where the next request would begin is anybody's guess.
            None | Some(_) => {
                self.input = Vec::new();
                self.sends = Sends::Unheard;
                let error = format!("the line has more than {MAX_LINE_LEN} bytes, which is what is allowed");
                return Some(Reply::Refused { error }.to_line());
            }
        };
        let line = line.strip_suffix(b"\n").unwrap_or(&line);
        let reply = Request::parse(line).map_or_else(|error| Reply::Refused { error }, answer).to_line();
        if reply.len() < MAX_REPLY_LEN {
            return Some(reply);
        }
        let len = reply.len();
        let error = format!(
            "the answer has {len} bytes, allowed are {MAX_REPLY_LEN}: ask for less, such as one \"name\""
        );
        Some(Reply::Refused { error }.to_line())
    }

    fn has_line(&self) -> bool {
        self.input.contains(&b'\n')
    }

    fn flush(&mut self) -> ControlFlow<()> {
        while !self.output.is_empty() {
            match self.stream.write(&self.output) {
                Ok(len) => {
                    self.output.drain(..len);
                    self.last_active = Instant::now();
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => return ControlFlow::Break(()),
            }
        }
        ControlFlow::Continue(())
    }

    fn read(&mut self) -> ControlFlow<()> {
        let mut buffer = [0; READ_LEN];
        match self.stream.read(&mut buffer) {
            Ok(0) => self.sends = Sends::NoMore,
            Ok(len) => {
                self.input.extend_from_slice(&buffer[..len]);
                self.last_active = Instant::now();
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return ControlFlow::Break(()),
        }
        ControlFlow::Continue(())
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

/// The longest line that is a request, in bytes; nobody has names that need more.
pub(super) const MAX_LINE_LEN: usize = 64 << 10;
/// The longest answer with its end, in bytes: some thousand companions.
pub(super) const MAX_REPLY_LEN: usize = 1 << 20;
/// Requests of one client that are answered before others have their turn.
const MOST_AT_ONCE: usize = 16;
const READ_LEN: usize = 16 << 10;
