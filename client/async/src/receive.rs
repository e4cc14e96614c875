//! The bytes that have arrived on a connection and are no frame yet.

use bytes::buf::Limit;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use gunmetal_protocol::{Frame, FrameDecoder, HEADER_LEN, HeaderError};

/// Room for frames that arrive, and the decoder that takes them out.
///
/// Small frames share one buffer, so that one read brings many; it is larger while payloads are of
/// middling size, and its front is used again as soon as nobody holds what was read into it. A large
/// payload is read into a buffer of its own, to its last byte and no further; once its reader has
/// dropped it, its memory is used again for the next one. Memory that is given back and faulted in
/// again costs more than the copy that it holds.
#[derive(Debug, Default)]
pub(crate) struct ReceiveBuffer {
    decoder: FrameDecoder,
    small: BytesMut,
    large: BytesMut,
    /// The pending payload goes to `large`.
    is_large: bool,
    /// The last payload went to `large`.
    was_large: bool,
    /// `small` has room for [`WIDE_BUFFER`].
    is_wide: bool,
    /// Length of the last frame, header included, if it was of middling size, else 0.
    middling_len: usize,
    /// Frames since the last large or middling one.
    small_count: u32,
}

impl ReceiveBuffer {
    /// The next whole frame; `Ok(None)` means that more bytes are needed.
    pub(crate) fn next_frame(&mut self) -> Result<Option<Frame>, HeaderError> {
        if self.is_large {
            let frame = self.decoder.next_frame(&mut self.large)?;
            self.is_large = frame.is_none();
            return Ok(frame);
        }
        let Some(mut frame) = self.decoder.next_frame(&mut self.small)? else {
            if self.decoder.missing(&self.small) >= LARGE {
                self.begin_large();
            }
            return Ok(None);
        };
        let len = frame.payload.len();
        if len < if self.is_wide { COPY_BELOW_WIDE } else { COPY_BELOW } {
            // A slice would keep the whole buffer alive as long as its reader keeps it.
            frame.payload = Bytes::copy_from_slice(&frame.payload);
        }
        self.was_large = false;
        if (MIDDLING..=WIDE_BUFFER / 2).contains(&len) {
            self.middling_len = HEADER_LEN + len;
            self.small_count = 0;
        } else {
            self.middling_len = 0;
            self.count_small();
        }
        Ok(Some(frame))
    }

    /// Where the next bytes go.
    pub(crate) fn space(&mut self) -> Limit<&mut BytesMut> {
        if self.is_large {
            let missing = self.decoder.missing(&self.large);
            // The peer chose the length: memory grows as bytes arrive, not on its word.
            self.large.reserve(missing.min(self.large.len().max(GROWTH_STEP)));
            return (&mut self.large).limit(missing);
        }
        if self.small.is_empty() {
            self.begin_small();
        } else if self.room() < MIN_SPACE.max(self.decoder.missing(&self.small)) {
            self.small.reserve(SMALL_BUFFER.max(self.decoder.missing(&self.small)));
        }
        let limit = self.limit();
        (&mut self.small).limit(limit)
    }

    /// Makes room in the empty small buffer: from its front on if nobody holds what was in it.
    fn begin_small(&mut self) {
        let is_wide = self.middling_len > 0;
        let wanted = if is_wide { WIDE_BUFFER } else { SMALL_BUFFER };
        let missing = self.decoder.missing(&self.small);
        if !self.small.try_reclaim(wanted) && self.room() < MIN_SPACE.max(self.middling_len).max(missing) {
            self.small = BytesMut::with_capacity(wanted);
            self.is_wide = is_wide;
        }
    }

    /// How much to read at most, so that little has to be moved afterwards.
    fn limit(&self) -> usize {
        let missing = self.decoder.missing(&self.small);
        if self.middling_len > 0 && self.room() >= missing {
            // Up to the end of a frame, if the next are as long as the last was.
            let after = self.room() - missing;
            let pending = if self.decoder.pending().is_some() { missing } else { 0 };
            return (pending + after / self.middling_len * self.middling_len).max(missing);
        }
        // After a large payload, another is likely, which has a buffer of its own.
        let is_first = self.small.is_empty() && self.decoder.pending().is_none();
        if self.was_large && is_first { FIRST_READ } else { usize::MAX }
    }

    /// Bytes that the small buffer takes without being moved.
    fn room(&self) -> usize {
        self.small.capacity() - self.small.len()
    }

    /// Whether nothing of a further frame has arrived.
    pub(crate) fn is_between_frames(&self) -> bool {
        !self.is_large && self.small.is_empty() && self.decoder.pending().is_none()
    }

    fn begin_large(&mut self) {
        self.is_large = true;
        self.was_large = true;
        self.middling_len = 0;
        self.small_count = 0;
        self.large.clear();
        // Takes the last large payload's memory back if nobody holds it any more.
        let wanted = self.decoder.pending().map_or(0, |header| header.payload_len as usize);
        if !self.large.try_reclaim(wanted) {
            self.large = BytesMut::new();
        }
        self.large.extend_from_slice(&self.small);
        self.small.advance(self.small.len());
    }

