//! Whole frames off a receive buffer.

use bytes::{Buf, Bytes, BytesMut};

use crate::header::{HEADER_LEN, Header, HeaderError};
use crate::limits::MAX_PAYLOAD_LEN;

/// A header and the payload it announces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Type, length and request id.
    pub header: Header,
    /// The payload: a slice of the receive buffer, not a copy of it.
    pub payload: Bytes,
}

/// Splits whole frames off the front of a receive buffer; the one decoder of every driver.
///
/// A driver appends what it reads to a [`BytesMut`] and calls [`next_frame`](Self::next_frame) until
/// it returns `None`, then reads again; [`missing`](Self::missing) tells how much to ask for.
#[derive(Debug, Clone)]
pub struct FrameDecoder {
    /// Header already taken, its payload still arriving.
    pending: Option<Header>,
    /// Largest payload accepted, in bytes.
    max_payload: u32,
}

impl FrameDecoder {
    /// A decoder that accepts payloads of up to [`MAX_PAYLOAD_LEN`].
    #[must_use]
    pub fn new() -> Self {
        Self::with_max_payload(MAX_PAYLOAD_LEN)
    }

    /// A decoder that accepts payloads of up to `max_payload` bytes, or [`MAX_PAYLOAD_LEN`] if that is less.
    #[must_use]
    pub fn with_max_payload(max_payload: u32) -> Self {
        Self { pending: None, max_payload: max_payload.min(MAX_PAYLOAD_LEN) }
    }

    /// Takes the next frame from `buf`; `Ok(None)` means "bring more bytes".
    ///
    /// # Errors
    ///
    /// See [`Header::decode`]. What is left in `buf` then cannot be understood.
    #[inline]
    pub fn next_frame(&mut self, buf: &mut BytesMut) -> Result<Option<Frame>, HeaderError> {
        let Some(header) = self.next_header(buf)? else { return Ok(None) };
        let len = header.payload_len as usize;
        if buf.len() < len {
            self.pending = Some(header);
            return Ok(None);
        }
        Ok(Some(Frame { header, payload: buf.split_to(len).freeze() }))
    }

    /// Bytes that must still be appended to `buf` before [`next_frame`](Self::next_frame) can say more:
    /// the rest of the pending frame, or of the next header. 0 if it can say more now.
    ///
    /// The peer chose the length, so a driver reserves it in steps and not at once.
    #[must_use]
    pub fn missing(&self, buf: &BytesMut) -> usize {
        self.pending.map_or(HEADER_LEN, |header| header.payload_len as usize).saturating_sub(buf.len())
    }

    /// The header that was taken from the buffer and whose payload is still arriving.
    #[must_use]
    pub fn pending(&self) -> Option<Header> {
        self.pending
    }

    /// Takes the pending header away: the caller passes its payload on as it arrives, and calls
    /// [`next_frame`](Self::next_frame) again only when the buffer starts with the next header.
    pub fn take_pending(&mut self) -> Option<Header> {
        self.pending.take()
    }

    #[inline]
    fn next_header(&mut self, buf: &mut BytesMut) -> Result<Option<Header>, HeaderError> {
        if let Some(header) = self.pending.take() {
            return Ok(Some(header));
        }
        let Some(bytes) = buf.first_chunk() else { return Ok(None) };
        let header = Header::decode(bytes)?;
        let (len, max) = (header.payload_len, self.max_payload);
        if len > max {
            return Err(HeaderError::PayloadTooLarge { request_id: header.request_id, len, max });
        }
        buf.advance(HEADER_LEN);
        Ok(Some(header))
    }
}

impl Default for FrameDecoder {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests;
