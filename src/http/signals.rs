//! How an HTTP worker learns that it is to finish.

use std::io;
use std::thread;
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal};
use signal_hook::consts::{SIGABRT, SIGINT, SIGQUIT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;

use crate::{logging, shutdown};

/// What a signal means to a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// SIGTERM: accept no more, finish what runs.
    Finish,
    /// SIGINT and SIGQUIT: the process ends once this has been obeyed.
    Leave,
    /// SIGABRT from the master, to a worker that hangs: the process ends once this has been obeyed.
    Abort,
}

/// Listens for the signals of a worker, on a thread of its own, and has `obey` act on them. A worker that is still there when
/// `graceful_timeout` is over after a SIGTERM is ended. SIGUSR1 opens the log file anew.
///
/// Handlers, not a signalfd: a server that also asks tokio for SIGTERM must still get it.
pub(super) fn listen(graceful_timeout: Duration, obey: impl Fn(Order) + Send + 'static) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGQUIT, SIGABRT, SIGUSR1])?;
    // The master has it blocked up to here.
    SigSet::from(Signal::SIGUSR1).thread_unblock()?;
    thread::Builder::new().name("signals".into()).spawn(move || {
        let mut is_finishing = false;
        for signal in signals.forever() {
            match signal {
                SIGUSR1 => logging::reopen(),
                SIGTERM if is_finishing => {}
                SIGTERM => {
                    is_finishing = true;
                    obey(Order::Finish);
                    shutdown::end_after(graceful_timeout);
                }
                SIGABRT => {
                    obey(Order::Abort);
                    // The end that the master expects, core dump included.
                    let _ = signal_hook::low_level::emulate_default_handler(SIGABRT);
                }
                _ => {
                    obey(Order::Leave);
                    signal_hook::low_level::exit(0);
                }
            }
        }
    })?;
    Ok(())
}
