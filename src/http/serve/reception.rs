//! Where accepted connections go.

use std::error::Error;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use tokio::io::AsyncWriteExt;
use tokio::time::{sleep, timeout};
use tower_service::Service;

use super::connection;
use super::drain::{Drain, DrainWatch};
use super::keepalive::{Keepalive, KeepaliveWatch};
use super::opening::{Opened, read_first, shake_hands};
use super::socket::Socket;
use crate::http::HttpWorker;
use crate::http::places::{Place, Places};

/// What all connections of a worker share.
#[derive(Debug)]
pub(super) struct Reception {
    pub(super) worker: HttpWorker,
    pub(super) drain: Arc<Drain>,
    pub(super) keepalive: Arc<Keepalive>,
    pub(super) places: Places,
    pub(super) tls: Option<Arc<rustls::ServerConfig>>,
}

/// The other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Peer {
    /// Its address; clients of unix sockets have none.
    pub address: Option<SocketAddr>,
    /// Whether the connection is encrypted.
    pub is_tls: bool,
}

impl Reception {
    /// Serves a connection on a task of its own. No step of it holds up whoever accepts.
    pub(super) async fn serve<S, B>(
        self: Arc<Self>,
        socket: Socket,
        place: Place,
        make_service: impl Fn(&Peer) -> S,
    ) where
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
        S::Error: Into<Box<dyn Error + Send + Sync>>,
        S::Future: Send,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let address = match &socket {
            Socket::Tcp(stream) => {
                // An answer in several pieces would wait for acknowledgements. A socket that is gone says so soon enough.
                let _ = stream.set_nodelay(true);
                stream.peer_addr().ok()
            }
            Socket::Unix(_) => None,
        };
        let service = make_service(&Peer { address, is_tls: self.tls.is_some() });
        let mut watch = DrainWatch::new(Arc::clone(&self.drain));
        let opened = tokio::select! {
            biased;
            opened = self.open(socket) => opened,
            () = silence_after_drain(&mut watch, self.worker.linger()) => return,
        };
        match opened {
            Ok((opened, wait)) => connection::serve(opened, service, self, place, watch, wait).await,
            Err(error) => tracing::debug!(%error, peer = ?address, "a connection was not opened"),
        }
    }

    /// Waits for the client's first words, as long as it may wait for a request.
    async fn open(&self, socket: Socket) -> io::Result<(Opened, KeepaliveWatch)> {
        let mut stream = shake_hands(socket, self.tls.clone()).await?;
        let mut wait = KeepaliveWatch::new(Arc::clone(&self.keepalive));
        tokio::select! {
            biased;
            first = read_first(&mut stream) => {
                let (first, protocol) = first?;
                Ok((Opened { stream, first, protocol }, wait))
            }
            () = poll_fn(|cx| wait.poll_overdue(cx)) => {
                // Nothing was sent that could be lost: the farewell of TLS is all that is left to do.
                let _ = timeout(self.worker.linger(), stream.shutdown()).await;
                Err(io::Error::new(io::ErrorKind::TimedOut, "the client has asked nothing for too long"))
            }
        }
    }
}

/// Ends a while after the drain has begun: a client that has not said a word by then will not say one soon.
async fn silence_after_drain(watch: &mut DrainWatch, linger: Duration) {
    poll_fn(|cx| watch.poll_begun(cx)).await;
    sleep(linger).await;
}
