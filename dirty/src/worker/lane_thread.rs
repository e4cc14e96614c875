//! The thread that serves a lane.

use std::sync::Arc;

use gunmetal_protocol::{Frame, Segments};
use tracing::{debug, warn};

use super::apps::Apps;
use super::bell::Bell;
use super::gate::Admission;
use super::lane::Lane;
use super::lane_input::{InputError, LaneInput};
use super::lane_output::{Gone, LaneOutput};
use super::lane_queue::LaneQueue;
use super::serve::answer;
use crate::async_runtime::AsyncRuntime;
use crate::link::{self, LaneReady};

/// A thread that serves one lane connection after the other.
pub(super) struct LaneThread {
    queue: Arc<LaneQueue>,
    apps: Arc<Apps>,
    runtime: AsyncRuntime,
    bell: Bell,
    input: LaneInput,
    /// Lent to the lane's output.
    buffers: [Segments; 2],
}

impl LaneThread {
    pub(super) fn new(queue: Arc<LaneQueue>, apps: Arc<Apps>, runtime: AsyncRuntime, bell: Bell) -> Self {
        Self { queue, apps, runtime, bell, input: LaneInput::new(), buffers: Default::default() }
    }

    /// Serves until the queue is closed.
    pub(super) fn run(mut self) {
        while let Some(lane) = self.queue.pop() {
            debug!(lane = lane.id(), "lane picked up");
            self.input.reset(lane.take_early());
            let mut output = LaneOutput::new(&lane, self.bell.clone(), std::mem::take(&mut self.buffers));
            // Either way the lane is over.
            let Gone = self.serve_lane(&lane, &mut output);
            self.buffers = output.into_buffers();
            lane.close();
            debug!(lane = lane.id(), "lane closed");
        }
    }

    fn serve_lane(&mut self, lane: &Lane, output: &mut LaneOutput<'_>) -> Gone {
        if let Err(gone) = greet(output) {
            return gone;
        }
        loop {
            let frame = match self.next_request(lane, output) {
                Ok(frame) => frame,
                Err(gone) => return gone,
            };
            if let Err(gone) = self.serve(lane, output, frame) {
                return gone;
            }
        }
    }

    /// The next request; what was held back goes out before this waits.
    fn next_request(&mut self, lane: &Lane, output: &mut LaneOutput<'_>) -> Result<Frame, Gone> {
        loop {
            let input = match self.input.buffered() {
                Ok(None) => {
                    output.flush()?;
                    self.input.read(lane.stream())
                }
                buffered => buffered,
            };
            match input {
                Ok(Some(frame)) => return Ok(frame),
                Ok(None) => {}
                Err(InputError::Closed) => return Err(Gone),
                Err(InputError::Io(error)) => {
                    debug!(lane = lane.id(), %error, "lane cannot be read");
                    return Err(Gone);
                }
                Err(InputError::Header(error)) => {
                    warn!(lane = lane.id(), %error, "lane sent something that is no frame");
                    output.flush()?;
                    return Err(Gone);
                }
            }
        }
    }

    fn serve(&mut self, lane: &Lane, output: &mut LaneOutput<'_>, frame: Frame) -> Result<(), Gone> {
        let token = match lane.gate().admit(frame.header.request_id) {
            Admission::Run(token) => token,
            Admission::Revoked => return Ok(()),
            Admission::HungUp => return Err(Gone),
        };
        let answered = answer(&self.apps, &self.runtime, output, &frame, &token);
        lane.gate().end();
        self.input.recycle(frame.payload);
        answered
    }
}

fn greet(output: &mut LaneOutput<'_>) -> Result<(), Gone> {
    match link::encode(&LaneReady) {
        Ok(frame) => {
            output.frame().put_bytes(frame);
            output.send()
        }
        Err(error) => {
            warn!(%error, "link message cannot be encoded");
            Err(Gone)
        }
    }
}
