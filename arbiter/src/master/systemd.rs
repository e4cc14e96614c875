//! What systemd is told, see sd_notify(3) and systemd.service(5).

use std::time::{Duration, Instant};

use gunmetal_supervise::Pid;
use sd_notify::NotifyState;

/// Tells systemd how the service does, if it asks for that. Other supervisors that set `NOTIFY_SOCKET` are told the same.
#[derive(Debug)]
pub(super) struct Systemd {
    /// How often it wants to hear that the master lives.
    watchdog: Option<Duration>,
    next_beat: Option<Instant>,
}

impl Systemd {
    pub(super) fn new() -> Self {
        // Half the time, as sd_watchdog_enabled(3) advises.
        let watchdog = sd_notify::watchdog_enabled().map(|limit| limit / 2);
        Self { watchdog, next_beat: watchdog.map(|every| Instant::now() + every) }
    }

    /// How far the start has come.
    pub(super) fn status(&self, text: &str) {
        notify(&[NotifyState::Status(text)]);
    }

    /// The service is up, or up again after a reload.
    pub(super) fn ready(&self, status: &str) {
        notify(&[NotifyState::Ready, NotifyState::Status(status)]);
    }

    /// This process is the service's main one from now on, and the service is up.
    pub(super) fn promoted(&self, status: &str) {
        notify(&[NotifyState::MainPid(std::process::id()), NotifyState::Ready, NotifyState::Status(status)]);
    }

    /// The process is the service's main one from now on.
    pub(super) fn main_pid(&self, pid: Pid, status: &str) {
        notify(&[NotifyState::MainPid(pid.as_raw().unsigned_abs()), NotifyState::Status(status)]);
    }

    /// A reload begins; [`ready`](Self::ready) ends it. With the time, which tells systemd which reload it is.
    pub(super) fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => notify(&[NotifyState::Reloading, now, NotifyState::Status("Reloading")]),
            Err(error) => tracing::warn!(%error, "systemd cannot be told of the reload"),
        }
    }

    /// The service is about to end.
    pub(super) fn stopping(&self) {
        notify(&[NotifyState::Stopping, NotifyState::Status("Stopping")]);
    }

    /// When [`beat`](Self::beat) has something to do.
    pub(super) fn next_beat(&self) -> Option<Instant> {
        self.next_beat
    }

    /// Says that the master lives, if it is time to.
    pub(super) fn beat(&mut self) {
        let now = Instant::now();
        if let (Some(next), Some(every)) = (self.next_beat, self.watchdog)
            && now >= next
        {
            notify(&[NotifyState::Watchdog]);
            self.next_beat = Some(now + every);
        }
    }
}

fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "systemd cannot be told how the service does");
    }
}
