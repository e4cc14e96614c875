//! The ready-made async server of an HTTP worker.

mod accept;
mod answer;
mod connection;
mod drain;
mod keepalive;
mod opening;
mod reception;
mod socket;
mod ticks;
mod traffic;

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::thread;

use gunmetal_arbiter::Listener;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use tokio::runtime::Handle;
use tower_service::Service;

use accept::Listeners;
use drain::Drain;
use keepalive::Keepalive;
use reception::Reception;
use socket::Socket;

use super::HttpWorker;
use super::fair::{self, Interrupter};
use super::places::{Place, Places};
use crate::AcceptMode;

pub use reception::Peer;

impl HttpWorker {
    /// Serves HTTP/1.1 and HTTP/2 on all listeners, with TLS if the service has a certificate, until the worker is to shut
    /// down and every connection has ended. `service` is an `axum::Router`, or any other tower service for hyper's requests.
    /// Makes the worker ready.
    ///
    /// At most `worker_connections` are open at a time; `accept_mode` says which worker takes which; `max_requests` are
    /// counted here. A connection whose client takes longer than `keepalive` to send the head of its next request is closed.
    ///
    /// When the worker is to shut down, nobody is cut off: what has been accepted is answered. Over HTTP/1 the current or the
    /// next answer says `Connection: close`, and a connection without a request is closed after two seconds. Over HTTP/2 the
    /// client gets GOAWAY at once, and the answers to what it had asked. A WebSocket counts as a connection: whoever serves
    /// one closes it at [`shutdown`](Self::shutdown).
    ///
    /// # Errors
    /// The listeners cannot be used. What befalls a single connection ends that connection only.
    ///
    /// # Panics
    /// Outside a tokio runtime with IO and time, such as [`Server::http_async`](crate::Server::http_async) gives.
    pub async fn serve<S, B>(&self, service: S) -> io::Result<()>
    where
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
        S::Error: Into<Box<dyn Error + Send + Sync>>,
        S::Future: Send,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        self.serve_with(move |_| service.clone()).await
    }

    /// [`serve`](Self::serve) with a service for each connection, made from who is at its other end.
    ///
    /// # Errors
    /// As with [`serve`](Self::serve).
    ///
    /// # Panics
    /// As with [`serve`](Self::serve).
    pub async fn serve_with<M, S, B>(&self, make_service: M) -> io::Result<()>
    where
        M: Fn(&Peer) -> S + Clone + Send + 'static,
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
        S::Error: Into<Box<dyn Error + Send + Sync>>,
        S::Future: Send,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let reception = Arc::new(Reception {
            worker: self.clone(),
            drain: Arc::new(Drain::default()),
            keepalive: Arc::new(Keepalive::new(self.settings().keepalive)),
            places: Places::new(self.settings().worker_connections),
            tls: self.tls(),
        });
        let listeners =
            self.current_listeners().iter().map(Listener::try_clone).collect::<io::Result<_>>()?;
        let admit = {
            let (reception, runtime) = (Arc::clone(&reception), Handle::current());
            move |socket, place| {
                runtime.spawn(Arc::clone(&reception).serve(socket, place, make_service.clone()));
            }
        };
        let until_drained = async {
            match self.settings().accept_mode {
                AcceptMode::Shared => self.accept_shared(listeners, &reception.places, admit).await?,
                AcceptMode::Fair => self.accept_fairly(listeners, &reception.places, admit).await?,
            }
            reception.drain.begin();
            reception.places.all_returned().await;
            Ok(())
        };
        tokio::select! {
            biased;
            outcome = until_drained => outcome,
            never = reception.keepalive.sweep() => match never {},
        }
    }

    /// Accepts until the worker is to shut down.
    async fn accept_shared(
        &self,
        listeners: Vec<Listener>,
        places: &Places,
        admit: impl Fn(Socket, Place),
    ) -> io::Result<()> {
        listeners.iter().try_for_each(crate::http::accept::prepare)?;
        let mut listeners = Listeners::new(listeners)?;
        self.ready();
        loop {
            tokio::select! {
                biased;
                () = self.shutdown() => return Ok(()),
                (socket, place) = listeners.next(places) => admit(socket, place),
            }
        }
    }

    /// The same with threads that wait for their turn.
    async fn accept_fairly(
        &self,
        listeners: Vec<Listener>,
        places: &Places,
        admit: impl Fn(Socket, Place) + Clone + Send + 'static,
    ) -> io::Result<()> {
        listeners.iter().try_for_each(fair::prepare)?;
        self.ready();
        let mut acceptors = Vec::new();
        for listener in listeners {
            let (worker, places, admit) = (self.clone(), places.clone(), admit.clone());
            let (interrupter, runtime) = (Interrupter::default(), Handle::current());
            let accept = {
                let interrupter = interrupter.clone();
                move || {
                    fair::accept_all(&listener, &places, &worker, &interrupter, |accepted, place| {
                        let _within = runtime.enter();
                        match Socket::from_std(accepted) {
                            Ok(socket) => admit(socket, place),
                            Err(error) => tracing::warn!(%error, "a connection cannot be served"),
                        }
                    });
                }
            };
            acceptors.push((thread::Builder::new().name("accept".into()).spawn(accept)?, interrupter));
        }
        self.shutdown().await;
        let stop = move || {
            for (acceptor, interrupter) in acceptors {
                interrupter.interrupt();
                // Joined after it has ended, so that its id was valid until then. It has no panics of ours.
                let _ = acceptor.join();
            }
        };
        tokio::task::spawn_blocking(stop).await.map_err(io::Error::other)
    }
}
