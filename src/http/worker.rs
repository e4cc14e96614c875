//! What the closure of an HTTP worker is given.

use std::fmt;
use std::io;
use std::net::TcpListener;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::time::Duration;

use gunmetal_arbiter::{Hooks, HttpProcess, HttpWorkerProcess, Listener};
use gunmetal_client::Client;
use gunmetal_client_core::ConfigError;
use gunmetal_supervise::{Heartbeat, NoticeWriter, ReadyWriter, WorkerId};

use super::Connection;
use super::accept::{self, Accepted};
use super::run::{Context, panic_text};
use super::share::{self, Share};
use super::signals::{self, Order};
use crate::Settings;
use crate::shutdown::Shutdown;

/// One HTTP worker process, seen from inside: its listeners, its clients, and its understanding with the master.
///
/// The worker counts as ready, and from then on as started, when the closure first asks for its listeners or waits for
/// the shutdown, or says so with [`ready`](Self::ready). What may fail comes before: an error up to that point is a
/// failure to start, which at the first boot stops the whole service instead of being tried again for ever.
///
/// Clones mean the same worker.
#[derive(Clone)]
pub struct HttpWorker {
    shared: Arc<Shared>,
}

struct Shared {
    id: WorkerId,
    process: HttpWorkerProcess,
    /// Empty once the worker is to shut down: a client whose connection nobody will accept should hear so.
    listeners: Mutex<Arc<[Listener]>>,
    readiness: Mutex<Option<ReadyWriter>>,
    wish: Mutex<Option<NoticeWriter>>,
    /// Whether `post_worker_init` has run.
    initialized: Once,
    is_ready: AtomicBool,
    /// Whether `worker_exit` has run.
    exits: Once,
    heartbeat: Heartbeat,
    shutdown: Shutdown,
    hooks: Arc<dyn Hooks>,
    settings: Arc<Settings>,
    share: Share,
    tls: Option<Arc<rustls::ServerConfig>>,
}

impl HttpWorker {
    /// Takes over what the master has given this process, and begins to listen for its signals.
    pub(super) fn start(process: HttpProcess, context: Context) -> io::Result<Self> {
        let HttpProcess { worker: id, process, listeners, readiness, wish, heartbeat } = process;
        let Context { settings, tls, hooks, loaders: _ } = context;
        let shared = Arc::new(Shared {
            id,
            process,
            listeners: Mutex::new(listeners.into()),
            readiness: Mutex::new(Some(readiness)),
            wish: Mutex::new(Some(wish)),
            initialized: Once::new(),
            is_ready: AtomicBool::new(false),
            exits: Once::new(),
            heartbeat,
            shutdown: Shutdown::new()?,
            share: Share::new(settings.max_requests, settings.max_requests_jitter, share::random()),
            settings,
            tls,
            hooks,
        });
        let at_signal = Self { shared: Arc::clone(&shared) };
        signals::listen(shared.settings.graceful_timeout, move |order| match order {
            Order::Finish => at_signal.shared.shut_down(),
            Order::Leave => at_signal.exits(),
            Order::Abort => at_signal.call("worker_abort", |hooks, process| hooks.worker_abort(process)),
        })?;
        Ok(Self { shared })
    }

    /// The listeners, one for each `bind`, in that order. They are non-blocking, as tokio wants them, unless `accept_mode` is
    /// fair and one of the runners of this crate has begun to serve. None any more once the worker is to shut down. Makes the
    /// worker ready.
    ///
    /// # Errors
    /// The system has no descriptor left.
    pub fn listeners(&self) -> io::Result<Vec<Listener>> {
        let listeners = self.shared.listeners().iter().map(Listener::try_clone).collect();
        self.ready();
        listeners
    }

