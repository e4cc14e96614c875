//! What ends a worker.

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// What ends a worker.
#[derive(Debug)]
pub enum StopSource {
    /// SIGTERM and SIGINT drain, SIGQUIT ends at once, SIGUSR1 opens the log file anew, SIGHUP and SIGUSR2 do nothing. For
    /// the main thread of a process of its own: the signals stay blocked in it.
    Signals,
    /// A [`StopHandle`].
    Handle(StopReceiver),
}

impl StopSource {
    /// A handle that stops a worker which runs beside other things in one process.
    ///
    /// # Errors
    ///
    /// If the system has no pipe left.
    pub fn handle() -> io::Result<(StopHandle, StopSource)> {
        let (reader, writer) = io::pipe()?;
        Ok((StopHandle { writer }, StopSource::Handle(StopReceiver { reader, is_ended: false })))
    }
}

/// Stops a worker; dropping it drains.
#[derive(Debug)]
pub struct StopHandle {
    writer: PipeWriter,
}

/// The worker's end of a [`StopHandle`].
#[derive(Debug)]
pub struct StopReceiver {
    reader: PipeReader,
    /// Nobody holds the handle any more.
    is_ended: bool,
}

impl StopHandle {
    /// Drains, as SIGTERM does.
    pub fn drain(&self) {
        self.send(DRAIN);
    }

    /// Ends at once, as SIGQUIT does.
    pub fn quit(&self) {
        self.send(QUIT);
    }

    fn send(&self, byte: u8) {
        // Fails only if the worker has ended, which is what was asked for.
        let _ = (&self.writer).write_all(&[byte]);
    }
}

/// What a stop source asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    Drain,
    Immediate,
}

/// What a stop source has to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StopNews {
    Stop(Stop),
    /// Not a stop, but it comes the same way.
    ReopenLogs,
}

/// A stop source that can be polled.
pub(super) enum StopWatch {
    Signals(SignalFd),
    Handle(StopReceiver),
}

impl StopWatch {
    /// Blocks the signals in this thread, and so in every thread started from it later.
    pub(super) fn new(source: StopSource) -> io::Result<Self> {
        match source {
            StopSource::Signals => {
                // To end a worker by what means something else elsewhere would surprise.
                SigSet::from_iter([Signal::SIGHUP, Signal::SIGUSR2]).thread_block()?;
                let signals = [Signal::SIGTERM, Signal::SIGQUIT, Signal::SIGINT, Signal::SIGUSR1];
                let signals = SigSet::from_iter(signals);
                signals.thread_block()?;
                let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
                Ok(Self::Signals(SignalFd::with_flags(&signals, flags)?))
            }
            StopSource::Handle(receiver) => Ok(Self::Handle(receiver)),
        }
    }

    /// Whether nothing more can come: to poll it would be to spin.
    pub(super) fn is_ended(&self) -> bool {
        matches!(self, Self::Handle(StopReceiver { is_ended: true, .. }))
    }

    /// What was asked for, if poll says that there is something.
    pub(super) fn read(&mut self) -> io::Result<Option<StopNews>> {
        match self {
            Self::Signals(signals) => {
                let Some(info) = signals.read_signal()? else { return Ok(None) };
                let signal =
                    i32::try_from(info.ssi_signo).ok().and_then(|number| Signal::try_from(number).ok());
                Ok(Some(match signal {
                    Some(Signal::SIGUSR1) => StopNews::ReopenLogs,
                    Some(Signal::SIGTERM | Signal::SIGINT) => StopNews::Stop(Stop::Drain),
                    _ => StopNews::Stop(Stop::Immediate),
                }))
            }
            Self::Handle(receiver) => {
                let mut byte = [0];
                let count = receiver.reader.read(&mut byte)?;
                receiver.is_ended = count == 0;
                let stop = if count == 1 && byte == [QUIT] { Stop::Immediate } else { Stop::Drain };
                Ok(Some(StopNews::Stop(stop)))
            }
        }
    }
}

impl AsFd for StopWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Signals(signals) => signals.as_fd(),
            Self::Handle(receiver) => receiver.reader.as_fd(),
        }
    }
}

const DRAIN: u8 = b'D';
const QUIT: u8 = b'Q';

#[cfg(test)]
mod tests {
    use nix::sys::signal::raise;

    use super::*;

    #[test]
    fn signals_become_requests_to_stop() {
        // Blocked in this thread only, and `raise` aims at this thread.
        let mut watch = StopWatch::new(StopSource::Signals).unwrap();
        assert_eq!(watch.read().unwrap(), None);
        for (signal, news) in [
            (Signal::SIGTERM, StopNews::Stop(Stop::Drain)),
            (Signal::SIGINT, StopNews::Stop(Stop::Drain)),
            (Signal::SIGQUIT, StopNews::Stop(Stop::Immediate)),
            (Signal::SIGUSR1, StopNews::ReopenLogs),
        ] {
            raise(signal).unwrap();
            assert_eq!(watch.read().unwrap(), Some(news), "{signal}");
        }
    }

    #[test]
    fn dropping_the_handle_drains() {
        let (handle, source) = StopSource::handle().unwrap();
        let mut watch = StopWatch::new(source).unwrap();
        handle.quit();
        assert_eq!(watch.read().unwrap(), Some(StopNews::Stop(Stop::Immediate)));
        assert!(!watch.is_ended());
        drop(handle);
        assert_eq!(watch.read().unwrap(), Some(StopNews::Stop(Stop::Drain)));
        assert!(watch.is_ended());
    }
}
