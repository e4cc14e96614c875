use std::fmt;
use std::io;
use std::time::Instant;

/// A request that got no whole and good answer.
#[derive(Debug, Clone)]
pub(crate) struct Failed {
    pub(crate) failure: Failure,
    /// Who answered on this connection before; nobody can say who had the first request of one.
    pub(crate) worker: Option<u32>,
    /// When the client saw it.
    pub(crate) at: Instant,
}

/// How a request failed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Failure {
    /// No connection came about, so that nothing was written.
    NotConnected(io::ErrorKind),
    /// The request could not be written, or not whole.
    NotWritten(io::ErrorKind),
    /// Written, and the connection was reset before the first byte of an answer.
    Reset(io::ErrorKind),
    /// Written, and the connection was closed before the first byte of an answer.
    Closed,
    /// The answer ended before its end.
    HalfAnswer {
        /// Bytes that came.
        received: usize,
    },
    /// Another status than 200.
    Status(u16),
    /// An answer to something else, or none in HTTP.
    WrongAnswer(String),
    /// No byte for so long that nobody would wait for it.
    Silence,
}

/// A process that was killed, and while its clients could see so.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Killed {
    pub(crate) pid: u32,
    pub(crate) from: Instant,
    pub(crate) until: Instant,
}

impl Failed {
    /// Whether the request may have been in flight on a worker that was killed: it failed at that moment, on a connection
    /// to that worker or on one of which nobody knows whose it was.
    pub(crate) fn was_on(&self, killed: &[Killed]) -> bool {
        let in_flight = match self.failure {
            Failure::NotWritten(_) | Failure::Reset(_) | Failure::Closed | Failure::HalfAnswer { .. } => true,
            // Who listens is not the worker alone, and who answers is alive.
            Failure::NotConnected(_) | Failure::Status(_) | Failure::WrongAnswer(_) | Failure::Silence => {
                false
            }
        };
        let was_on = |killed: &Killed| {
            (killed.from..=killed.until).contains(&self.at) && self.worker.is_none_or(|pid| pid == killed.pid)
        };
        in_flight && killed.iter().any(was_on)
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} on ", self.failure)?;
        match self.worker {
            Some(pid) => write!(f, "a connection to worker {pid}"),
            None => f.write_str("a new connection"),
        }
    }
}

#[test]
fn a_failure_is_forgiven_only_on_the_worker_that_was_killed_and_only_then() {
    use std::time::Duration;
    let (start, second) = (Instant::now(), Duration::from_secs(1));
    let killed = [Killed { pid: 7, from: start + second, until: start + 2 * second }];
    let failed = |failure, worker, at| Failed { failure, worker, at: start + at };
    assert!(failed(Failure::Closed, Some(7), second).was_on(&killed));
    assert!(failed(Failure::HalfAnswer { received: 1 }, None, second).was_on(&killed));
    assert!(!failed(Failure::Closed, Some(8), second).was_on(&killed));
    assert!(!failed(Failure::Closed, Some(7), 3 * second).was_on(&killed));
    assert!(!failed(Failure::NotConnected(io::ErrorKind::ConnectionRefused), None, second).was_on(&killed));
    assert!(!failed(Failure::Status(503), Some(7), second).was_on(&killed));
}
