//! What systemd is told, see sd_notify(3) and systemd.service(5).
//!
//! It listens to one process, the service's main one (`NotifyAccess=main`). While two masters serve, only one of them is that:
//!
//! ```text
//! old master   READY ─ USR2 ─▶ MAINPID=new ─▶ silent ──────────────▶ MAINPID=old, READY, if the new one ends
//! new master                   silent ─▶ speaks ─ the old one ends ─▶ MAINPID=new, READY
//!                                         └── is told to end ─▶ MAINPID=old
//! ```

mod notify_socket;

use std::ffi::{OsStr, OsString};
use std::time::{Duration, Instant};

use gunmetal_supervise::Pid;
use nix::time::{ClockId, clock_gettime};

use crate::report;

use notify_socket::NotifySocket;

/// Tells systemd how the service does, if it asks for that. Other supervisors that set `NOTIFY_SOCKET` are told the same.
#[derive(Debug)]
pub(super) struct Systemd {
    socket: Option<NotifySocket>,
    speaker: Speaker,
    /// How often it wants to hear that the master lives.
    watchdog: Option<Duration>,
    next_beat: Option<Instant>,
}

/// Whom systemd takes for the service's main process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Speaker {
    /// This master.
    This,
    /// The other one of an upgrade: what this one said would be refused, or taken for the other's word.
    Other,
}

impl Systemd {
    /// Reads from the variables that the process was started with what is asked for. A master that is to replace another one
    /// says nothing before [`take_over`](Self::take_over).
    pub(super) fn new(environment: &[(OsString, OsString)], is_upgrade: bool) -> Self {
        let lookup = |name: &str| {
            let found = environment.iter().find(|(variable, _)| variable == name);
            found.map(|(_, value)| value.as_os_str()).filter(|value| !value.is_empty())
        };
        let socket = lookup(NOTIFY_SOCKET).and_then(|value| match NotifySocket::at(value) {
            Ok(socket) => Some(socket),
            Err(error) => {
                let reason = report::chain(&error);
                tracing::warn!("{NOTIFY_SOCKET}: {reason}; nobody is told how the service does");
                None
            }
        });
        let text = |name| lookup(name).and_then(OsStr::to_str);
        let watchdog = watchdog(text(WATCHDOG_USEC), text(WATCHDOG_PID), std::process::id());
        let watchdog = watchdog.filter(|_| socket.is_some());
        let speaker = if is_upgrade { Speaker::Other } else { Speaker::This };
        Self { socket, speaker, watchdog, next_beat: watchdog.map(|every| Instant::now() + every) }
    }

    /// This process is the main one from now on, as far as it knows; who was it before has said so, or is gone.
    pub(super) fn take_over(&mut self) {
        self.speaker = Speaker::This;
    }

    /// One line for people.
    pub(super) fn status(&mut self, text: &str) {
        self.say([status_line(text)]);
    }

    /// The service is up, and this is its main process, whoever was started first.
    pub(super) fn in_service(&mut self, status: &str) {
        self.take_over();
        self.say([main_pid(Pid::this()), READY.to_owned(), status_line(status)]);
    }

    /// A reload begins; [`reloaded`](Self::reloaded) ends it. With the time, which tells systemd which reload it is.
    pub(super) fn reloading(&mut self) {
        match clock_gettime(ClockId::CLOCK_MONOTONIC) {
            Ok(now) => {
                let usec = Duration::from(now).as_micros();
                self.say([
                    "RELOADING=1".to_owned(),
                    format!("MONOTONIC_USEC={usec}"),
                    status_line("Reloading"),
                ]);
            }
            Err(error) => tracing::warn!(%error, "systemd cannot be told of the reload"),
        }
    }

    /// A reload has ended, in whatever way.
    pub(super) fn reloaded(&mut self, status: &str) {
        self.say([READY.to_owned(), status_line(status)]);
    }

    /// The service is about to end.
    pub(super) fn stopping(&mut self) {
        self.say(["STOPPING=1".to_owned(), status_line("Stopping")]);
    }

    /// Another master is the main process from now on. READY ends a reload that is under way here: that one begins with the
    /// configuration as it is now.
    pub(super) fn hand_over(&mut self, to: Pid, status: &str) {
        let mut lines = vec![main_pid(to), READY.to_owned(), status_line(status)];
        // The other one's first beat may be as far away as ours has been.
        lines.extend(self.watchdog.map(|_| WATCHDOG.to_owned()));
        self.say(lines);
        self.speaker = Speaker::Other;
    }

