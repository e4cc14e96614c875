//! A client that writes frames by hand, right ones and wrong ones.

use std::io::{ErrorKind, Write};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;

use gunmetal::protocol::{
    ErrorPayload, FrameError, FrameReader, MessageType, Segments, from_bytes, to_segments,
};
use gunmetal::{Bytes, Value, value};

use super::probe::APP;
use super::{PATIENCE, Service};

/// A connection to the dirty arbiter. Whoever waits for an answer on it in vain fails the test.
pub struct Raw {
    socket: UnixStream,
    frames: FrameReader<UnixStream>,
}

/// A frame that came back.
#[derive(Debug)]
pub struct Answer {
    pub message_type: MessageType,
    pub id: u64,
    /// `None` if the frame has no payload.
    pub payload: Option<Value>,
}

impl Raw {
    pub fn connect(service: &Service) -> Raw {
        Raw::of(UnixStream::connect(service.socket()).unwrap())
    }

    pub fn of(socket: UnixStream) -> Raw {
        socket.set_nonblocking(false).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_write_timeout(Some(PATIENCE)).unwrap();
        Raw { frames: FrameReader::new(socket.try_clone().unwrap()), socket }
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).unwrap();
    }

    /// Calls an action of the probe without waiting.
    pub fn call(&mut self, id: u64, action: &str, args: Value) {
        self.send(&request(id, action, args));
    }

    /// The next frame; `None` if the arbiter has closed the connection.
    pub fn receive(&mut self) -> Option<Answer> {
        let frame = self.frames.next_frame().unwrap()?;
        let (header, payload) = (frame.header, frame.payload);
        let payload = (!payload.is_empty()).then(|| from_bytes(payload).unwrap());
        Some(Answer { message_type: header.message_type, id: header.request_id, payload })
    }

    /// The result in the next frame, which answers request `id`.
    pub fn result(&mut self, id: u64) -> Value {
        let answer = self.receive().expect("the connection is closed");
        assert_eq!((answer.message_type, answer.id), (MessageType::Response, id), "{answer:?}");
        answer.payload.unwrap().get("result").unwrap().clone()
    }

    /// The error in the next frame, which answers request `id`.
    pub fn error(&mut self, id: u64) -> ErrorPayload {
        let answer = self.receive().expect("the connection is closed");
        assert_eq!((answer.message_type, answer.id), (MessageType::Error, id), "{answer:?}");
        answer.error()
    }

    /// Whether something has come back that [`receive`](Self::receive) has not taken yet.
    pub fn has_answer(&self) -> bool {
        use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
        let mut sockets = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
        poll(&mut sockets, PollTimeout::ZERO).unwrap() > 0
    }

    /// Waits for the end of the connection, which no answer comes before.
    pub fn ends(mut self) -> bool {
        match self.frames.next_frame() {
            Ok(frame) => frame.is_none(),
            // Something that it had been sent was never read.
            Err(FrameError::Io(error)) => error.kind() == ErrorKind::ConnectionReset,
            Err(error) => panic!("{error}"),
        }
    }

    /// Waits until the arbiter has read everything sent so far, which no other answer of a busy one tells.
    pub fn is_heard(&mut self) {
        self.send(&header(MessageType::Status as u8, HEARD, 0));
        self.result(HEARD);
    }
}

impl Answer {
    pub fn error(&self) -> ErrorPayload {
        ErrorPayload::decode(encoded(self.payload.as_ref().unwrap())).unwrap()
    }
}

/// A header with these fields, allowed or not.
pub fn header(message_type: u8, id: u64, payload_len: u32) -> Vec<u8> {
    let mut bytes = b"GD\x01".to_vec();
    bytes.push(message_type);
    bytes.extend(payload_len.to_be_bytes());
    bytes.extend(id.to_be_bytes());
    bytes
}

/// A whole frame.
pub fn frame(message_type: u8, id: u64, payload: &[u8]) -> Vec<u8> {
    let mut bytes = header(message_type, id, u32::try_from(payload.len()).unwrap());
    bytes.extend_from_slice(payload);
    bytes
}

/// A whole frame with a dictionary in it.
pub fn frame_of(message_type: MessageType, id: u64, payload: &Value) -> Vec<u8> {
    frame(message_type as u8, id, &encoded(payload))
}

/// A call of an action of the probe.
pub fn request(id: u64, action: &str, args: Value) -> Vec<u8> {
    let payload = value!({"app_path": APP, "action": action, "args": args, "kwargs": {}});
    frame_of(MessageType::Request, id, &payload)
}

fn encoded(value: &Value) -> Bytes {
    let mut bytes = Segments::new();
    to_segments(value, &mut bytes).unwrap();
    bytes.into_contiguous()
}

/// The id of a question that only asks for an answer.
const HEARD: u64 = 0x4845_4152_4421;
