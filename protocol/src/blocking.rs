//! The blocking driver of [`FrameDecoder`].

use std::io::{ErrorKind, IoSliceMut, Read};

use bytes::{Bytes, BytesMut};

use crate::frame::{Frame, FrameDecoder};
use crate::frame_error::FrameError;
use crate::header::Header;

/// Reads whole frames from a blocking reader, such as a Unix socket.
///
/// Small frames share one read. The rest of a payload that is long is read straight into memory that
/// is kept: once the caller has dropped the payload, the next long one arrives in the same pages instead
/// of fresh ones, which would be faulted in one by one. The same read brings the beginning of what
/// follows.
///
/// ```
/// use gunmetal_protocol::{FrameReader, MessageType, Segments, encode_end};
///
/// let mut wire = Segments::new();
/// encode_end(7, &mut wire);
/// let wire = wire.into_contiguous();
///
/// let mut reader = FrameReader::new(&wire[..]);
/// let frame = reader.next_frame()?.expect("one frame was written");
/// assert_eq!((frame.header.message_type, frame.header.request_id), (MessageType::End, 7));
/// assert!(reader.next_frame()?.is_none());
/// # Ok::<(), gunmetal_protocol::FrameError>(())
/// ```
#[derive(Debug)]
pub struct FrameReader<R> {
    inner: R,
    decoder: FrameDecoder,
    /// Bytes that were read and not yet decoded.
    buf: BytesMut,
    /// Where a read of small frames lands.
    landing: Box<[u8]>,
    /// How much of it to fill. After a long payload little, since that is copied and another may follow.
    landing_len: usize,
    /// A large payload on its way.
    large: Option<Large>,
    /// The memory of the last large payload, once its other owners are gone.
    kept: Bytes,
}

/// A payload that is read straight into its memory.
#[derive(Debug)]
struct Large {
    header: Header,
    /// At least as long as the payload.
    memory: BytesMut,
    /// How much of it has arrived.
    filled: usize,
}

/// Bytes asked for in one read while frames are small.
pub const READ_LEN: usize = 64 << 10;

/// The rest of a payload is read into its own memory if it has this length.
const LARGE: usize = 16 << 10;

/// What is read of the next frames together with the rest of a payload.
const AHEAD_LEN: usize = 4 << 10;

/// Kept memory serves payloads down to this fraction of its size.
const MOST_SPARE: usize = 8;

impl<R: Read> FrameReader<R> {
    /// A reader of frames with payloads of up to [`MAX_PAYLOAD_LEN`](crate::MAX_PAYLOAD_LEN).
    pub fn new(inner: R) -> Self {
        Self::with_decoder(inner, FrameDecoder::new())
    }

    /// A reader with limits of its own.
    pub fn with_decoder(inner: R, decoder: FrameDecoder) -> Self {
        let landing = vec![0; READ_LEN].into_boxed_slice();
        Self {
            inner,
            decoder,
            buf: BytesMut::new(),
            landing,
            landing_len: READ_LEN,
            large: None,
            kept: Bytes::new(),
        }
    }

    /// The reader underneath.
    pub fn get_ref(&self) -> &R {
        &self.inner
    }

    /// The reader underneath, to change its settings or to write to it. What is read from it directly
    /// is lost to the frames.
    pub fn get_mut(&mut self) -> &mut R {
        &mut self.inner
    }

    /// Gives the memory back that is kept for the next large payload, as much as the last one took.
    pub fn shrink(&mut self) {
        self.kept = Bytes::new();
    }

    /// Whether the beginning of another frame, or all of it, was read already.
    pub fn has_buffered(&self) -> bool {
        !self.buf.is_empty() || self.large.is_some() || self.decoder.pending().is_some()
    }

