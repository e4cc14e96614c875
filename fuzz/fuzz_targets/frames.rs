//! A stream of frames: both drivers see the same ones, however it is cut, and each header and message
//! that is understood is written back as it was.
#![no_main]

use bytes::BytesMut;
use gunmetal_protocol::{
    Bytes, ErrorPayload, Frame, FrameDecoder, FrameReader, HeaderError, ManageRef, MessageType, RequestRef,
    ScanRef, Segments, StashRef, decode_chunk, decode_result, encode_frame,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, &[u8])| {
    let (step, stream) = input;
    let whole = decode(stream, stream.len().max(1));
    assert_eq!(decode(stream, usize::from(step).max(1)), whole);

    let mut reader = FrameReader::new(stream);
    for frame in &whole.0 {
        assert_eq!(reader.next_frame().unwrap().as_ref(), Some(frame));
    }

    let mut out = Segments::new();
    for frame in whole.0 {
        let header = frame.header;
        encode_frame(header.message_type, header.request_id, frame.payload.clone(), &mut out).unwrap();
        read_message(header.message_type, frame.payload);
    }
    assert!(stream.starts_with(&out.into_contiguous()));
});

/// All frames of a stream that arrives in steps of one size, and what ended it.
fn decode(stream: &[u8], step: usize) -> (Vec<Frame>, Option<HeaderError>) {
    let (mut decoder, mut buf, mut frames) = (FrameDecoder::new(), BytesMut::new(), Vec::new());
    for part in stream.chunks(step) {
        buf.extend_from_slice(part);
        loop {
            match decoder.next_frame(&mut buf) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Some(error)),
            }
        }
        assert!(decoder.missing(&buf) > 0);
    }
    (frames, None)
}

fn read_message(message_type: MessageType, payload: Bytes) {
    match message_type {
        MessageType::Request => drop(RequestRef::decode(&payload)),
        MessageType::Response => drop(decode_result(payload)),
        MessageType::Chunk => drop(decode_chunk(payload)),
        MessageType::Error => drop(ErrorPayload::decode(payload)),
        MessageType::Stash => drop((StashRef::decode(&payload), ScanRef::decode(&payload))),
        MessageType::Manage => drop(ManageRef::decode(&payload)),
        MessageType::End | MessageType::Status | MessageType::Link | MessageType::Cancel => {}
    }
}
