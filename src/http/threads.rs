//! The ready-made server with threads.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, Scope};
use std::time::Duration;

use gunmetal_arbiter::Listener;
use slab::Slab;

use super::accept::{self, Accepted};
use super::complaint::{BACK_OFF, Complaint};
use super::fair::{self, Interrupter};
use super::line::Line;
use super::places::{Place, Places};
use super::{Connection, HANDSHAKE_TIMEOUT, HttpWorker, Outcome};
use crate::AcceptMode;

impl HttpWorker {
    /// Serves all listeners with a thread for each connection, until the worker is to shut down and every connection has
    /// ended: for servers that block. `handler` is given each connection, after the TLS handshake if there is one, and returns
    /// when it is done with it; an error that it returns is a debug line in the log, and a panic costs that connection only.
    /// Makes the worker ready, and beats its heart.
    ///
    /// At most `worker_connections` are open at a time; `accept_mode` says which worker takes which; each connection counts as
    /// a request for `max_requests`.
    ///
    /// A read that gets nothing for the time of `keepalive` is an error of the kind
    /// [`TimedOut`](std::io::ErrorKind::TimedOut), so that a silent client does not keep a thread for ever; the handler may
    /// [set another limit](Connection::set_read_timeout).
    ///
    /// A handler that keeps connections alive says `Connection: close` once [`shutdown_requested`](Self::shutdown_requested),
    /// and returns after that answer. One that waits for a request which does not come finds the end of the stream two seconds
    /// after the shutdown began.
    ///
    /// # Errors
    /// The listeners cannot be used, or the system has no thread for accepting.
    pub fn serve_threads<R: Outcome>(&self, handler: impl Fn(Connection) -> R + Sync) -> io::Result<()> {
        let listeners =
            self.current_listeners().iter().map(Listener::try_clone).collect::<io::Result<Vec<_>>>()?;
        let mode = self.settings().accept_mode;
        let prepare = match mode {
            AcceptMode::Shared => accept::prepare,
            AcceptMode::Fair => fair::prepare,
        };
        listeners.iter().try_for_each(prepare)?;
        let server = ThreadServer {
            worker: self,
            handler: &handler,
            places: Places::new(self.settings().worker_connections),
            open: OpenLines::default(),
            tls: self.tls().map(only_http1),
        };
        self.ready();
        if self.settings().timeout.is_some() {
            self.beat();
        }
        let beats = self.settings().timeout.map_or(Duration::MAX, |timeout| timeout / 2);
        thread::scope(|scope| {
            let (server, mut acceptors, mut interrupters) = (&server, Vec::new(), Vec::new());
            match mode {
                AcceptMode::Shared => {
                    let accept = || server.accept_shared(&listeners, scope);
                    acceptors.push(thread::Builder::new().name("accept".into()).spawn_scoped(scope, accept)?);
                }
                AcceptMode::Fair => {
                    for listener in &listeners {
                        let interrupter = Interrupter::default();
                        interrupters.push(interrupter.clone());
                        let accept = move || {
                            let admit = |accepted, place| server.admit(accepted, place, scope);
                            fair::accept_all(listener, &server.places, server.worker, &interrupter, admit);
                        };
                        acceptors
                            .push(thread::Builder::new().name("accept".into()).spawn_scoped(scope, accept)?);
                    }
                }
            }
            while !self.wait_for_shutdown(beats) {
                self.beat();
            }
            interrupters.iter().for_each(Interrupter::interrupt);
            for acceptor in acceptors {
                // It ends by itself, and has no panics of ours.
                let _ = acceptor.join();
            }
            server.drain(beats);
            Ok(())
        })
    }
}

struct ThreadServer<'a, H> {
    worker: &'a HttpWorker,
    handler: &'a H,
    places: Places,
    open: OpenLines,
    tls: Option<Arc<rustls::ServerConfig>>,
}

