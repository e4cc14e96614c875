//! The connection to a companion manager.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use nix::sys::socket::{getsockopt, sockopt};
use serde_json::{Value, json};

use super::answer::{Answer, Companion};
use super::socket_path::{SocketPath, VARIABLE};

/// A companion manager, connected to when it is needed.
pub(super) struct Manager {
    place: SocketPath,
    /// How long a manager that is not there is waited for: another one may be about to come.
    patience: Duration,
    stream: Option<BufReader<UnixStream>>,
}

/// Whether a request may be sent again if nobody knows what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Repeat {
    Freely,
    Never,
}

/// Why an exchange came to nothing.
enum Broken {
    /// The manager has not read the request.
    Unread(io::Error),
    /// It may have read it.
    Unanswered(io::Error),
}

impl Manager {
    pub(super) fn new(place: SocketPath, patience: Duration) -> Self {
        Self { place, patience, stream: None }
    }

    /// All companions, in their order; and the line that tells it.
    pub(super) fn status(&mut self) -> anyhow::Result<(Vec<Companion>, String)> {
        let (answer, line) = self.ask(&json!({ "cmd": "status" }), Repeat::Freely)?;
        if !answer.ok {
            bail!("the companion manager does not tell its status: {}", answer.refusal());
        }
        let companions = answer.companions.ok_or_else(|| self.stranger(&line))?;
        Ok((companions, line))
    }

    /// Sends a command for one companion. Returns the answer and the line that is it.
    pub(super) fn command(&mut self, cmd: &str, name: &str) -> anyhow::Result<(Answer, String)> {
        self.ask(&json!({ "cmd": cmd, "name": name }), Repeat::Never)
    }

    /// Has the configuration read again. Returns the answer and the line that is it.
    pub(super) fn reread(&mut self) -> anyhow::Result<(Answer, String)> {
        // A second time would report no change.
        self.ask(&json!({ "cmd": "reread" }), Repeat::Never)
    }

    /// The pid of the manager.
    pub(super) fn pid(&mut self) -> anyhow::Result<i32> {
        self.connect(Instant::now() + self.patience)?;
        let stream = self.stream.as_ref().context("the connection has ended")?;
        let listener = getsockopt(stream.get_ref(), sockopt::PeerCredentials)?;
        Ok(listener.pid())
    }

    fn ask(&mut self, request: &Value, repeat: Repeat) -> anyhow::Result<(Answer, String)> {
        let deadline = Instant::now() + self.patience;
        loop {
            self.connect(deadline)?;
            let error = match self.exchange(request) {
                Ok(line) => {
                    let answer = serde_json::from_str(&line).map_err(|_| self.stranger(&line))?;
                    return Ok((answer, line));
                }
                Err(Broken::Unread(error)) => error,
                // For that time, nobody else will come either.
                Err(Broken::Unanswered(error)) if is_timeout(&error) => {
                    let (path, limit) = (self.place.path.display(), self.answer_timeout());
                    bail!("the companion manager at {path} has not answered within {limit:?}");
                }
                Err(Broken::Unanswered(error)) if repeat == Repeat::Freely => error,
                Err(Broken::Unanswered(error)) => {
                    let path = self.place.path.display();
                    let message = format!(
                        "the companion manager at {path} has ended before it answered: whether it obeyed is not known"
                    );
                    return Err(anyhow!(error).context(message));
                }
            };
            if Instant::now() >= deadline {
                return Err(anyhow!(error).context(self.absent()));
            }
            std::thread::sleep(RETRY_INTERVAL);
        }
    }

    /// Sends the request and waits for its answer.
    fn exchange(&mut self, request: &Value) -> Result<String, Broken> {
        let mut stream =
            self.stream.take().ok_or_else(|| Broken::Unread(io::ErrorKind::NotConnected.into()))?;
        let sent = stream.get_mut().write_all(format!("{request}\n").as_bytes());
        // Also if nobody has read all of it: who hangs up at once may have said why.
        let mut line = Vec::new();
        let received = stream.by_ref().take(MAX_ANSWER_LEN).read_until(b'\n', &mut line);
        if !line.is_empty() {
            if sent.is_ok() && line.ends_with(b"\n") {
                self.stream = Some(stream);
            }
            return Ok(String::from_utf8_lossy(&line).trim_end().to_owned());
        }
        sent.map_err(Broken::Unread)?;
        match received {
            Ok(_) => Err(Broken::Unanswered(io::ErrorKind::UnexpectedEof.into())),
            // Linux resets a unix socket that is closed before it was read to its end.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Err(Broken::Unread(error)),
            Err(error) => Err(Broken::Unanswered(error)),
        }
    }

    /// Sees to it that there is a connection, and waits for a manager until the deadline.
    fn connect(&mut self, deadline: Instant) -> anyhow::Result<()> {
        while self.stream.is_none() {
            let error = match UnixStream::connect(&self.place.path) {
                Ok(stream) => {
                    stream.set_read_timeout(Some(self.answer_timeout()))?;
                    stream.set_write_timeout(Some(self.answer_timeout()))?;
                    self.stream = Some(BufReader::new(stream));
                    return Ok(());
                }
                Err(error) => error,
            };
            match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused | io::ErrorKind::WouldBlock
                    if Instant::now() < deadline =>
                {
                    std::thread::sleep(RETRY_INTERVAL);
                }
                io::ErrorKind::PermissionDenied => {
                    let path = self.place.path.display();
                    return Err(anyhow!(error).context(format!(
                        "cannot connect to {path}: that is for the user of the companion manager, and for root"
                    )));
                }
                _ => return Err(anyhow!(error).context(self.absent())),
            }
        }
        Ok(())
    }

    /// What to say, and what to do, if nobody is there.
    fn absent(&self) -> String {
        let SocketPath { path, origin } = &self.place;
        let patience = match self.patience.as_secs_f64() {
            0.0 => String::new(),
            seconds => format!(" within {seconds} s"),
        };
        format!(
            "no companion manager has answered{patience} at {}, {origin}; see that the service runs and has companions, or \
             name its socket by --control-socket, {VARIABLE} or --config",
            path.display()
        )
    }

    fn stranger(&self, line: &str) -> anyhow::Error {
        let start: String = line.chars().take(60).collect();
        anyhow!("who answers at {} is no companion manager: {start:?}", self.place.path.display())
    }

    /// Long enough for a manager that is busy.
    fn answer_timeout(&self) -> Duration {
        self.patience.max(LEAST_ANSWER_TIMEOUT)
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// How often a manager that is not there is tried.
const RETRY_INTERVAL: Duration = Duration::from_millis(50);
/// How long an answer may take, whatever the patience for the manager itself is.
const LEAST_ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// In bytes; more than any manager sends.
const MAX_ANSWER_LEN: u64 = 16 << 20;
