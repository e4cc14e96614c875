use std::io::{self, Read};

use super::*;
use crate::{HEADER_LEN, MessageType, Segments, encode_chunk, encode_end};

/// Gives the wire in pieces of one size; before each, a timeout.
struct Slow<'a> {
    wire: &'a [u8],
    piece: usize,
    late: bool,
}

impl Read for Slow<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.late = !self.late;
        if self.late {
            return Err(ErrorKind::WouldBlock.into());
        }
        let count = self.piece.min(self.wire.len()).min(into.len());
        into[..count].copy_from_slice(&self.wire[..count]);
        self.wire = &self.wire[count..];
        Ok(count)
    }
}

/// A small frame, one of 300 kB, and an empty one.
fn wire() -> Bytes {
    let mut out = Segments::new();
    encode_chunk(1, &"small", &mut out).unwrap();
    encode_chunk(2, &Bytes::from(vec![7; 300_000]), &mut out).unwrap();
    encode_end(3, &mut out);
    out.into_contiguous()
}

#[test]
fn frames_do_not_depend_on_read_sizes_or_timeouts() {
    let wire = wire();
    let expected: Vec<Frame> = {
        let mut reader = FrameReader::new(&wire[..]);
        std::iter::from_fn(|| reader.next_frame().unwrap()).collect()
    };
    assert_eq!(expected.len(), 3);
    assert_eq!(
        expected[1].payload.len() + HEADER_LEN,
        wire.len() - expected[0].payload.len() - 2 * HEADER_LEN
    );
    for piece in [1, 7, 16, 1000, READ_LEN, READ_LEN + 1, wire.len()] {
        let mut reader = FrameReader::new(Slow { wire: &wire, piece, late: false });
        let mut got = Vec::new();
        loop {
            match reader.next_frame() {
                Ok(Some(frame)) => got.push(frame),
                Ok(None) => break,
                Err(FrameError::Io(error)) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
                Err(other) => panic!("{other}"),
            }
        }
        assert_eq!(got, expected, "pieces of {piece} bytes");
    }
}

#[test]
fn an_end_inside_a_frame_is_an_error() {
    let wire = wire();
    for (cut, missing) in
        [(5, 11), (HEADER_LEN + 1, 23), (wire.len() - HEADER_LEN - 9, 9), (wire.len() - 1, 1)]
    {
        let mut reader = FrameReader::new(&wire[..cut]);
        let error = std::iter::from_fn(|| reader.next_frame().transpose()).find_map(Result::err).unwrap();
        assert!(
            matches!(error, FrameError::Truncated { missing: found } if found == missing),
            "cut at {cut}: {error}"
        );
    }
}

#[test]
fn the_memory_of_a_large_payload_is_used_again() {
    let mut out = Segments::new();
    for id in 0..3 {
        encode_chunk(id, &Bytes::from(vec![7; 300_000]), &mut out).unwrap();
    }
    let wire = out.into_contiguous();
    let mut reader = FrameReader::new(&wire[..]);
    let first = reader.next_frame().unwrap().unwrap().payload.as_ptr();
    let second = reader.next_frame().unwrap().unwrap();
    assert_eq!(first, second.payload.as_ptr());
    let third = reader.next_frame().unwrap().unwrap();
    assert_ne!(third.payload.as_ptr(), second.payload.as_ptr(), "the second is still in use");
    assert_eq!(third.payload, second.payload);
}

#[test]
fn a_small_payload_does_not_pin_the_memory_of_a_large_one() {
    let mut out = Segments::new();
    for len in [2_000_000, 100_000, 2_000_000] {
        encode_chunk(1, &Bytes::from(vec![7; len]), &mut out).unwrap();
    }
    let wire = out.into_contiguous();
    let mut reader = FrameReader::new(&wire[..]);
    let large = reader.next_frame().unwrap().unwrap().payload.as_ptr_range();
    let small = reader.next_frame().unwrap().unwrap();
    assert!(!large.contains(&small.payload.as_ptr()));
    let again = reader.next_frame().unwrap().unwrap();
    assert_eq!(again.payload.as_ptr(), large.start, "a small one in between does not lose it");
    reader.shrink();
    assert!(again.payload.is_unique());
}

#[test]
fn frames_that_were_read_along_are_there_without_reading() {
    let mut out = Segments::new();
    encode_end(1, &mut out);
    encode_end(2, &mut out);
    let wire = out.into_contiguous();
    let mut reader = FrameReader::new(&wire[..]);
    assert!(!reader.has_buffered());
    assert!(reader.buffered_frame().unwrap().is_none());
    reader.next_frame().unwrap();
    assert!(reader.has_buffered());
    let frame = reader.buffered_frame().unwrap().unwrap();
    assert_eq!((frame.header.message_type, frame.header.request_id), (MessageType::End, 2));
    assert!(!reader.has_buffered());
}

#[test]
fn garbage_is_named() {
    let mut reader = FrameReader::new(&b"GET / HTTP/1.1\r\n\r\n"[..]);
    let FrameError::Header(error) = reader.next_frame().unwrap_err() else { panic!() };
    assert_eq!(error.to_string(), "frame starts with 0x47 0x45, expected the magic 0x47 0x44");
}
