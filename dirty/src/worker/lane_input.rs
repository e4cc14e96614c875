//! The requests on a lane.

use std::io::{self, Read};
use std::os::unix::net::UnixStream;

use bytes::{Bytes, BytesMut};
use gunmetal_protocol::{Frame, FrameDecoder, HeaderError};

/// Takes requests off a lane connection.
///
/// Small ones share a receive buffer. A large one goes into memory of its own that is kept for the next: faulting in
/// fresh pages costs more than reading does.
#[derive(Debug)]
pub(super) struct LaneInput {
    decoder: FrameDecoder,
    /// What was read and not taken yet.
    buf: BytesMut,
    /// Where reads go first; lives as long as the thread, so that it is cleared once.
    scratch: Box<[u8]>,
    /// Memory of the last large request.
    kept: Vec<u8>,
}

/// Why no request can be read.
#[derive(Debug)]
pub(super) enum InputError {
    /// The router has closed the lane, or the worker drains.
    Closed,
    /// The connection failed.
    Io(io::Error),
    /// What came is no frame.
    Header(HeaderError),
}

impl LaneInput {
    pub(super) fn new() -> Self {
        Self {
            decoder: FrameDecoder::new(),
            buf: BytesMut::new(),
            scratch: vec![0; SCRATCH_LEN].into(),
            kept: Vec::new(),
        }
    }

    /// Begins with a new connection, of which `early` was read already.
    pub(super) fn reset(&mut self, early: BytesMut) {
        self.decoder = FrameDecoder::new();
        self.buf = early;
    }

    /// A request that has arrived whole.
    pub(super) fn buffered(&mut self) -> Result<Option<Frame>, InputError> {
        self.decoder.next_frame(&mut self.buf).map_err(InputError::Header)
    }

    /// Waits for more; returns the rest of a large request, otherwise look at [`buffered`](Self::buffered).
    pub(super) fn read(&mut self, mut stream: &UnixStream) -> Result<Option<Frame>, InputError> {
        let missing = self.decoder.missing(&self.buf);
        if missing > SCRATCH_LEN
            && let Some(header) = self.decoder.take_pending()
        {
            return self
                .read_large(stream, header.payload_len as usize)
                .map(|payload| Some(Frame { header, payload }));
        }
        let count = loop {
            match stream.read(&mut self.scratch) {
                Ok(0) => return Err(InputError::Closed),
                Ok(count) => break count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(InputError::Io(error)),
            }
        };
        if self.buf.is_empty() {
            // One allocation for what comes in one read, given back if no request of it is kept.
            self.buf.reserve(count.max(SCRATCH_LEN));
        }
        self.buf.extend_from_slice(&self.scratch[..count]);
        Ok(None)
    }

    /// Takes the memory of a request that was served, if nobody kept a part of it.
    pub(super) fn recycle(&mut self, mut payload: Bytes) {
        let worth_it = (SCRATCH_LEN..=MAX_KEPT_LEN).contains(&payload.len());
        if worth_it && payload.is_unique() {
            // Cleared first: only the memory is wanted, not its content.
            payload.clear();
            self.kept = payload.into();
        }
    }

    fn read_large(&mut self, stream: &UnixStream, len: usize) -> Result<Bytes, InputError> {
        let mut payload = std::mem::take(&mut self.kept);
        payload.clear();
        payload.reserve(len);
        payload.extend_from_slice(&self.buf);
        self.buf.clear();
        let missing = len - payload.len();
        stream.take(missing as u64).read_to_end(&mut payload).map_err(InputError::Io)?;
        if payload.len() < len {
            return Err(InputError::Closed);
        }
        Ok(payload.into())
    }
}

/// Read at once; a request that needs more than this gets memory of its own.
const SCRATCH_LEN: usize = 64 << 10;

/// The largest memory kept for the next request: an idle lane should not sit on the full 64 MiB.
const MAX_KEPT_LEN: usize = 32 << 20;
