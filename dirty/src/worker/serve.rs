//! One request, answered.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;

use futures_core::Stream;
use gunmetal_protocol::{
    EncodeError, ErrorPayload, Frame, MessageType, Segments, encode_chunk_encoded, encode_end, encode_error,
    encode_response_encoded,
};
use tracing::debug;

use super::apps::Apps;
use super::lane_output::{Gone, LaneOutput};
use super::panics;
use crate::action_error::ActionError;
use crate::app::is_reserved;
use crate::async_runtime::AsyncRuntime;
use crate::call::Call;
use crate::cancel_token::CancelToken;
use crate::reply::Reply;

/// Runs the action that a frame asks for, and sends what it answers.
pub(super) fn answer(
    apps: &Apps,
    runtime: &AsyncRuntime,
    output: &mut LaneOutput<'_>,
    frame: &Frame,
    token: &CancelToken,
) -> Result<(), Gone> {
    let id = frame.header.request_id;
    let message_type = frame.header.message_type;
    if message_type != MessageType::Request {
        let text = format!("a worker takes only REQUEST frames, found {message_type:?}");
        return fail(output, id, &ErrorPayload::protocol(text, &frame.payload));
    }
    let call = match Call::decode(&frame.payload, token) {
        Ok(call) => call,
        Err(error) => return fail(output, id, &ErrorPayload::protocol(chain(&error), &frame.payload)),
    };
    let (app_path, action) = (call.app_path(), call.action());
    let Some(app) = apps.get(app_path) else {
        return fail(output, id, &ErrorPayload::app_not_found(app_path));
    };
    let ran = panics::catch(|| {
        if is_reserved(action) {
            return Err(call.unknown_action(&[]).into());
        }
        let reply = app.call(&call)?;
        Replier { runtime, output, id, token }.reply(reply)
    });
    let (message, traceback) = match ran {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(Failure::Gone)) => {
            token.cancel();
            return Err(Gone);
        }
        Ok(Err(Failure::Action(error))) => (error.to_string(), error.traceback()),
        Err(caught) => {
            output.frame().clear();
            (caught.message, caught.traceback)
        }
    };
    debug!(app = app_path, action, "action failed");
    if token.is_cancelled() {
        return Err(Gone);
    }
    fail(output, id, &ErrorPayload::app(message, app_path, action, &traceback))
}

/// Why an action's reply was not sent to its end.
enum Failure {
    /// The action failed: the caller is told.
    Action(ActionError),
    /// There is no caller.
    Gone,
}

impl From<ActionError> for Failure {
    fn from(error: ActionError) -> Self {
        Self::Action(error)
    }
}

impl From<Gone> for Failure {
    fn from(Gone: Gone) -> Self {
        Self::Gone
    }
}

/// Sends one reply.
struct Replier<'a, 'b> {
    runtime: &'a AsyncRuntime,
    output: &'a mut LaneOutput<'b>,
    id: u64,
    token: &'a CancelToken,
}

impl Replier<'_, '_> {
    fn reply(mut self, mut reply: Reply<'_>) -> Result<(), Failure> {
        loop {
            self.check_cancelled()?;
            match reply {
                Reply::Value(value) => {
                    self.output
                        .encode(|out| encode_response_encoded(self.id, value, out))
                        .map_err(too_large)?;
                    return Ok(self.output.send()?);
                }
                Reply::Iter(items) => {
                    for item in items {
                        self.chunk(item?)?;
                    }
                    return self.end();
                }
                Reply::Stream(items) => {
                    let handle = self.runtime.handle();
                    return handle.block_on(self.stream(items));
                }
                Reply::Future(future) => {
                    reply = self.runtime.handle().block_on(unless_cancelled(self.token, future))??;
                }
            }
        }
    }

    async fn stream(
        mut self,
        mut items: Pin<Box<dyn Stream<Item = Result<Segments, ActionError>> + '_>>,
    ) -> Result<(), Failure> {
        loop {
            let next = poll_fn(|cx| items.as_mut().poll_next(cx));
            match unless_cancelled(self.token, next).await? {
                // Blocks while the router does not read; only this lane's thread waits.
                Some(item) => self.chunk(item?)?,
                None => return self.end(),
            }
        }
    }

    fn chunk(&mut self, item: Segments) -> Result<(), Failure> {
        self.check_cancelled()?;
        self.output.encode(|out| encode_chunk_encoded(self.id, item, out)).map_err(too_large)?;
        Ok(self.output.send_chunk()?)
    }

    fn end(&mut self) -> Result<(), Failure> {
        encode_end(self.id, self.output.frame());
        Ok(self.output.send()?)
    }

    fn check_cancelled(&self) -> Result<(), Failure> {
        if self.token.is_cancelled() { Err(Failure::Gone) } else { Ok(()) }
    }
}

/// The future's output; the future is dropped as soon as the call is cancelled.
async fn unless_cancelled<F: Future>(token: &CancelToken, future: F) -> Result<F::Output, Gone> {
    let mut future = pin!(future);
    let mut cancelled = token.cancelled();
    poll_fn(|cx| {
        if Pin::new(&mut cancelled).poll(cx).is_ready() {
            return Poll::Ready(Err(Gone));
        }
        future.as_mut().poll(cx).map(Ok)
    })
    .await
}

fn fail(output: &mut LaneOutput<'_>, id: u64, error: &ErrorPayload) -> Result<(), Gone> {
    if let Err(reason) = encode_error(id, error, output.frame()) {
        // Only a text of 64 MiB gets here.
        let short = ErrorPayload::new(error.error_type.clone(), format!("error cannot be sent: {reason}"));
        let _ = encode_error(id, &short, output.frame());
    }
    output.send()
}

fn too_large(error: EncodeError) -> Failure {
    let error = match error {
        EncodeError::PayloadTooLarge { len, max } => {
            ActionError::msg(format!("result of {len} bytes exceeds the limit of {max} bytes"))
        }
        other => other.into(),
    };
    Failure::Action(error)
}

/// An error and its causes in one line: a peer that broke the protocol gets no traceback.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
