//! Answers, watched until their last byte has been written.

use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::traffic::Answering;

pin_project! {
    /// The body of an answer, which is complete when this and all [`AnswerData`] of it is dropped.
    pub(super) struct AnswerBody<B> {
        #[pin]
        body: B,
        // `None` once the last piece has it.
        answering: Option<Answering>,
    }
}

impl<B> AnswerBody<B> {
    pub(super) fn new(body: B, answering: Answering) -> Self {
        Self { body, answering: Some(answering) }
    }
}

impl<B: Body> Body for AnswerBody<B> {
    type Data = AnswerData<B::Data>;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let mut me = self.project();
        let frame = match ready!(me.body.as_mut().poll_frame(cx)) {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => return Poll::Ready(Some(Err(error))),
            None => return Poll::Ready(None),
        };
        let is_last = me.body.is_end_stream();
        let frame = frame.map_data(|data| {
            let answering = if is_last { me.answering.take() } else { me.answering.clone() };
            AnswerData { data, _answering: answering }
        });
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A piece of an answer: hyper drops it when it has been written, while the body itself may have ended long before.
pub(super) struct AnswerData<D> {
    data: D,
    _answering: Option<Answering>,
}

impl<D: Buf> Buf for AnswerData<D> {
    fn remaining(&self) -> usize {
        self.data.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.data.chunk()
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        self.data.chunks_vectored(slices)
    }

    fn advance(&mut self, count: usize) {
        self.data.advance(count);
    }

    fn copy_to_bytes(&mut self, len: usize) -> Bytes {
        self.data.copy_to_bytes(len)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::pin;
    use std::sync::Arc;

    use super::*;
    use crate::http::places::block_on;
    use crate::http::serve::ticks::Ticks;
    use crate::http::serve::traffic::Traffic;

    #[test]
    fn an_answer_is_complete_when_its_last_piece_is_gone() {
        let traffic = Arc::new(Traffic::new(Arc::new(Ticks::default())));
        let mut body = pin!(AnswerBody::new(String::from("hello"), traffic.begin_answer()));
        let frame = block_on(poll_fn(|cx| body.as_mut().poll_frame(cx)));
        let mut data = frame.unwrap().unwrap().into_data().ok().unwrap();
        assert!(body.is_end_stream());
        assert_eq!(traffic.waits_since(), None);
        assert_eq!(data.copy_to_bytes(data.remaining()), "hello");
        drop(data);
        assert!(traffic.waits_since().is_some(), "also while hyper still has the empty body");
    }

    #[test]
    fn an_answer_without_a_body_is_complete_when_that_is_dropped() {
        let traffic = Arc::new(Traffic::new(Arc::new(Ticks::default())));
        let body = AnswerBody::new(String::new(), traffic.begin_answer());
        assert_eq!(traffic.waits_since(), None);
        drop(body);
        assert!(traffic.waits_since().is_some());
    }
}