    /// Whether another master has been named as the main process.
    pub(super) fn is_silent(&self) -> bool {
        self.speaker == Speaker::Other
    }

    /// Whether it is to hear that the master lives.
    pub(super) fn has_watchdog(&self) -> bool {
        self.watchdog.is_some()
    }

    /// When [`tick`](Self::tick) has something to do.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let retry = self.socket.as_ref().and_then(NotifySocket::next_try);
        [self.next_beat, retry].into_iter().flatten().min()
    }

    /// Says that the master lives, if it is time to, and again what could not be said.
    pub(super) fn tick(&mut self) {
        let now = Instant::now();
        let Some(socket) = &mut self.socket else { return };
        socket.try_again(now);
        if let (Some(next), Some(every)) = (self.next_beat, self.watchdog)
            && now >= next
        {
            self.next_beat = Some(now + every);
            if self.speaker == Speaker::This {
                socket.send_or_drop(WATCHDOG);
            }
        }
    }

    fn say(&mut self, lines: impl IntoIterator<Item = String>) {
        if let (Some(socket), Speaker::This) = (&mut self.socket, self.speaker) {
            let lines: Vec<String> = lines.into_iter().collect();
            socket.send(lines.join("\n"), Instant::now());
        }
    }
}

/// How often systemd wants to hear of the process `own_pid`: twice in the time that it allows, as sd_watchdog_enabled(3) advises.
fn watchdog(usec: Option<&str>, pid: Option<&str>, own_pid: u32) -> Option<Duration> {
    if pid.is_some_and(|pid| pid.parse() != Ok(own_pid)) {
        return None;
    }
    let limit = Duration::from_micros(usec?.parse().ok().filter(|usec| *usec > 0)?);
    Some((limit / 2).max(SHORTEST_BEAT))
}

fn main_pid(pid: Pid) -> String {
    format!("MAINPID={pid}")
}

/// A text can neither begin a line of its own, which would be another notice, nor make the message too long for systemd.
fn status_line(text: &str) -> String {
    let text: String = text.chars().map(|char| if char.is_control() { ' ' } else { char }).collect();
    let end = text.floor_char_boundary(LONGEST_STATUS);
    format!("STATUS={}", &text[..end])
}

/// Where systemd listens.
const NOTIFY_SOCKET: &str = "NOTIFY_SOCKET";
/// How many microseconds of silence it allows.
pub(super) const WATCHDOG_USEC: &str = "WATCHDOG_USEC";
/// Whose silence.
pub(super) const WATCHDOG_PID: &str = "WATCHDOG_PID";
/// All of them. They are the master's: a child that finds them would speak for it.
pub(super) const VARIABLES: [&str; 3] = [NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID];

const READY: &str = "READY=1";
const WATCHDOG: &str = "WATCHDOG=1";
/// Nobody means a shorter one.
const SHORTEST_BEAT: Duration = Duration::from_millis(10);
/// In bytes. systemd reads 4096 bytes of a message.
const LONGEST_STATUS: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watchdog_hears_twice_in_its_time_of_the_process_that_it_means() {
        let second = Some("1000000");
        let half = Some(Duration::from_millis(500));
        assert_eq!(watchdog(second, None, 42), half);
        assert_eq!(watchdog(second, Some("42"), 42), half);
        assert_eq!(watchdog(second, Some("41"), 42), None);
        assert_eq!(watchdog(second, Some("x"), 42), None);
        assert_eq!(watchdog(None, Some("42"), 42), None);
        assert_eq!(watchdog(Some("0"), None, 42), None);
        assert_eq!(watchdog(Some("soon"), None, 42), None);
        assert_eq!(watchdog(Some("1"), None, 42), Some(SHORTEST_BEAT));
    }

    #[test]
    fn a_status_is_one_line_and_fits() {
        assert_eq!(status_line("refused: a\nREADY=1\r\tb"), "STATUS=refused: a READY=1  b");
        let long = status_line(&"ü".repeat(4096));
        assert!(long.len() <= LONGEST_STATUS + "STATUS=".len(), "{}", long.len());
    }
}
