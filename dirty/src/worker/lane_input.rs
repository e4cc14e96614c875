//! The requests on a lane.

use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::net::UnixStream;

use bytes::{Bytes, BytesMut};
use gunmetal_protocol::{Frame, HEADER_LEN, Header, HeaderError};

/// Takes requests off a lane connection, each a part of the memory it was read into.
///
/// Small ones share a block, which is read into again once nobody keeps a part of it. A large one goes into memory of
/// its own, kept likewise: faulting in fresh pages costs more than reading does.
#[derive(Debug)]
pub(super) struct LaneInput {
    block: Bytes,
    /// What of the block was read and not taken yet.
    unread: Range<usize>,
    /// Memory of the last large request.
    kept: BytesMut,
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
        Self { block: Bytes::new(), unread: 0..0, kept: BytesMut::new() }
    }

    /// Begins with a new connection, of which `early` was read already.
    pub(super) fn reset(&mut self, early: BytesMut) {
        self.unread = 0..early.len();
        self.block = early.freeze();
    }

    /// A request that has arrived whole.
    pub(super) fn buffered(&mut self) -> Result<Option<Frame>, InputError> {
        let Some(header) = self.header()? else { return Ok(None) };
        let start = self.unread.start + HEADER_LEN;
        let end = start + header.payload_len as usize;
        if end > self.unread.end {
            return Ok(None);
        }
        self.unread.start = end;
        Ok(Some(Frame { header, payload: self.block.slice(start..end) }))
    }

    /// Waits for more; returns the rest of a large request, otherwise look at [`buffered`](Self::buffered).
    pub(super) fn read(&mut self, mut stream: &UnixStream) -> Result<Option<Frame>, InputError> {
        if let Some(header) = self.header()?
            && HEADER_LEN + header.payload_len as usize > BLOCK_LEN
        {
            let payload = self.read_large(stream, header.payload_len as usize)?;
            return Ok(Some(Frame { header, payload }));
        }
        let mut block = self.reclaim();
        let start = self.unread.len();
        let read = loop {
            match stream.read(&mut block[start..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        self.block = block.freeze();
        match read {
            Ok(0) => Err(InputError::Closed),
            Ok(count) => {
                self.unread = 0..start + count;
                Ok(None)
            }
            Err(error) => Err(InputError::Io(error)),
        }
    }

    /// Takes the memory of a request that was served, if nobody kept a part of it.
    pub(super) fn recycle(&mut self, payload: Bytes) {
        if (BLOCK_LEN..=MAX_KEPT_LEN).contains(&payload.len())
            && let Ok(memory) = payload.try_into_mut()
        {
            self.kept = memory;
        }
    }

    fn header(&self) -> Result<Option<Header>, InputError> {
        let bytes = self.block[self.unread.clone()].first_chunk();
        bytes.map(Header::decode).transpose().map_err(InputError::Header)
    }

    /// A block to read into, with what was not taken at its start. It is the last one, unless some of that is kept.
    fn reclaim(&mut self) -> BytesMut {
        let unread = std::mem::replace(&mut self.unread, 0..0);
        let block = match std::mem::take(&mut self.block).try_into_mut() {
            Ok(mut block) if block.len() == BLOCK_LEN => {
                block.copy_within(unread.clone(), 0);
                block
            }
            Ok(old) => copy_of(&old[unread.clone()]),
            Err(old) => copy_of(&old[unread.clone()]),
        };
        self.unread = 0..unread.len();
        block
    }

    fn read_large(&mut self, mut stream: &UnixStream, len: usize) -> Result<Bytes, InputError> {
        let mut payload = std::mem::take(&mut self.kept);
        if payload.capacity() >= len {
            payload.resize(len, 0);
        } else {
            drop(payload);
            payload = BytesMut::zeroed(len);
        }
        let start = &self.block[self.unread.start + HEADER_LEN..self.unread.end];
        payload[..start.len()].copy_from_slice(start);
        let read = stream.read_exact(&mut payload[start.len()..]);
        self.unread = 0..0;
        match read {
            Ok(()) => Ok(payload.freeze()),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(InputError::Closed),
            Err(error) => Err(InputError::Io(error)),
        }
    }
}

fn copy_of(unread: &[u8]) -> BytesMut {
    let mut block = BytesMut::zeroed(BLOCK_LEN);
    block[..unread.len()].copy_from_slice(unread);
    block
}

/// Read at once: a request that the router passes on whole, up to 64 KiB and what a call adds, and its neighbours. One
/// that needs more than this gets memory of its own.
const BLOCK_LEN: usize = 96 << 10;

/// The largest memory kept for the next request: an idle lane should not sit on the full 64 MiB.
const MAX_KEPT_LEN: usize = 32 << 20;

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::thread;

    use gunmetal_protocol::MessageType;

    use super::*;

    /// Sends one request for each length, in writes of `step` bytes; returns what the input made of them, all kept.
    fn taken(lens: &[usize], step: usize) -> Vec<Frame> {
        let (mut router, lane) = UnixStream::pair().unwrap();
        let wire: Vec<u8> = lens.iter().zip(1..).flat_map(|(&len, id)| request(id, len)).collect();
        let writer =
            thread::spawn(move || wire.chunks(step).for_each(|part| router.write_all(part).unwrap()));
        let mut input = LaneInput::new();
        let mut frames = Vec::new();
        while frames.len() < lens.len() {
            match input.buffered().unwrap() {
                Some(frame) => frames.push(frame),
                None => frames.extend(input.read(&lane).unwrap()),
            }
        }
        writer.join().unwrap();
        assert!(matches!(input.read(&lane), Err(InputError::Closed)));
        frames
    }

    fn request(request_id: u64, len: usize) -> Vec<u8> {
        let payload_len = u32::try_from(len).unwrap();
        let header = Header { message_type: MessageType::Request, payload_len, request_id };
        [header.encode().to_vec(), payload(request_id, len)].concat()
    }

    fn payload(request_id: u64, len: usize) -> Vec<u8> {
        (request_id..).map(|number| number.to_le_bytes()[0]).take(len).collect()
    }

    #[test]
    fn what_an_action_keeps_is_not_overwritten() {
        let edge = BLOCK_LEN - HEADER_LEN;
        let lens = [0, 5, edge - 1, 70_000, edge, 3, edge + 1, 0, 300_000, 9, 200_000, 100];
        for step in [7, 1000, 65_536, usize::MAX] {
            for (frame, (&len, id)) in taken(&lens, step).iter().zip(lens.iter().zip(1..)) {
                assert_eq!(frame.header.request_id, id);
                assert!(frame.payload == payload(id, len), "request {id} of {len} bytes, written by {step}");
            }
        }
    }

    #[test]
    fn memory_that_nobody_keeps_is_used_again() {
        let (mut router, lane) = UnixStream::pair().unwrap();
        let mut input = LaneInput::new();
        let mut small = Vec::new();
        for id in 1..4 {
            router.write_all(&request(id, 10)).unwrap();
            assert!(input.read(&lane).unwrap().is_none());
            small.push(input.buffered().unwrap().unwrap().payload.as_ptr());
        }
        assert!(small.iter().all(|&at| at == small[0]), "{small:?}");

        let (large_len, mut large) = (BLOCK_LEN + 1000, Vec::new());
        for id in 4..7 {
            let request = request(id, large_len);
            let mut router = router.try_clone().unwrap();
            let writer = thread::spawn(move || router.write_all(&request).unwrap());
            let frame = loop {
                match input.read(&lane).unwrap() {
                    Some(frame) => break frame,
                    None => assert!(input.buffered().unwrap().is_none()),
                }
            };
            writer.join().unwrap();
            large.push(frame.payload.as_ptr());
            input.recycle(frame.payload);
        }
        assert!(large.iter().all(|&at| at == large[0]), "{large:?}");
    }
}
