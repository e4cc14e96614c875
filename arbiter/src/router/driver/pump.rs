//! Passes a large payload on from one connection to another as it arrives.

use std::io::{self, IoSlice};

use gunmetal_protocol::HEADER_LEN;

use super::Shared;
use super::input::Input;
use super::outbox::Exclusive;

/// A frame on its way through the router. Dropped half-way, it closes the connection it goes to.
pub(super) struct Pump {
    to: Exclusive,
    /// Bytes that were read and not yet written.
    unsent: Vec<u8>,
    /// Payload bytes still to be read.
    unread: usize,
}

/// Why a frame could not be passed on to its end.
#[derive(Debug)]
pub(super) enum Broken {
    /// The connection it came from ended.
    Source(io::Error),
    /// The connection it went to is closed; so many bytes of the payload are still to be read.
    Sink { unread: usize },
}

/// What the pump is doing, for the time limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// More of the payload arrived: [`PROGRESS_LEN`] bytes, so that a trickle is none.
    Read,
    /// The other side doesn't take more for now.
    Blocked,
    /// It does again.
    Unblocked,
}

impl Pump {
    /// Begins the frame with what has arrived of it.
    pub(super) fn start(
        mut to: Exclusive,
        header: &[u8; HEADER_LEN],
        payload_start: &[u8],
        payload_len: usize,
    ) -> Pump {
        to.begin_frame();
        let written = to.try_write(&[IoSlice::new(header), IoSlice::new(payload_start)]);
        // An error will come again in `run`, where it is looked at.
        let written = written.unwrap_or(0);
        let mut unsent = Vec::new();
        unsent.extend_from_slice(&header[written.min(HEADER_LEN)..]);
        unsent.extend_from_slice(&payload_start[written.saturating_sub(HEADER_LEN)..]);
        Pump { to, unsent, unread: payload_len - payload_start.len() }
    }

    /// Passes on the rest.
    pub(super) async fn run(
        mut self,
        shared: &Shared,
        from: &mut Input,
        mut progress: impl FnMut(Progress),
    ) -> Result<(), Broken> {
        let unsent = std::mem::take(&mut self.unsent);
        self.write(&unsent, &mut progress).await?;
        let mut buffer = shared.take_buffer();
        let result = self.pass_on(&mut buffer, from, &mut progress).await;
        shared.put_buffer(buffer);
        result?;
        self.to.end_frame();
        Ok(())
    }

    async fn pass_on(
        &mut self,
        buffer: &mut [u8],
        from: &mut Input,
        progress: &mut impl FnMut(Progress),
    ) -> Result<(), Broken> {
        let mut unreported = 0;
        while self.unread > 0 {
            let wanted = self.unread.min(buffer.len());
            let read = tokio::select! {
                biased;
                read = from.read_some(&mut buffer[..wanted]) => read.map_err(Broken::Source)?,
                () = self.to.closed() => return Err(Broken::Sink { unread: self.unread }),
            };
            self.unread -= read;
            unreported += read;
            if unreported >= PROGRESS_LEN {
                unreported = 0;
                progress(Progress::Read);
            }
            self.write(&buffer[..read], progress).await?;
        }
        Ok(())
    }

    async fn write(&self, mut bytes: &[u8], progress: &mut impl FnMut(Progress)) -> Result<(), Broken> {
        let broken = |_| Broken::Sink { unread: self.unread };
        while !bytes.is_empty() {
            let written = self.to.try_write(&[IoSlice::new(bytes)]).map_err(broken)?;
            bytes = &bytes[written..];
            if written == 0 {
                progress(Progress::Blocked);
                self.to.writable().await.map_err(broken)?;
                progress(Progress::Unblocked);
            }
        }
        Ok(())
    }
}

/// How much of a payload counts as progress.
const PROGRESS_LEN: usize = 64 << 10;