    /// The first listener that is a TCP port, for `tokio::net::TcpListener::from_std`. Makes the worker ready.
    ///
    /// # Errors
    /// `bind` names unix sockets only, the worker is to shut down already, or the system has no descriptor left.
    pub fn tcp_listener(&self) -> io::Result<TcpListener> {
        let tcp = self.listeners()?.into_iter().find_map(|listener| match listener {
            Listener::Tcp(listener) => Some(listener),
            Listener::Unix(_) => None,
        });
        tcp.ok_or_else(|| {
            io::Error::new(io::ErrorKind::AddrNotAvailable, "bind has no TCP port for this server")
        })
    }

    /// Waits until one of the listeners has a connection, or `None` once the worker is to shut down: for servers with
    /// threads instead of tokio. The connection is in blocking mode.
    ///
    /// # Errors
    /// What `accept(2)` says about the system, such as that no descriptor is left.
    pub fn accept(&self) -> io::Result<Option<Connection>> {
        self.ready();
        let accepted = self.next_accepted(&self.shared.listeners())?;
        accepted.map(|accepted| Connection::new(accepted, self.shared.tls.as_ref())).transpose()
    }

    /// Ends when the worker is to shut down: accept no more, finish what runs, return. The future is the worker's wish
    /// and may be waited for any number of times; it suits `axum::serve(…).with_graceful_shutdown(worker.shutdown())`.
    ///
    /// # Cancel safety
    /// Dropping it loses nothing.
    pub fn shutdown(&self) -> impl Future<Output = ()> + Send + 'static {
        let worker = self.clone();
        async move {
            worker.ready();
            worker.shared.shutdown.wait_async().await;
        }
    }

    /// Whether the worker is to shut down.
    pub fn shutdown_requested(&self) -> bool {
        self.shared.shutdown.is_requested()
    }

    /// Blocks until the worker is to shut down, at most for `timeout`. Returns whether it is. Makes the worker ready.
    pub fn wait_for_shutdown(&self, timeout: Duration) -> bool {
        self.ready();
        self.shared.shutdown.wait(timeout)
    }

    /// Runs the hook `post_worker_init`, then tells the master that this worker serves. Further calls do nothing.
    ///
    /// # Panics
    /// The hook has panicked: the worker has failed to start.
    pub fn ready(&self) {
        self.shared.initialized.call_once(|| {
            let hook = || self.shared.hooks.post_worker_init(&self.shared.process);
            if let Err(panic) = catch_unwind(AssertUnwindSafe(hook)) {
                self.fail(&format!("post_worker_init panicked: {}", panic_text(panic.as_ref())));
                resume_unwind(panic);
            }
        });
        if self.shared.is_ready.swap(true, Ordering::AcqRel) {
            return;
        }
        let writer = self.shared.readiness.lock().unwrap_or_else(PoisonError::into_inner).take();
        // A master that cannot be told is gone, and so will this process be in a moment.
        if let Some(Err(error)) = writer.map(ReadyWriter::ready) {
            tracing::debug!(%error, "the master does not listen");
        }
    }

    /// Whether [`ready`](Self::ready) has been called, by whomever.
    pub fn is_ready(&self) -> bool {
        self.shared.is_ready.load(Ordering::Acquire)
    }

    /// Tells the master that the worker is alive. From the first beat on, a silence longer than the `timeout` setting
    /// is the worker's end. [`Server::http_async`](crate::Server::http_async) beats by itself.
    pub fn beat(&self) {
        if let Err(error) = self.shared.heartbeat.touch() {
            // Repeated, this ends in the worker's replacement, which may have better luck.
            tracing::warn!(%error, "heartbeat failed");
        }
    }

    /// Asks the master to replace this worker, for a reason that the log tells. It serves on until its successor is
    /// ready, and is told to shut down then. Further calls do nothing.
    pub fn recycle(&self, reason: &str) {
        let wish = self.shared.wish.lock().unwrap_or_else(PoisonError::into_inner).take();
        // A master that cannot be told is gone, and so will this process be in a moment.
        if let Some(Err(error)) = wish.map(|wish| wish.send(reason)) {
            tracing::debug!(%error, "the master does not listen");
        }
    }

    /// Counts a request: the one that is the last of the worker's share (`max_requests`) has it
    /// [recycled](Self::recycle). For servers of your own; the ready-made ones count by themselves.
    pub fn request_served(&self) {
        if let Some(limit) = self.shared.share.count() {
            self.recycle(&format!("served {limit} requests"));
        }
    }

    /// The TLS side of the listeners, certificate and key loaded, for a server of your own; `None` if `certfile` is not set.
    /// Clients may choose HTTP/1.1 or HTTP/2 (ALPN).
    pub fn tls(&self) -> Option<Arc<rustls::ServerConfig>> {
        self.shared.tls.clone()
    }

    /// This worker's place among the workers, from 0, and how many processes have been in it.
    pub fn id(&self) -> WorkerId {
        self.shared.id
    }

    /// How many HTTP workers the master had started when it started this one, itself included.
    pub fn age(&self) -> u64 {
        self.shared.process.age
    }

    /// A new async client of the service's dirty arbiter. Clones of a client share its connections, a second one does
    /// not: make one and clone it.
    ///
    /// # Errors
    ///
    /// The service has no dirty arbiter.
    pub fn client(&self) -> Result<Client, ConfigError> {
        Client::from_env()
    }

    /// A new blocking client of the service's dirty arbiter. Clones share their connections, as with
    /// [`client`](Self::client).
    ///
    /// # Errors
    ///
    /// The service has no dirty arbiter.
    pub fn blocking_client(&self) -> Result<gunmetal_client_blocking::Client, ConfigError> {
        gunmetal_client_blocking::Client::from_env()
    }

    /// The settings of the service.
    pub fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    /// The listeners, none once the worker is to shut down.
    pub(super) fn current_listeners(&self) -> Arc<[Listener]> {
        self.shared.listeners()
    }

    /// Runs the hook `worker_exit`, once.
    pub(super) fn exits(&self) {
        self.shared.exits.call_once(|| self.call("worker_exit", |hooks, process| hooks.worker_exit(process)));
    }

    /// Runs a hook that changes nothing any more, whatever it does.
    fn call(&self, name: &str, hook: impl FnOnce(&dyn Hooks, &HttpWorkerProcess)) {
        let hook = || hook(self.shared.hooks.as_ref(), &self.shared.process);
        if let Err(panic) = catch_unwind(AssertUnwindSafe(hook)) {
            tracing::error!("{name} panicked: {}", panic_text(panic.as_ref()));
        }
    }

    /// How long a connection without a request is kept when the worker drains, for a request that is on its way; and how long
    /// one that was closed is read from, so that its last answer is not lost. Both fit into the graceful timeout.
    pub(super) fn linger(&self) -> Duration {
        MAX_LINGER.min(self.shared.settings.graceful_timeout / 4)
    }

    /// Waits for a connection on one of the listeners, or `None` once the worker is to shut down.
    pub(super) fn next_accepted(&self, listeners: &[Listener]) -> io::Result<Option<Accepted>> {
        accept::next(listeners, &self.shared.shutdown)
    }

    /// Tells the master why this worker cannot start, in the place of [`ready`](Self::ready). Returns whether it was
    /// still time.
    pub(super) fn fail(&self, reason: &str) -> bool {
        if self.shared.is_ready.swap(true, Ordering::AcqRel) {
            return false;
        }
        match self.shared.readiness.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(writer) => writer.failed(reason).is_ok(),
            None => false,
        }
    }
}

impl Shared {
    fn listeners(&self) -> Arc<[Listener]> {
        Arc::clone(&self.listeners.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn shut_down(&self) {
        *self.listeners.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new([]);
        self.shutdown.request();
    }
}

impl fmt::Debug for HttpWorker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpWorker").field("id", &self.shared.id).finish_non_exhaustive()
    }
}

/// More than a request is on its way.
const MAX_LINGER: Duration = Duration::from_secs(2);
