//! One connection of a client that takes nothing for granted.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::failure::Failure;

/// An open connection, and who answered on it last.
pub(crate) struct Connection {
    socket: TcpStream,
    pub(crate) worker: Option<u32>,
}

/// A whole and good answer.
pub(crate) struct Answer {
    /// The process that gave it.
    pub(crate) worker: u32,
    /// The build of the program that it runs.
    pub(crate) program_len: u64,
    pub(crate) body: Vec<u8>,
    /// The server has announced that it takes no further request on this connection.
    pub(crate) is_last: bool,
}

/// Whether the client wants to ask again on the same connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Afterwards {
    Stay,
    Leave,
}

impl Connection {
    pub(crate) fn open(address: SocketAddr) -> Result<Connection, Failure> {
        let socket = TcpStream::connect(address).map_err(|error| Failure::NotConnected(error.kind()))?;
        socket.set_read_timeout(Some(LONGEST_SILENCE)).unwrap();
        socket.set_nodelay(true).unwrap();
        Ok(Connection { socket, worker: None })
    }

    /// Whether the server has ended this connection while nothing was asked, which is its right.
    pub(crate) fn was_ended(&self) -> bool {
        self.socket.set_nonblocking(true).unwrap();
        let peeked = self.socket.peek(&mut [0]);
        self.socket.set_nonblocking(false).unwrap();
        !matches!(peeked, Err(error) if error.kind() == ErrorKind::WouldBlock)
    }

    pub(crate) fn ask(&mut self, path: &str, afterwards: Afterwards) -> Result<Answer, Failure> {
        let wish = if afterwards == Afterwards::Leave { "Connection: close\r\n" } else { "" };
        let request = format!("GET {path} HTTP/1.1\r\nHost: load\r\n{wish}\r\n");
        self.socket.write_all(request.as_bytes()).map_err(|error| Failure::NotWritten(error.kind()))?;
        let answer = self.read()?;
        self.worker = Some(answer.worker);
        Ok(answer)
    }

    fn read(&mut self) -> Result<Answer, Failure> {
        let mut received = Vec::new();
        let head_len = loop {
            if let Some(at) = received.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break at + 4;
            }
            self.more(&mut received)?;
        };
        let head = String::from_utf8_lossy(&received[..head_len]).into_owned();
        let wrong = || Failure::WrongAnswer(head.clone());
        let status = head.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
        match status.ok_or_else(wrong)? {
            200 => {}
            status => return Err(Failure::Status(status)),
        }
        let header = |name: &str| {
            head.lines()
                .filter_map(|line| line.split_once(':'))
                .find_map(|(found, value)| found.eq_ignore_ascii_case(name).then(|| value.trim()))
        };
        let number = |name: &str| header(name).and_then(|value| value.parse::<u64>().ok()).ok_or_else(wrong);
        let body_len = usize::try_from(number("content-length")?).unwrap();
        let worker = u32::try_from(number("x-worker-pid")?).unwrap();
        let program_len = number("x-program-len")?;
        let is_last = header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        while received.len() < head_len + body_len {
            self.more(&mut received)?;
        }
        let body = received.split_off(head_len);
        if body.len() > body_len {
            return Err(Failure::WrongAnswer(format!("{} bytes too many", body.len() - body_len)));
        }
        Ok(Answer { worker, program_len, body, is_last })
    }

    /// Reads at least one byte.
    fn more(&mut self, received: &mut Vec<u8>) -> Result<(), Failure> {
        let mut piece = [0; 16 << 10];
        let ended = |failure| match received.len() {
            0 => failure,
            received => Failure::HalfAnswer { received },
        };
        match self.socket.read(&mut piece) {
            Ok(0) => Err(ended(Failure::Closed)),
            Ok(len) => {
                received.extend_from_slice(&piece[..len]);
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
            Err(error) if is_timeout(&error) => Err(Failure::Silence),
            Err(error) => Err(ended(Failure::Reset(error.kind()))),
        }
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

const LONGEST_SILENCE: Duration = Duration::from_secs(30);