    /// The next frame if all of it was read already; never touches the reader underneath.
    ///
    /// # Errors
    ///
    /// The bytes read are no frame.
    pub fn buffered_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        if self.large.is_some() {
            return Ok(None);
        }
        let frame = self.decoder.next_frame(&mut self.buf).map_err(FrameError::Header)?;
        if let Some(frame) = &frame {
            self.landing_len = if frame.payload.len() < LARGE { READ_LEN } else { AHEAD_LEN };
        }
        Ok(frame)
    }

    /// Waits for the next frame; `None` if the peer has closed the connection between two.
    ///
    /// # Errors
    ///
    /// The connection failed, was closed inside a frame, or its bytes are no frame. If the reader has a
    /// timeout and it passed, the call may be repeated: what has arrived of a frame is kept.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        loop {
            if let Some(frame) = self.buffered_frame()? {
                return Ok(Some(frame));
            }
            if let Some(large) = self.large.take().or_else(|| self.begin_large()) {
                return self.finish_large(large).map(Some);
            }
            let count = read(&mut self.inner, &mut self.landing[..self.landing_len])?;
            self.buf.extend_from_slice(&self.landing[..count]);
            if count == 0 {
                let clean = self.buf.is_empty() && self.decoder.pending().is_none();
                let missing = self.decoder.missing(&self.buf);
                return if clean { Ok(None) } else { Err(FrameError::Truncated { missing }) };
            }
        }
    }

    /// Takes the pending frame away from the decoder if the rest of it is large.
    fn begin_large(&mut self) -> Option<Large> {
        if self.decoder.missing(&self.buf) < LARGE {
            return None;
        }
        let header = self.decoder.take_pending()?;
        let len = header.payload_len as usize;
        let mut memory = self.memory_for(len);
        let filled = self.buf.len();
        memory[..filled].copy_from_slice(&self.buf);
        self.buf.clear();
        Some(Large { header, memory, filled })
    }

    /// Memory of at least `len` bytes, the kept one if it fits and no one else uses it.
    fn memory_for(&mut self, len: usize) -> BytesMut {
        // A payload pins all of its memory, so a much larger one waits for a payload of its size.
        if (len..=len * MOST_SPARE).contains(&self.kept.len()) {
            match std::mem::take(&mut self.kept).try_into_mut() {
                Ok(memory) => return memory,
                Err(in_use) => self.kept = in_use,
            }
        }
        // Zeroed memory costs the peer's claim nothing: the kernel gives pages as they are written.
        BytesMut::zeroed(len)
    }

    fn finish_large(&mut self, mut large: Large) -> Result<Frame, FrameError> {
        let len = large.header.payload_len as usize;
        self.landing_len = AHEAD_LEN;
        while large.filled < len {
            let missing = len - large.filled;
            let rest = &mut large.memory[large.filled..len];
            match read_both(&mut self.inner, rest, &mut self.landing[..AHEAD_LEN]) {
                Ok(0) => return Err(FrameError::Truncated { missing }),
                Ok(count) => {
                    large.filled += count.min(missing);
                    self.buf.extend_from_slice(&self.landing[..count.saturating_sub(missing)]);
                }
                Err(error) => {
                    self.large = Some(large);
                    return Err(error);
                }
            }
        }
        let memory = large.memory.freeze();
        let payload = memory.slice(..len);
        if memory.len() * MOST_SPARE >= self.kept.len() {
            self.kept = memory;
        }
        Ok(Frame { header: large.header, payload })
    }
}

fn read(reader: &mut impl Read, into: &mut [u8]) -> Result<usize, FrameError> {
    loop {
        match reader.read(into) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result.map_err(FrameError::Io),
        }
    }
}

/// Fills `first`, then `second`, as far as one read goes.
fn read_both(reader: &mut impl Read, first: &mut [u8], second: &mut [u8]) -> Result<usize, FrameError> {
    let mut slices = [IoSliceMut::new(first), IoSliceMut::new(second)];
    loop {
        match reader.read_vectored(&mut slices) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result.map_err(FrameError::Io),
        }
    }
}

#[cfg(test)]
mod tests;
