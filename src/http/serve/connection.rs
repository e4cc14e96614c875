//! One connection, from its first byte to its last.

use std::error::Error;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http::header::{CONNECTION, HeaderValue};
use http::{Method, Request, Response, StatusCode, Version};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::{HttpService, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::time::timeout;
use tower_service::Service;

use super::answer::AnswerBody;
use super::drain::DrainWatch;
use super::keepalive::KeepaliveWatch;
use super::opening::{Opened, Protocol};
use super::reception::Reception;
use super::socket::OpenStream;
use super::traffic::Traffic;
use crate::http::places::Place;

/// Serves a connection until it has ended.
pub(super) async fn serve<S, B>(
    opened: Opened,
    service: S,
    reception: Arc<Reception>,
    place: Place,
    watch: DrainWatch,
    wait: KeepaliveWatch,
) where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    S::Future: Send,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let Opened { stream, first, protocol } = opened;
    let traffic = Arc::clone(wait.traffic());
    let linger = reception.worker.linger();
    let stream = TokioIo::new(OpenStream::new(stream, first, Arc::clone(&traffic), linger, place));
    let answer = {
        let traffic = Arc::clone(&traffic);
        service_fn(move |request: Request<Incoming>| {
            let (mut service, reception) = (service.clone(), Arc::clone(&reception));
            let answering = traffic.begin_answer();
            reception.worker.request_served();
            async move {
                let announces = request.version() <= Version::HTTP_11;
                let asks_for_tunnel = !announces && request.method() == Method::CONNECT;
                poll_fn(|cx| service.poll_ready(cx)).await?;
                let mut response = service.call(request).await?;
                let stays_http = response.status() != StatusCode::SWITCHING_PROTOCOLS;
                if announces && stays_http && reception.drain.has_begun() {
                    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
                if asks_for_tunnel && response.status().is_success() {
                    answering.becomes_tunnel();
                }
                Ok::<_, S::Error>(response.map(|body| AnswerBody::new(body, answering)))
            }
        })
    };
    let outcome = match protocol {
        Protocol::Http1 => {
            let connection = http1::Builder::new().serve_connection(stream, answer).with_upgrades();
            to_its_end(connection, &traffic, watch, wait, linger).await
        }
        Protocol::Http2 => {
            let mut builder = http2::Builder::new(TokioExecutor::new());
            // For WebSockets over HTTP/2, as axum's own server does.
            let connection = builder.enable_connect_protocol().serve_connection(stream, answer);
            to_its_end(connection, &traffic, watch, wait, linger).await
        }
    };
    if let Err(error) = outcome {
        // Clients leave as they like, and some send rubbish.
        tracing::debug!(error = crate::http::chain(&error), "a connection failed");
    }
}

/// Drives a connection, until it is to end if it does not do so by itself.
async fn to_its_end<C: Connection>(
    connection: C,
    traffic: &Traffic,
    mut watch: DrainWatch,
    mut wait: KeepaliveWatch,
    linger: Duration,
) -> Result<(), hyper::Error> {
    let mut connection = pin!(connection);
    let end = poll_fn(|cx| {
        if let Poll::Ready(outcome) = connection.as_mut().poll(cx) {
            return Poll::Ready(End::Itself(outcome));
        }
        if watch.poll_begun(cx).is_ready() {
            return Poll::Ready(End::Drain);
        }
        wait.poll_overdue(cx).map(|()| End::Silence)
    })
    .await;
    // From now on it has a time of its own.
    drop(wait);
    match end {
        End::Itself(outcome) => outcome,
        End::Drain => drain(connection, traffic, linger).await,
        End::Silence => end_silence(connection, traffic).await,
    }
}

/// Why a connection ends.
enum End {
    Itself(Result<(), hyper::Error>),
    /// The worker drains.
    Drain,
    /// The client has not asked for too long.
    Silence,
}

/// Drives a connection of a worker that drains. It is not cut: see [`Connection`] for what it does then.
async fn drain<C: Connection>(
    mut connection: Pin<&mut C>,
    traffic: &Traffic,
    linger: Duration,
) -> Result<(), hyper::Error> {
    connection.as_mut().announce_end();
    loop {
        traffic.watch();
        match timeout(linger, connection.as_mut()).await {
            Ok(outcome) => return outcome,
            Err(_) if traffic.was_idle() => break,
            Err(_) => {}
        }
    }
    connection.as_mut().end();
    // Nothing more is to come but the client's farewell.
    timeout(linger, connection).await.unwrap_or(Ok(()))
}

/// Ends a connection that has waited for too long. A request that comes at the last moment is answered; whoever has sent a
/// part of one, or leaves GOAWAY without an answer, is cut off soon, whatever else it sends.
async fn end_silence<C: Connection>(
    mut connection: Pin<&mut C>,
    traffic: &Traffic,
) -> Result<(), hyper::Error> {
    connection.as_mut().announce_end();
    connection.as_mut().end();
    loop {
        traffic.watch();
        match timeout(LAST_MOMENT, connection.as_mut()).await {
            Ok(outcome) => return outcome,
            Err(_) if traffic.was_unasked() => return Ok(()),
            Err(_) => {}
        }
    }
}

/// What HTTP/1 and HTTP/2 do differently when they are to end.
trait Connection: Future<Output = Result<(), hyper::Error>> {
    /// Has the client know, where the protocol has a word for it. Nothing is lost by this.
    fn announce_end(self: Pin<&mut Self>);

    /// Ends a connection that has been idle for a while.
    fn end(self: Pin<&mut Self>);
}

impl<S, B> Connection for http1::UpgradeableConnection<TokioIo<OpenStream>, S>
where
    S: HttpService<Incoming, ResBody = B>,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    /// The next answer says `Connection: close`. An idle connection is kept for that: a request may be on its way.
    fn announce_end(self: Pin<&mut Self>) {}

    fn end(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<S, B> Connection for http2::Connection<TokioIo<OpenStream>, S, TokioExecutor>
where
    S: HttpService<Incoming, ResBody = B>,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    S::Future: Send + 'static,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    /// GOAWAY, after which the client opens no streams; those that were opened before are answered.
    fn announce_end(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }

    /// A client that has not reacted to GOAWAY has left without a word: it is not waited for.
    fn end(self: Pin<&mut Self>) {}
}

/// More than a request is on its way, and no less than a closed connection is read from.
const LAST_MOMENT: Duration = Duration::from_secs(2);
