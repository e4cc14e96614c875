//! The socket at which a supervisor listens for notices.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

use nix::errno::Errno;

/// Sends notices, each in one datagram, without ever waiting for whoever reads them: a supervisor that is busy, or gone, does
/// not stop the service.
#[derive(Debug)]
pub(super) struct NotifySocket {
    address: SocketAddr,
    /// What the supervisor had no room for, in its order.
    unsent: VecDeque<String>,
    next_try: Option<Instant>,
    delay: Duration,
    /// Whether the log has it already that notices do not arrive.
    is_told: bool,
}

impl NotifySocket {
    /// The socket that the value of `NOTIFY_SOCKET` means.
    pub(super) fn at(value: &OsStr) -> Result<Self, AddressError> {
        let address = match value.as_bytes() {
            [b'/', ..] => SocketAddr::from_pathname(value),
            [b'@', name @ ..] if !name.is_empty() => SocketAddr::from_abstract_name(name),
            _ => return Err(AddressError::Form { found: value.to_string_lossy().into_owned() }),
        };
        let address = address
            .map_err(|source| AddressError::Name { found: value.to_string_lossy().into_owned(), source })?;
        Ok(Self { address, unsent: VecDeque::new(), next_try: None, delay: FIRST_DELAY, is_told: false })
    }

    /// Sends a message behind all that could not be sent yet: now if the supervisor has room for it, else later.
    pub(super) fn send(&mut self, message: String, now: Instant) {
        if self.unsent.len() == MOST_UNSENT {
            // What it missed last says how the service does.
            self.unsent.pop_front();
        }
        self.unsent.push_back(message);
        if self.next_try.is_none() {
            self.flush(now);
        }
    }

    /// Sends a message that means nothing later: now or never.
    pub(super) fn send_or_drop(&mut self, message: &str) {
        if self.unsent.is_empty() {
            let outcome = self.transmit(message);
            self.note(&outcome);
        }
    }

    /// When [`try_again`](Self::try_again) has something to do.
    pub(super) fn next_try(&self) -> Option<Instant> {
        self.next_try
    }

    /// Sends what could not be sent, if it is time to.
    pub(super) fn try_again(&mut self, now: Instant) {
        if self.next_try.is_some_and(|at| now >= at) {
            self.flush(now);
        }
    }

    fn flush(&mut self, now: Instant) {
        self.next_try = None;
        while let Some(message) = self.unsent.front() {
            let outcome = self.transmit(message);
            self.note(&outcome);
            if matches!(outcome, Outcome::NoRoom) {
                self.next_try = Some(now + self.delay);
                self.delay = (self.delay * 2).min(LONGEST_DELAY);
                return;
            }
            self.unsent.pop_front();
        }
        self.delay = FIRST_DELAY;
    }

    /// By a socket of its own: the supervisor may have come back as another process since the last one.
    fn transmit(&self, message: &str) -> Outcome {
        let sent = UnixDatagram::unbound().and_then(|socket| {
            socket.set_nonblocking(true)?;
            socket.send_to_addr(message.as_bytes(), &self.address)
        });
        match sent {
            Ok(_) => Outcome::Sent,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Outcome::NoRoom,
            Err(error) if error.raw_os_error() == Some(Errno::ENOBUFS as i32) => Outcome::NoRoom,
            Err(error) => Outcome::Lost(error),
        }
    }

    /// Once until it works again: beats would fill the log.
    fn note(&mut self, outcome: &Outcome) {
        let was_told = std::mem::replace(&mut self.is_told, !matches!(outcome, Outcome::Sent));
        match outcome {
            Outcome::Sent if was_told => tracing::info!("systemd is told again how the service does"),
            Outcome::NoRoom if !was_told => {
                tracing::warn!("systemd does not read how the service does: it is told later");
            }
            Outcome::Lost(error) if !was_told => {
                tracing::warn!(%error, "systemd cannot be told how the service does");
            }
            Outcome::Sent | Outcome::NoRoom | Outcome::Lost(_) => {}
        }
    }
}

