//! The `tokio_util` driver of [`FrameDecoder`].

use bytes::{Buf, BytesMut};
use tokio_util::codec::{Decoder, Encoder};

use crate::frame::{Frame, FrameDecoder};
use crate::frame_error::FrameError;
use crate::message::encode_frame;
use crate::segments::Segments;

/// Frames for `tokio_util::codec::Framed`: takes [`Frame`]s in, and sends [`Frame`]s or [`Segments`]
/// that hold whole frames.
///
/// `Framed` gathers what it sends in one buffer, so a large payload is copied into it. Where that
/// matters, write [`Segments`] to the socket by `write_vectored` instead.
#[derive(Debug, Clone, Default)]
pub struct FrameCodec {
    decoder: FrameDecoder,
}

/// The peer chose a payload's length: memory for it grows by this many bytes as they arrive.
const GROWTH_STEP: usize = 256 << 10;

impl FrameCodec {
    /// A codec for payloads of up to [`MAX_PAYLOAD_LEN`](crate::MAX_PAYLOAD_LEN).
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A codec with limits of its own.
    #[must_use]
    pub fn with_decoder(decoder: FrameDecoder) -> Self {
        Self { decoder }
    }
}

impl Decoder for FrameCodec {
    type Item = Frame;
    type Error = FrameError;

    fn decode(&mut self, src: &mut BytesMut) -> Result<Option<Frame>, FrameError> {
        let frame = self.decoder.next_frame(src).map_err(FrameError::Header)?;
        if frame.is_none() {
            src.reserve(self.decoder.missing(src).min(GROWTH_STEP));
        }
        Ok(frame)
    }

    fn decode_eof(&mut self, src: &mut BytesMut) -> Result<Option<Frame>, FrameError> {
        match self.decode(src)? {
            None if !src.is_empty() || self.decoder.pending().is_some() => {
                Err(FrameError::Truncated { missing: self.decoder.missing(src) })
            }
            frame => Ok(frame),
        }
    }
}

impl Encoder<Frame> for FrameCodec {
    type Error = FrameError;

    fn encode(&mut self, frame: Frame, dst: &mut BytesMut) -> Result<(), FrameError> {
        let mut out = Segments::new();
        let header = frame.header;
        encode_frame(header.message_type, header.request_id, frame.payload, &mut out)
            .map_err(FrameError::Encode)?;
        self.encode(out, dst)
    }
}

impl Encoder<Segments> for FrameCodec {
    type Error = FrameError;

    fn encode(&mut self, mut frames: Segments, dst: &mut BytesMut) -> Result<(), FrameError> {
        dst.reserve(frames.len());
        while frames.has_remaining() {
            let chunk = frames.chunk();
            let len = chunk.len();
            dst.extend_from_slice(chunk);
            frames.advance(len);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::{Header, MessageType};

    fn frame(request_id: u64, payload: &'static [u8]) -> Frame {
        let payload_len = u32::try_from(payload.len()).unwrap();
        let header = Header { message_type: MessageType::Chunk, payload_len, request_id };
        Frame { header, payload: Bytes::from_static(payload) }
    }

    #[test]
    fn frames_come_back() {
        let (mut codec, mut wire) = (FrameCodec::new(), BytesMut::new());
        let frames = [frame(1, b"\0"), frame(u64::MAX, b""), frame(3, &[7; 10_000])];
        for frame in frames.clone() {
            codec.encode(frame, &mut wire).unwrap();
        }
        for frame in frames {
            assert_eq!(codec.decode_eof(&mut wire).unwrap(), Some(frame));
        }
        assert_eq!(codec.decode_eof(&mut wire).unwrap(), None);
    }

    #[test]
    fn an_end_inside_a_frame_is_an_error() {
        let (mut codec, mut wire) = (FrameCodec::new(), BytesMut::new());
        codec.encode(frame(1, b"\0"), &mut wire).unwrap();
        wire.truncate(16);
        assert!(matches!(codec.decode_eof(&mut wire), Err(FrameError::Truncated { missing: 1 })));
    }

    #[test]
    fn memory_grows_with_what_arrives_and_not_with_what_is_claimed() {
        let (mut codec, mut wire) = (FrameCodec::new(), BytesMut::new());
        let header = Header { message_type: MessageType::Request, payload_len: 64 << 20, request_id: 1 };
        wire.extend_from_slice(&header.encode());
        assert_eq!(codec.decode(&mut wire).unwrap(), None);
        assert!(wire.capacity() <= 2 * GROWTH_STEP, "{} bytes", wire.capacity());
    }
}
