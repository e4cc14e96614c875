use proptest::prelude::*;

use super::*;
use crate::MessageType;

fn frame(request_id: u64, payload: &[u8]) -> Frame {
    let payload_len = u32::try_from(payload.len()).unwrap();
    let header = Header { message_type: MessageType::Chunk, payload_len, request_id };
    Frame { header, payload: Bytes::copy_from_slice(payload) }
}

fn wire(frames: &[Frame]) -> Vec<u8> {
    frames.iter().flat_map(|frame| [&frame.header.encode()[..], &frame.payload].concat()).collect()
}

/// Feeds the parts one by one, checking what `missing` promises.
fn decode<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Vec<Frame> {
    let (mut decoder, mut buf, mut frames) = (FrameDecoder::new(), BytesMut::new(), Vec::new());
    for part in parts {
        buf.extend_from_slice(part);
        while let Some(frame) = decoder.next_frame(&mut buf).unwrap() {
            frames.push(frame);
        }
        assert!(decoder.missing(&buf) > 0, "it has just said that it needs more");
    }
    assert!(buf.is_empty() && decoder.pending().is_none());
    frames
}

/// However the kernel slices the stream, the frames are the same.
#[test]
fn frames_do_not_depend_on_read_boundaries() {
    let expected = [frame(1, b"\0"), frame(u64::MAX, b""), frame(3, b"\x11\0\0\0\x02hi")];
    let wire = wire(&expected);
    for cut in 0..=wire.len() {
        assert_eq!(decode([&wire[..cut], &wire[cut..]]), expected, "cut at byte {cut}");
    }
    assert_eq!(decode(wire.chunks(1)), expected);
}

proptest! {
    #[test]
    fn any_split_of_a_stream_gives_the_same_frames(
        payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..100), 0..8),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let expected: Vec<Frame> = payloads.iter().zip(0..).map(|(payload, id)| frame(id, payload)).collect();
        let wire = wire(&expected);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(wire.len() + 1)).collect();
        cuts.extend([0, wire.len()]);
        cuts.sort_unstable();
        let parts = cuts.windows(2).map(|range| &wire[range[0]..range[1]]);
        prop_assert_eq!(decode(parts), expected);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let (mut decoder, mut buf) = (FrameDecoder::new(), BytesMut::from(&bytes[..]));
        while let Ok(Some(_)) = decoder.next_frame(&mut buf) {}
    }
}

#[test]
fn missing_counts_to_the_end_of_the_header_and_then_of_the_payload() {
    let wire = wire(&[frame(1, &[0; 100])]);
    for (have, missing) in [(0, 16), (10, 6), (16, 100), (60, 56)] {
        let (mut decoder, mut buf) = (FrameDecoder::new(), BytesMut::from(&wire[..have]));
        assert_eq!(decoder.next_frame(&mut buf).unwrap(), None);
        assert_eq!(decoder.missing(&buf), missing, "with {have} bytes");
    }
}

#[test]
fn a_payload_is_a_slice_of_the_buffer() {
    let wire = wire(&[frame(1, &[7; 50]), frame(2, &[8; 50])]);
    let mut buf = BytesMut::from(&wire[..]);
    let range = buf.as_ptr_range();
    let mut decoder = FrameDecoder::new();
    for _ in 0..2 {
        let frame = decoder.next_frame(&mut buf).unwrap().unwrap();
        assert!(range.contains(&frame.payload.as_ptr()));
    }
}

#[test]
fn a_decoder_may_accept_less_than_the_protocol() {
    let wire = wire(&[frame(9, &[0; 100])]);
    let mut decoder = FrameDecoder::with_max_payload(99);
    let error = decoder.next_frame(&mut BytesMut::from(&wire[..])).unwrap_err();
    assert_eq!(error, HeaderError::PayloadTooLarge { request_id: 9, len: 100, max: 99 });
    assert!(FrameDecoder::with_max_payload(u32::MAX).max_payload == MAX_PAYLOAD_LEN);
}

#[test]
fn a_claim_of_64_mib_reserves_nothing() {
    let header = Header { message_type: MessageType::Request, payload_len: MAX_PAYLOAD_LEN, request_id: 1 };
    let mut buf = BytesMut::from(&[&header.encode()[..], b"abc"].concat()[..]);
    let before = buf.capacity();
    let mut decoder = FrameDecoder::new();
    assert_eq!(decoder.next_frame(&mut buf).unwrap(), None);
    assert!(buf.capacity() <= before);
    assert_eq!(decoder.missing(&buf), MAX_PAYLOAD_LEN as usize - 3);
}

#[test]
fn a_pending_header_can_be_taken_to_pass_its_payload_on() {
    let wire = wire(&[frame(1, &[7; 50]), frame(2, b"")]);
    let (mut decoder, mut buf) = (FrameDecoder::new(), BytesMut::from(&wire[..40]));
    assert_eq!(decoder.next_frame(&mut buf).unwrap(), None);
    let header = decoder.take_pending().unwrap();
    assert_eq!((header.request_id, buf.len()), (1, 24));
    // The caller passes 50 bytes on by itself; then the next header comes.
    let mut buf = BytesMut::from(&wire[16 + 50..]);
    assert_eq!(decoder.next_frame(&mut buf).unwrap(), Some(frame(2, b"")));
}
