//! What a connection is busy with, for the question whether it may be closed.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

/// The traffic of one connection.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    /// Whether anything has been read since somebody looked.
    received: AtomicBool,
    /// Requests whose answers are not complete.
    answering: AtomicU32,
}

impl Traffic {
    /// Notes that something has been read.
    pub(super) fn receive(&self) {
        self.received.store(true, Ordering::Relaxed);
    }

    /// Notes that a request has come, until its answer drops what this returns.
    pub(super) fn begin_answer(self: &Arc<Self>) -> Answering {
        self.answering.fetch_add(1, Ordering::Relaxed);
        Answering(Arc::clone(self))
    }

    /// Begins a time of which [`was_idle`](Self::was_idle) tells.
    pub(super) fn watch(&self) {
        self.received.store(false, Ordering::Relaxed);
    }

    /// Whether nothing has been read since [`watch`](Self::watch), and no answer is under way.
    pub(super) fn was_idle(&self) -> bool {
        !self.received.load(Ordering::Relaxed) && self.answering.load(Ordering::Relaxed) == 0
    }
}

/// A request whose answer is not complete.
#[derive(Debug)]
pub(super) struct Answering(Arc<Traffic>);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.answering.fetch_sub(1, Ordering::Relaxed);
    }
}

pin_project! {
    /// The body of an answer, which is complete when this is dropped.
    pub(super) struct AnswerBody<B> {
        #[pin]
        body: B,
        answering: Answering,
    }
}

impl<B> AnswerBody<B> {
    pub(super) fn new(body: B, answering: Answering) -> Self {
        Self { body, answering }
    }
}

impl<B: Body> Body for AnswerBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        self.project().body.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_idle_when_nothing_comes_and_nothing_is_answered() {
        let traffic = Arc::new(Traffic::default());
        assert!(traffic.was_idle());
        traffic.receive();
        assert!(!traffic.was_idle());
        traffic.watch();
        let answer = AnswerBody::new(String::new(), traffic.begin_answer());
        assert!(!traffic.was_idle());
        drop(answer);
        assert!(traffic.was_idle());
    }
}
