//! Accepting in the order in which workers wait.
//!
//! Who waits in `accept(2)` itself is woken alone and in its turn, unlike who waits in `poll(2)` or `epoll_wait(2)`: there the
//! kernel wakes several, or mostly the same. So each listener gets a thread, which takes a place for the connection first and
//! then blocks in `accept(2)`: a worker that is full does not wait, and nobody gets a second connection before everybody who
//! waits has got one.

use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use gunmetal_arbiter::Listener;
use nix::sys::pthread::{Pthread, pthread_kill, pthread_self};
use nix::sys::signal::Signal;
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::{TimeVal, TimeValLike};
use signal_hook::consts::SIGURG;

use super::HttpWorker;
use super::accept::{Accepted, accept_from, is_passing};
use super::complaint::{BACK_OFF, Complaint};
use super::places::{Place, Places};

/// Has `listener` block, for all workers that share it, and lets a blocked `accept(2)` be interrupted.
///
/// Nothing else would end it for this worker alone: `shutdown(2)` on the socket ends it for all, `close(2)` for nobody.
pub(super) fn prepare(listener: &Listener) -> io::Result<()> {
    match listener {
        Listener::Tcp(listener) => listener.set_nonblocking(false)?,
        Listener::Unix(listener) => listener.set_nonblocking(false)?,
    }
    // With a timeout on the socket, however long, a signal ends the call; without one the kernel starts it again, since the
    // handlers of this process ask for that. See signal(7), "SA_RESTART".
    setsockopt(&listener.as_fd(), sockopt::ReceiveTimeout, &TimeVal::seconds(RECEIVE_TIMEOUT_SECS))?;
    // A handler that does nothing of interest: an ignored signal would not interrupt either.
    static HANDLER: OnceLock<Result<(), i32>> = OnceLock::new();
    let handler = HANDLER.get_or_init(|| {
        let noted = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register(SIGURG, noted)
            .map(drop)
            .map_err(|error| error.raw_os_error().unwrap_or(0))
    });
    handler.map_err(io::Error::from_raw_os_error)
}

/// Wakes the thread that runs [`accept_all`], wherever it waits.
#[derive(Clone, Debug, Default)]
pub(super) struct Interrupter {
    thread: Arc<OnceLock<Pthread>>,
    has_ended: Arc<AtomicBool>,
}

impl Interrupter {
    /// Returns when the thread accepts no more; to be called once the worker is to shut down, by who holds the thread's
    /// handle.
    pub(super) fn interrupt(&self) {
        while !self.has_ended.load(Ordering::Acquire) {
            if let Some(thread) = self.thread.get() {
                // The handle keeps the thread's id valid. A signal that comes just before the call blocks is lost: hence the
                // loop.
                let _ = pthread_kill(*thread, Signal::SIGURG);
            }
            thread::sleep(RETRY);
        }
    }
}

/// Accepts on the calling thread until the worker is to shut down, and passes each connection to `admit` with its place.
pub(super) fn accept_all(
    listener: &Listener,
    places: &Places,
    worker: &HttpWorker,
    interrupter: &Interrupter,
    mut admit: impl FnMut(Accepted, Place),
) {
    let _ = interrupter.thread.set(pthread_self());
    let _end = SetOnDrop(&interrupter.has_ended);
    let mut complaint = Complaint::default();
    while let Some(place) = places.take_before_shutdown(worker) {
        loop {
            if worker.shutdown_requested() {
                return;
            }
            match accept_from(listener) {
                Ok(accepted) => {
                    admit(accepted, place);
                    break;
                }
                // Somebody has had it block no more: a worker of another mode, which takes our place.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(BACK_OFF),
                Err(error) if is_passing(&error) => {}
                Err(error) => {
                    complaint.about(&error);
                    thread::sleep(BACK_OFF);
                }
            }
        }
    }
}

struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// A wake-up an hour is none.
const RECEIVE_TIMEOUT_SECS: i64 = 3600;

const RETRY: Duration = Duration::from_millis(2);
