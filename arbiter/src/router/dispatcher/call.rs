//! One call: who waits for it, what it is for, and its bytes.

use std::time::Instant;

use gunmetal_protocol::HEADER_LEN;

/// A client connection, as the driver numbers them. A number may be used again once
/// [`client_gone`](super::Dispatcher::client_gone) was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ClientId(pub(crate) usize);

/// Where an answer goes: a client connection, and the request id the client chose there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Caller {
    pub(crate) client: ClientId,
    pub(crate) request_id: u64,
}

/// A call that waits in a queue or has been handed to a lane.
#[derive(Debug)]
pub(crate) struct Call {
    /// `None` once nobody waits for the answer: cancelled, timed out, client gone.
    pub(crate) caller: Option<Caller>,
    /// The app, by its place in the dispatcher's list.
    pub(crate) app: usize,
    /// The action, by its place among the app's measured actions; `None` if it is not measured.
    pub(crate) action: Option<usize>,
    /// When the request came in.
    pub(crate) arrived: Instant,
    /// What to send to the lane.
    pub(crate) body: Body,
}

impl Call {
    /// How many payload bytes the call makes the router hold.
    pub(crate) fn held_len(&self) -> usize {
        match &self.body {
            Body::Kept(payload) => payload.len(),
            Body::Passed { .. } | Body::Upload { .. } => 0,
        }
    }

    /// Length of its frame in bytes.
    pub(crate) fn frame_len(&self) -> u64 {
        let payload_len = match &self.body {
            Body::Kept(payload) => payload.len(),
            Body::Passed { len } => *len,
            Body::Upload { len } => *len as usize,
        };
        (HEADER_LEN + payload_len) as u64
    }
}

/// Where the payload of a call is.
#[derive(Debug)]
pub(crate) enum Body {
    /// Here. Kept until the call is answered, since the calls of a lane may be taken back when there are several.
    Kept(Box<[u8]>),
    /// It went from the client's read straight to an idle lane, where nothing waits behind it. It can't be sent twice,
    /// and never has to be.
    Passed {
        /// Its length in bytes.
        len: usize,
    },
    /// Mostly still at the client, because it is large: passed on as it arrives, once there is a lane.
    Upload {
        /// Its length in bytes.
        len: u32,
    },
}

/// A request as it comes in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request<'a> {
    pub(crate) caller: Caller,
    pub(crate) app_path: &'a str,
    /// Names the measured service time; nothing else depends on it.
    pub(crate) action: Option<&'a str>,
    pub(crate) payload: Payload<'a>,
}

/// The payload of a [`Request`].
#[derive(Debug, Clone, Copy)]
pub(crate) enum Payload<'a> {
    /// All of it.
    Whole(&'a [u8]),
    /// So many bytes, to be passed on as they arrive.
    Upload {
        /// Length in bytes.
        len: u32,
    },
}