enum Outcome {
    Sent,
    /// Messages wait there to be read, as many as may.
    NoRoom,
    Lost(io::Error),
}

/// Why a value of `NOTIFY_SOCKET` names no socket.
#[derive(Debug, thiserror::Error)]
pub(super) enum AddressError {
    #[error(
        "{found:?} is not understood; allowed: an absolute path, or @ and the name of an abstract socket"
    )]
    Form { found: String },
    #[error("{found:?} is no name of a socket")]
    Name { found: String, source: io::Error },
}

/// Notices that are kept for a supervisor that does not read.
const MOST_UNSENT: usize = 32;
const FIRST_DELAY: Duration = Duration::from_millis(20);
const LONGEST_DELAY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::iter;

    use super::*;

    fn read_all(supervisor: &UnixDatagram) -> Vec<String> {
        let mut buffer = [0; 4096];
        let texts = iter::from_fn(|| supervisor.recv(&mut buffer).ok().map(|len| buffer[..len].to_vec()));
        texts.map(|text| String::from_utf8(text).unwrap()).collect()
    }

    #[test]
    fn what_there_is_no_room_for_is_sent_later_in_its_order() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let supervisor = UnixDatagram::bind(&path).unwrap();
        supervisor.set_nonblocking(true).unwrap();
        let (mut socket, now) = (NotifySocket::at(path.as_os_str()).unwrap(), Instant::now());

        let mut said = Vec::new();
        while socket.next_try().is_none() {
            said.push(said.len().to_string());
            socket.send(said.last().unwrap().clone(), now);
        }
        socket.send_or_drop("beat");
        socket.send("last".into(), now);
        said.push("last".into());
        socket.try_again(now);
        let mut heard = read_all(&supervisor);
        assert_eq!(heard.len(), said.len() - 2);

        socket.try_again(now + FIRST_DELAY);
        assert_eq!(socket.next_try(), None);
        heard.extend(read_all(&supervisor));
        assert_eq!(heard, said);
    }

    #[test]
    fn only_so_much_is_kept_for_one_who_does_not_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let supervisor = UnixDatagram::bind(&path).unwrap();
        supervisor.set_nonblocking(true).unwrap();
        let (mut socket, now) = (NotifySocket::at(path.as_os_str()).unwrap(), Instant::now());
        while socket.next_try().is_none() {
            socket.send("early".into(), now);
        }
        (0..2 * MOST_UNSENT).for_each(|number| socket.send(number.to_string(), now));
        read_all(&supervisor);
        let mut later = now;
        let mut heard = Vec::new();
        while let Some(at) = socket.next_try() {
            later = later.max(at);
            socket.try_again(later);
            heard.extend(read_all(&supervisor));
        }
        let expected: Vec<String> = (MOST_UNSENT..2 * MOST_UNSENT).map(|number| number.to_string()).collect();
        assert_eq!(heard, expected);
    }

    #[test]
    fn one_who_is_gone_costs_the_notice_only() {
        let directory = tempfile::tempdir().unwrap();
        let mut socket = NotifySocket::at(directory.path().join("notify").as_os_str()).unwrap();
        socket.send("READY=1".into(), Instant::now());
        assert_eq!((socket.unsent.len(), socket.next_try()), (0, None));
    }

    #[test]
    fn what_is_no_name_of_a_socket_is_refused_with_what_would_be() {
        for found in ["notify", "./notify", "@", "vsock:2:1234"] {
            let error = NotifySocket::at(OsStr::new(found)).unwrap_err().to_string();
            let expected =
                "is not understood; allowed: an absolute path, or @ and the name of an abstract socket";
            assert_eq!(error, format!("{found:?} {expected}"));
        }
        let long = format!("/{}", "n".repeat(200));
        assert!(matches!(NotifySocket::at(OsStr::new(&long)), Err(AddressError::Name { .. })));
    }
}