    /// Gives the memory for larger payloads back when none has come for a while.
    fn count_small(&mut self) {
        self.small_count += 1;
        if self.small_count < KEEP_LARGE_FOR {
            return;
        }
        self.small_count = 0;
        self.large = BytesMut::new();
        if self.is_wide && self.small.is_empty() {
            self.small = BytesMut::new();
            self.is_wide = false;
        }
    }
}

/// What the buffer for small frames holds: a few hundred typical replies.
const SMALL_BUFFER: usize = 64 << 10;
/// What it holds while payloads are middling: some of them.
const WIDE_BUFFER: usize = 256 << 10;
/// Payloads from this length on are middling.
const MIDDLING: usize = 16 << 10;
/// Reading into less than this brings too few frames.
const MIN_SPACE: usize = 16 << 10;
/// A payload that lacks this much or more is read into memory of its own.
const LARGE: usize = 64 << 10;
/// Payloads below this are copied out of the shared buffer.
const COPY_BELOW: usize = 4 << 10;
const COPY_BELOW_WIDE: usize = MIDDLING;
/// What is read to learn whether another large payload comes.
const FIRST_READ: usize = 4 << 10;
/// Memory reserved ahead of a large payload's bytes, as long as fewer have arrived.
const GROWTH_STEP: usize = 1 << 20;
/// Small frames after which the large buffer is dropped.
const KEEP_LARGE_FOR: u32 = 4096;

#[cfg(test)]
mod tests {
    use super::*;
    use gunmetal_protocol::{Header, MessageType};

    fn wire(request_id: u64, payload: &[u8]) -> Vec<u8> {
        let header = Header {
            message_type: MessageType::Chunk,
            payload_len: u32::try_from(payload.len()).unwrap(),
            request_id,
        };
        [&header.encode()[..], payload].concat()
    }

    /// Feeds `bytes` in pieces of at most `step`, as a socket would.
    fn feed(receive: &mut ReceiveBuffer, mut bytes: &[u8], step: usize, frames: &mut Vec<(u64, Bytes)>) {
        while !bytes.is_empty() {
            let mut space = receive.space();
            let len = bytes.len().min(step).min(space.remaining_mut());
            assert!(len > 0, "no space for {} bytes", bytes.len());
            space.put_slice(&bytes[..len]);
            bytes = &bytes[len..];
            while let Some(frame) = receive.next_frame().unwrap() {
                frames.push((frame.header.request_id, frame.payload));
            }
        }
    }

    #[test]
    fn frames_of_every_size_come_out_whatever_the_reads() {
        let sizes = [0, 1, 4095, 4096, 70_000, 3, 3 << 20, 65_536, 10, 200_000];
        let payloads: Vec<Vec<u8>> =
            sizes.iter().map(|&len: &usize| vec![len.to_le_bytes()[0] | 1; len]).collect();
        let bytes: Vec<u8> = (1..).zip(&payloads).flat_map(|(id, payload)| wire(id, payload)).collect();
        for step in [7_919, 65_536, usize::MAX] {
            let (mut receive, mut frames) = (ReceiveBuffer::default(), Vec::new());
            feed(&mut receive, &bytes, step, &mut frames);
            assert!(receive.is_between_frames());
            let expected: Vec<(u64, Bytes)> = (1..).zip(payloads.iter().cloned().map(Bytes::from)).collect();
            assert!(frames == expected, "reads of {step} bytes");
        }
    }

    #[test]
    fn a_large_payloads_memory_is_used_again() {
        let (mut receive, mut frames) = (ReceiveBuffer::default(), Vec::new());
        let bytes = wire(1, &vec![1; 1 << 20]);
        feed(&mut receive, &bytes, 1 << 18, &mut frames);
        let first = frames.pop().unwrap().1.as_ptr();
        feed(&mut receive, &bytes, 1 << 18, &mut frames);
        assert_eq!(frames.pop().unwrap().1.as_ptr(), first);
    }

    #[test]
    fn middling_payloads_arrive_in_the_same_memory() {
        let (mut receive, mut frames) = (ReceiveBuffer::default(), Vec::new());
        let bytes: Vec<u8> = (1..=2).flat_map(|id| wire(id, &vec![1; 64 << 10])).collect();
        let mut pointers = (0..4).map(|_| {
            feed(&mut receive, &bytes, usize::MAX, &mut frames);
            frames.drain(..).next().unwrap().1.as_ptr()
        });
        // By then it is known what kind of payloads come.
        let second = pointers.nth(1).unwrap();
        assert!(pointers.all(|pointer| pointer == second));
    }

    #[test]
    fn a_claimed_length_reserves_little() {
        let mut receive = ReceiveBuffer::default();
        let header = Header { message_type: MessageType::Response, payload_len: 64 << 20, request_id: 1 };
        receive.space().put_slice(&header.encode());
        assert_eq!(receive.next_frame(), Ok(None));
        assert!(receive.space().get_ref().capacity() <= 2 << 20);
    }
}
