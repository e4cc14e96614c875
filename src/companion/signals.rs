//! How a companion learns that it is to end.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use gunmetal_supervise::Signal;
use signal_hook::consts::{FORBIDDEN, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::shutdown::{self, Shutdown};

/// What asks a companion to end, and how long it may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StopTerms {
    /// What the manager sends.
    pub(crate) signal: Signal,
    /// Time to end, of whoever asked.
    pub(crate) patience: Duration,
}

/// Listens for the signals that ask for the end, on a thread of its own. A process that is still there when its patience is
/// over is ended.
///
/// Handlers, not a signalfd: a function that also asks tokio for SIGTERM must still get it.
pub(super) fn listen(terms: StopTerms) -> io::Result<Arc<Shutdown>> {
    let shutdown = Arc::new(Shutdown::new()?);
    let wish = Arc::clone(&shutdown);
    let mut signals = Signals::new(wishes(terms.signal))?;
    thread::Builder::new().name("signals".into()).spawn(move || {
        let mut signals = signals.forever();
        if signals.next().is_some() {
            wish.request();
            shutdown::end_after(terms.patience);
        }
        // Those that follow are the same wish again.
        signals.for_each(drop);
    })?;
    Ok(shutdown)
}

/// The signals that are a wish. Some cannot be: SIGKILL, and those of a crash.
fn wishes(stop_signal: Signal) -> BTreeSet<i32> {
    let configured = Some(stop_signal as i32).filter(|signal| !FORBIDDEN.contains(signal));
    [SIGTERM, SIGINT, SIGQUIT].into_iter().chain(configured).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configured_signal_is_a_wish_if_a_process_can_hear_it() {
        let usual = BTreeSet::from([SIGTERM, SIGINT, SIGQUIT]);
        assert_eq!(wishes(Signal::SIGTERM), usual);
        assert_eq!(wishes(Signal::SIGKILL), usual);
        assert_eq!(wishes(Signal::SIGSEGV), usual);
        assert!(wishes(Signal::SIGUSR2).contains(&(Signal::SIGUSR2 as i32)));
    }
}
