//! Accepting on tokio, from listeners that workers share.

use std::future::poll_fn;
use std::io;
use std::task::Poll;

use gunmetal_arbiter::Listener;
use tokio::net::{TcpListener, UnixListener};
use tokio::time::sleep;

use super::socket::Socket;
use crate::http::accept::is_passing;
use crate::http::complaint::{BACK_OFF, Complaint};
use crate::http::places::{Place, Places};

/// The listeners of a worker, from which one task accepts.
pub(super) struct Listeners {
    listeners: Vec<AsyncListener>,
    /// Whose turn it is to be looked at first: one that always has something must not keep the others waiting.
    first: usize,
    complaint: Complaint,
}

enum AsyncListener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listeners {
    /// Takes over non-blocking listeners; within a runtime.
    pub(super) fn new(listeners: Vec<Listener>) -> io::Result<Self> {
        let listeners = listeners.into_iter().map(|listener| match listener {
            Listener::Tcp(listener) => TcpListener::from_std(listener).map(AsyncListener::Tcp),
            Listener::Unix(listener) => UnixListener::from_std(listener).map(AsyncListener::Unix),
        });
        Ok(Self {
            listeners: listeners.collect::<io::Result<_>>()?,
            first: 0,
            complaint: Complaint::default(),
        })
    }

    /// The next connection, once there is a place for it.
    ///
    /// # Cancel safety
    /// Dropping it loses no connection.
    pub(super) async fn next(&mut self, places: &Places) -> (Socket, Place) {
        let place = places.take().await;
        loop {
            match self.accept().await {
                Ok(socket) => return (socket, place),
                // Another worker was faster, or the client gave up before its turn.
                Err(error) if is_passing(&error) => {}
                Err(error) => {
                    self.complaint.about(&error);
                    sleep(BACK_OFF).await;
                }
            }
        }
    }

    async fn accept(&mut self) -> io::Result<Socket> {
        let count = self.listeners.len();
        poll_fn(|cx| {
            for turn in 0..count {
                let index = (self.first + turn) % count;
                let accepted = match &self.listeners[index] {
                    AsyncListener::Tcp(listener) => {
                        listener.poll_accept(cx).map_ok(|(stream, _)| Socket::Tcp(stream))
                    }
                    AsyncListener::Unix(listener) => {
                        listener.poll_accept(cx).map_ok(|(stream, _)| Socket::Unix(stream))
                    }
                };
                if let Poll::Ready(accepted) = accepted {
                    self.first = index + 1;
                    return Poll::Ready(accepted);
                }
            }
            Poll::Pending
        })
        .await
    }
}
