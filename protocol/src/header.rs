//! The sixteen bytes before every payload.

use crate::limits::MAX_PAYLOAD_LEN;

/// Length of an encoded [`Header`], in bytes.
pub const HEADER_LEN: usize = 16;

/// The first two bytes of every frame, "GD".
pub const MAGIC: [u8; 2] = *b"GD";

/// The protocol version that this crate speaks.
pub const VERSION: u8 = 1;

/// What a frame is about; the fourth byte of its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum MessageType {
    /// A call of an action: `{app_path, action, args, kwargs}`.
    Request = 0x01,
    /// The one result of a call: `{result}`.
    Response = 0x02,
    /// A call failed: `{error: {error_type, message, details}}`.
    Error = 0x03,
    /// One item of a streamed result: `{data}`.
    Chunk = 0x04,
    /// A streamed result is complete; no payload.
    End = 0x05,
    /// An operation on a shared table: `{op, table, key?, value?, pattern?}`.
    Stash = 0x10,
    /// Asks for the state of arbiter and workers; no payload.
    Status = 0x11,
    /// Adds or removes workers: `{op, count}`.
    Manage = 0x12,
    /// Between the processes of one service, never from or to a client. Not known to gunicorn.
    Link = 0x40,
    /// Extension: the caller no longer wants the call with this request id. Not known to gunicorn.
    Cancel = 0x41,
}

impl TryFrom<u8> for MessageType {
    /// The byte that is no message type.
    type Error = u8;

    fn try_from(byte: u8) -> Result<Self, u8> {
        Ok(match byte {
            0x01 => Self::Request,
            0x02 => Self::Response,
            0x03 => Self::Error,
            0x04 => Self::Chunk,
            0x05 => Self::End,
            0x10 => Self::Stash,
            0x11 => Self::Status,
            0x12 => Self::Manage,
            0x40 => Self::Link,
            0x41 => Self::Cancel,
            other => return Err(other),
        })
    }
}

/// What stands before a payload: its type, its length and the call that it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Header {
    /// What the payload is.
    pub message_type: MessageType,
    /// Payload bytes that follow the header, at most [`MAX_PAYLOAD_LEN`].
    pub payload_len: u32,
    /// Names the call on this connection; replies repeat it.
    pub request_id: u64,
}

impl Header {
    /// The header's bytes, as they go over the wire.
    #[must_use]
    pub fn encode(self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        bytes[..2].copy_from_slice(&MAGIC);
        bytes[2] = VERSION;
        bytes[3] = self.message_type as u8;
        bytes[4..8].copy_from_slice(&self.payload_len.to_be_bytes());
        bytes[8..].copy_from_slice(&self.request_id.to_be_bytes());
        bytes
    }

    /// Reads a header and checks each of its fields.
    ///
    /// # Errors
    ///
    /// A wrong magic, version, type, or a length over [`MAX_PAYLOAD_LEN`]; the error says what was
    /// found. The stream cannot be followed after it, so the connection has to end.
    #[inline]
    pub fn decode(bytes: &[u8; HEADER_LEN]) -> Result<Self, HeaderError> {
        let &[m0, m1, version, message_type, l0, l1, l2, l3, ref id @ ..] = bytes;
        if [m0, m1] != MAGIC {
            return Err(HeaderError::Magic { found: [m0, m1] });
        }
        if version != VERSION {
            return Err(HeaderError::Version { found: version });
        }
        let request_id = u64::from_be_bytes(*id);
        let message_type = MessageType::try_from(message_type)
            .map_err(|found| HeaderError::MessageType { request_id, found })?;
        let payload_len = u32::from_be_bytes([l0, l1, l2, l3]);
        if payload_len > MAX_PAYLOAD_LEN {
            return Err(HeaderError::PayloadTooLarge { request_id, len: payload_len, max: MAX_PAYLOAD_LEN });
        }
        Ok(Self { message_type, payload_len, request_id })
    }
}

/// The bytes at a frame's start are no header of ours; the connection has to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// The first two bytes are not "GD".
    #[error("frame starts with {:#04x} {:#04x}, expected the magic {:#04x} {:#04x}", found[0], found[1], MAGIC[0], MAGIC[1])]
    Magic {
        /// The two bytes that were there.
        found: [u8; 2],
    },
    /// The third byte is not a version that this crate speaks.
    #[error("protocol version {found} is not supported, expected {VERSION}")]
    Version {
        /// The version that was asked for.
        found: u8,
    },
    /// The fourth byte is no [`MessageType`].
    #[error(
        "request {request_id}: message type {found:#04x} is unknown, expected 0x01 to 0x05 or 0x10 to 0x12"
    )]
    MessageType {
        /// The header's request id.
        request_id: u64,
        /// The byte that was there.
        found: u8,
    },
    /// The payload is longer than this side accepts.
    #[error("request {request_id}: payload of {len} bytes exceeds the limit of {max} bytes")]
    PayloadTooLarge {
        /// The header's request id.
        request_id: u64,
        /// The length that the header claims, in bytes.
        len: u32,
        /// The longest payload accepted, in bytes.
        max: u32,
    },
}

impl HeaderError {
    /// The request that the broken header names, so that an ERROR can answer it; 0 if it cannot be told.
    #[must_use]
    pub fn request_id(&self) -> u64 {
        match *self {
            Self::Magic { .. } | Self::Version { .. } => 0,
            Self::MessageType { request_id, .. } | Self::PayloadTooLarge { request_id, .. } => request_id,
        }
    }
}

#[cfg(test)]
mod tests;
