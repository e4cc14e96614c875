//! What the master does at a signal.

use gunmetal_supervise::{Event, Signal, StopMode};

use super::{Master, Phase};
use crate::ServiceError;

impl Master<'_> {
    pub(super) fn read_signals(&mut self) -> Result<(), ServiceError> {
        while let Some(signal) = self.signals.read().map_err(ServiceError::system("read signals"))? {
            if signal != Signal::SIGCHLD {
                tracing::info!("Handling signal: {}", name(signal));
            }
            let is_running = matches!(self.phase, Phase::Booting | Phase::Serving { .. });
            match signal {
                Signal::SIGTERM if is_running => self.stop(StopMode::Graceful),
                Signal::SIGTERM | Signal::SIGINT | Signal::SIGQUIT => self.stop(StopMode::Now),
                Signal::SIGUSR1 => self.reopen_logs(),
                // Ours are told of by their pidfds, the others looked for after every wake-up.
                Signal::SIGCHLD => {}
                _ if !is_running => tracing::info!("{} does nothing: the service is stopping", name(signal)),
                Signal::SIGHUP => {
                    tracing::info!("Hang up: {}", self.name());
                    self.reload();
                }
                Signal::SIGTTIN => self.resize(|count| count.saturating_add(1)),
                // None at all is what SIGWINCH is for.
                Signal::SIGTTOU => self.resize(|count| count.saturating_sub(1).max(count.min(1))),
                Signal::SIGUSR2 => self.begin_upgrade(),
                Signal::SIGWINCH if self.current.config.daemon => {
                    tracing::info!("graceful stop of workers");
                    self.resize(|_| 0);
                }
                Signal::SIGWINCH => tracing::debug!("SIGWINCH ignored. Not daemonized"),
                _ => {}
            }
        }
        Ok(())
    }

    /// Here first: who is forked from now on has the new file.
    fn reopen_logs(&mut self) {
        (self.current.config.reopen_logs)();
        self.crews().for_each(|crew| crew.signal_all(Signal::SIGUSR1));
    }

    fn resize(&mut self, to: impl Fn(u32) -> u32) {
        if self.current.config.http.is_none() {
            tracing::info!("this service has no HTTP workers, and gets none but by a reload");
            return;
        }
        // A reload that is under way ends with the number of its configuration.
        if let Some(next) = &mut self.next {
            next.config.workers = to(next.config.workers);
        }
        match &mut self.http {
            Some(http) if to(http.slot_count()) == http.slot_count() => {
                tracing::info!("the number of HTTP workers stays {}", http.slot_count());
            }
            Some(http) => http.handle(Event::Resize(to(http.slot_count()))),
            // They are started once the dirty arbiter is ready: so many then.
            None => self.current.config.workers = to(self.current.config.workers),
        }
    }
}

/// A signal as operators say it: `hup`, as in gunicorn's log.
fn name(signal: Signal) -> String {
    signal.as_str().trim_start_matches("SIG").to_lowercase()
}