impl<H, R> ThreadServer<'_, H>
where
    H: Fn(Connection) -> R + Sync,
    R: Outcome,
{
    /// Accepts from whichever listener has something, until the worker is to shut down.
    fn accept_shared<'scope>(&'scope self, listeners: &[Listener], scope: &'scope Scope<'scope, '_>) {
        let mut complaint = Complaint::default();
        while let Some(place) = self.places.take_before_shutdown(self.worker) {
            loop {
                match self.worker.next_accepted(listeners) {
                    Ok(Some(accepted)) => {
                        self.admit(accepted, place, scope);
                        break;
                    }
                    Ok(None) => return,
                    Err(error) => {
                        complaint.about(&error);
                        thread::sleep(BACK_OFF);
                    }
                }
            }
        }
    }

    /// Gives a connection a thread, even if it has to wait for one.
    fn admit<'scope>(&'scope self, accepted: Accepted, place: Place, scope: &'scope Scope<'scope, '_>) {
        let arrival = Arc::new(Mutex::new(Some((accepted, place))));
        let mut complaint = Complaint::default();
        loop {
            // What a thread that was not started has been given is lost: hence by reference.
            let theirs = Arc::clone(&arrival);
            let serve = move || {
                let arrived = theirs.lock().unwrap_or_else(PoisonError::into_inner).take();
                if let Some((accepted, _place)) = arrived {
                    self.serve(accepted);
                }
            };
            match thread::Builder::new().name("connection".into()).spawn_scoped(scope, serve) {
                Ok(_) => return,
                Err(error) => {
                    complaint.about(&error);
                    thread::sleep(BACK_OFF);
                }
            }
        }
    }

    fn serve(&self, accepted: Accepted) {
        let mut connection = match Connection::new(accepted, self.tls.as_ref()) {
            Ok(connection) => connection,
            Err(error) => return tracing::debug!(%error, "a connection was not opened"),
        };
        let line = Arc::clone(connection.line());
        let _open = self.open.enter(Arc::clone(&line));
        if let Err(error) = connection.shake_hands(HANDSHAKE_TIMEOUT) {
            return tracing::debug!(%error, peer = ?line.peer(), "a connection was not opened");
        }
        // Other limits are the handler's. This one cannot fail: it is not zero.
        let _ = line.set_read_timeout(self.worker.settings().keepalive);
        self.worker.request_served();
        match catch_unwind(AssertUnwindSafe(|| (self.handler)(connection).into_result())) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(error, "a connection failed"),
            // The panic itself has been reported by the hook.
            Err(_) => tracing::error!(peer = ?line.peer(), "the handler of a connection panicked"),
        }
        // This thread and the list of open ones have it, unless the handler has kept its own.
        if Arc::strong_count(&line) == 2 {
            line.close_politely(self.worker.linger());
        }
    }

    /// Waits for the end of all connections, and ends those that are idle.
    fn drain(&self, beats: Duration) {
        let linger = self.worker.linger();
        self.open.watch();
        let mut watched = Duration::ZERO;
        loop {
            let step = beats.min(linger.saturating_sub(watched));
            if self.open.is_empty_within(step) {
                return;
            }
            if self.worker.settings().timeout.is_some() {
                self.worker.beat();
            }
            watched += step;
            if watched >= linger {
                self.open.end_idle();
                self.open.watch();
                watched = Duration::ZERO;
            }
        }
    }
}

/// The connections that are open.
#[derive(Default)]
struct OpenLines {
    lines: Mutex<Slab<Arc<Line>>>,
    left: Condvar,
}

impl OpenLines {
    fn enter(&self, line: Arc<Line>) -> OpenLine<'_> {
        let key = self.lines.lock().unwrap_or_else(PoisonError::into_inner).insert(line);
        OpenLine { lines: self, key }
    }

    fn watch(&self) {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).iter().for_each(|(_, line)| line.watch());
    }

    fn end_idle(&self) {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().filter(|(_, line)| line.was_idle()).for_each(|(_, line)| line.end_reading());
    }

    fn is_empty_within(&self, timeout: Duration) -> bool {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let outcome = self.left.wait_timeout_while(lines, timeout, |lines| !lines.is_empty());
        outcome.unwrap_or_else(PoisonError::into_inner).0.is_empty()
    }
}

/// One of them, for as long as this value lives.
struct OpenLine<'a> {
    lines: &'a OpenLines,
    key: usize,
}

impl Drop for OpenLine<'_> {
    fn drop(&mut self) {
        self.lines.lines.lock().unwrap_or_else(PoisonError::into_inner).remove(self.key);
        self.lines.left.notify_all();
    }
}

/// Handlers that read from a connection speak HTTP/1: clients must not agree on anything else.
fn only_http1(config: Arc<rustls::ServerConfig>) -> Arc<rustls::ServerConfig> {
    let mut config = Arc::unwrap_or_clone(config);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}
