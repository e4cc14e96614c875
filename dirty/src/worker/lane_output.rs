//! Where a lane's replies go.

use std::time::{Duration, Instant};

use gunmetal_protocol::{EncodeError, Segments};
use tracing::debug;

use super::bell::Bell;
use super::lane::Lane;

/// Nobody reads the lane any more.
#[derive(Debug)]
pub(super) struct Gone;

/// Where a lane's replies go. One frame at a time is encoded, then sent or held back in the lane's gate.
pub(super) struct LaneOutput<'a> {
    lane: &'a Lane,
    bell: Bell,
    /// The frame in the making; empty in between.
    frame: Segments,
    /// Memory for the other half of a swap; empty in between.
    spare: Segments,
    /// Replies held back.
    held_count: u32,
    /// When the last chunk was sent.
    last_chunk: Option<Instant>,
}

impl<'a> LaneOutput<'a> {
    pub(super) fn new(lane: &'a Lane, bell: Bell, [frame, spare]: [Segments; 2]) -> Self {
        Self { lane, bell, frame, spare, held_count: 0, last_chunk: None }
    }

    /// Gives the memory back.
    pub(super) fn into_buffers(mut self) -> [Segments; 2] {
        self.frame.clear();
        self.spare.clear();
        [self.frame, self.spare]
    }

    /// The frame in the making.
    pub(super) fn frame(&mut self) -> &mut Segments {
        &mut self.frame
    }

    /// Encodes the frame in the making; a failure leaves nothing of it.
    pub(super) fn encode(
        &mut self,
        write: impl FnOnce(&mut Segments) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        write(&mut self.frame)
    }

    /// Hands the frame over. It is held back until [`flush`](Self::flush), unless there is much already.
    pub(super) fn send(&mut self) -> Result<(), Gone> {
        let held_len = self.lane.hold(&mut self.frame);
        self.held_count += 1;
        if held_len >= HOLD_LEN || self.held_count == HOLD_COUNT { self.flush() } else { Ok(()) }
    }

    /// Hands the frame over as part of a stream: at once, unless chunks come so fast that a system call for each would
    /// be most of the work. Then the steward sends what has piled up every millisecond, however long the next takes.
    pub(super) fn send_chunk(&mut self) -> Result<(), Gone> {
        let now = Instant::now();
        let last = self.last_chunk.replace(now);
        if last.is_none_or(|last| now.duration_since(last) > BURST_GAP) {
            self.lane.hold(&mut self.frame);
            return self.flush();
        }
        let (held_len, is_news) = self.lane.hold_watched(&mut self.frame);
        if is_news {
            self.bell.ring();
        }
        if held_len >= HOLD_LEN { self.flush() } else { Ok(()) }
    }

    /// Sends what is held back; waits while the router does not read.
    pub(super) fn flush(&mut self) -> Result<(), Gone> {
        self.held_count = 0;
        self.lane.flush(&mut self.spare).map_err(|error| {
            debug!(lane = self.lane.id(), %error, "lane cannot be written");
            Gone
        })
    }
}

/// Held back together at most, in bytes.
const HOLD_LEN: usize = 64 << 10;

/// Held back together at most, in replies. Measured: the router and the client then work on the first replies of a long
/// batch while this thread works on the last, which doubles the rate of 64 calls in flight; 4 and 16 bring less.
const HOLD_COUNT: u32 = 8;

/// Chunks that follow each other within this are a burst: twice what sending one costs.
const BURST_GAP: Duration = Duration::from_micros(5);
