//! The write side of a connection: small frames are merged and leave with one write per turn, large ones pass through.
//!
//! Whoever has something to send appends it; [`flush`](Outbox::flush) writes what it can at once, and a task sends the
//! rest when the socket has room again. A payload that is passed on as it arrives takes the socket for itself
//! ([`Exclusive`]); frames of others pile up behind it.

mod waiting;

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd};
use std::rc::Rc;

use bytes::Bytes;
use gunmetal_protocol::HEADER_LEN;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{Shutdown, shutdown};
use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::Notify;
use waiting::Waiting;

/// See the [module](self). Of one thread: nothing here is held across an await but the [`Exclusive`].
#[derive(Debug)]
pub(super) struct Outbox {
    socket: OwnedWriteHalf,
    waiting: RefCell<Waiting>,
    /// Somebody writes more than what is waiting, or waits for room to write that.
    taken: Cell<bool>,
    released: Notify,
    /// Less is waiting than before.
    drained: Notify,
    closed: Cell<bool>,
    closing: Notify,
    /// Bytes written so far.
    written: Cell<u64>,
    /// It is in the list of those to be flushed at the end of the turn.
    pub(super) listed: Cell<bool>,
}

impl Outbox {
    pub(super) fn new(socket: OwnedWriteHalf) -> Rc<Outbox> {
        Rc::new(Outbox {
            socket,
            waiting: RefCell::default(),
            taken: Cell::new(false),
            released: Notify::new(),
            drained: Notify::new(),
            closed: Cell::new(false),
            closing: Notify::new(),
            written: Cell::new(0),
            listed: Cell::new(false),
        })
    }

    /// Appends a frame. A large one is written at once, if the socket is free, so that it need not be copied.
    pub(super) fn send(self: &Rc<Self>, header: &[u8; HEADER_LEN], payload: &[u8]) {
        if self.closed.get() {
            return;
        }
        if payload.len() < COPIED_LEN || self.taken.get() {
            let mut waiting = self.waiting.borrow_mut();
            waiting.put(header);
            waiting.put(payload);
            return;
        }
        self.send_through(header, payload);
    }

    /// Appends bytes that are whole frames.
    pub(super) fn send_encoded(&self, frames: &[u8]) {
        if !self.closed.get() {
            self.waiting.borrow_mut().put(frames);
        }
    }

    /// Appends the end of a frame, which is shared and not copied.
    pub(super) fn link(&self, bytes: Bytes) {
        if !self.closed.get() {
            self.waiting.borrow_mut().link(bytes);
        }
    }

    /// Writes what waits, as far as the socket takes it; the rest follows by itself.
    pub(super) fn flush(self: &Rc<Self>) {
        if self.taken.get() || self.closed.get() {
            return;
        }
        match self.write_waiting() {
            Ok(true) => {}
            Ok(false) => {
                let exclusive = self.take();
                tokio::task::spawn_local(async move {
                    // An error closes the outbox; the connection's reader sees its end.
                    let _ = exclusive.finish().await;
                });
            }
            Err(_) => self.close(),
        }
    }

    /// How many bytes wait.
    pub(super) fn waiting_len(&self) -> usize {
        self.waiting.borrow().len()
    }

    /// How many bytes have been written.
    pub(super) fn written(&self) -> u64 {
        self.written.get()
    }

    /// Whether so much is waiting that nothing more should be sent if it can be helped.
    pub(super) fn is_full(&self) -> bool {
        self.waiting_len() > HIGH_WATER
    }

    /// Waits until there is room, or the connection is closed.
    pub(super) async fn room(&self) {
        while self.is_full() && !self.closed.get() {
            self.drained.notified().await;
        }
    }

    /// Ends the connection in both directions, now. What waits is lost.
    pub(super) fn close(&self) {
        if !self.closed.replace(true) {
            *self.waiting.borrow_mut() = Waiting::default();
            // Our own reader sees the end of the connection, and so does the peer.
            let _ = shutdown(self.socket.as_ref().as_raw_fd(), Shutdown::Both);
            self.closing.notify_waiters();
            self.drained.notify_waiters();
            self.released.notify_waiters();
        }
    }

    /// Whether the connection is closed from this side.
    pub(super) fn is_closed(&self) -> bool {
        self.closed.get()
    }

    /// Whether nobody will read what is sent. A peer that has closed its end, which a reader that is busy with something
    /// else does not see, closes the outbox; one that has only sent its last request does not.
    pub(super) fn is_abandoned(&self) -> bool {
        if !self.closed.get() && is_hung_up(self.socket.as_ref()) {
            self.close();
        }
        self.closed.get()
    }

    /// Waits until the connection is closed from this side.
    pub(super) async fn closed(&self) {
        while !self.closed.get() {
            self.closing.notified().await;
        }
    }

    /// Waits until everything has been written, or the connection is closed.
    pub(super) async fn emptied(&self) {
        while (self.waiting_len() > 0 || self.taken.get()) && !self.closed.get() {
            self.drained.notified().await;
        }
    }

    /// Takes the socket if nobody has it and nothing waits.
    pub(super) fn try_exclusive(self: &Rc<Self>) -> Option<Exclusive> {
        let free = !self.taken.get() && !self.closed.get() && self.waiting_len() == 0;
        free.then(|| self.take())
    }

    /// Takes the socket for a frame that is written piece by piece, once what waits has been written.
    ///
    /// # Errors
    ///
    /// If the connection is, or gets, closed.
    pub(super) async fn exclusive(self: &Rc<Self>) -> io::Result<Exclusive> {
        while self.taken.get() && !self.closed.get() {
            self.released.notified().await;
        }
        if self.closed.get() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let exclusive = self.take();
        exclusive.write_all_waiting().await?;
        Ok(exclusive)
    }

    fn take(self: &Rc<Self>) -> Exclusive {
        debug_assert!(!self.taken.get(), "two writers of one socket");
        self.taken.set(true);
        Exclusive { outbox: self.clone(), in_frame: false }
    }

    /// Writes what waits and then the frame, in one system call; keeps what the socket did not take.
    fn send_through(self: &Rc<Self>, header: &[u8], payload: &[u8]) {
        let mut waiting = self.waiting.borrow_mut();
        let before = waiting.len();
        let mut slices = [IoSlice::new(&[]); 4];
        let count = waiting.slices(&mut slices[..2]);
        if count > 1 {
            // Linked bytes wait: the socket has been full for a while.
            waiting.put(header);
            return waiting.put(payload);
        }
        [slices[count], slices[count + 1]] = [IoSlice::new(header), IoSlice::new(payload)];
        let slices = &slices[..count + 2];
        let mut taken = match self.socket.try_write_vectored(slices) {
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(_) => {
                drop(waiting);
                return self.close();
            }
        };
        self.written.set(self.written.get() + taken as u64);
        waiting.advance(taken.min(before));
        taken -= taken.min(before);
        for part in [header, payload] {
            let skipped = taken.min(part.len());
            waiting.put(&part[skipped..]);
            taken -= skipped;
        }
    }

    /// Whether all that waited has been written.
    fn write_waiting(&self) -> io::Result<bool> {
        let mut waiting = self.waiting.borrow_mut();
        while waiting.len() > 0 {
            let mut slices = [IoSlice::new(&[]); SLICE_COUNT];
            let written = match waiting.slices(&mut slices) {
                1 => self.socket.try_write(&slices[0]),
                count => self.socket.try_write_vectored(&slices[..count]),
            };
            match written {
                Ok(len) => {
                    self.written.set(self.written.get() + len as u64);
                    waiting.advance(len);
                    self.drained.notify_waiters();
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}

/// The socket of an [`Outbox`], taken for a frame that is written piece by piece. If it is dropped within a frame the
/// connection is closed: nobody could read on.
#[derive(Debug)]
pub(super) struct Exclusive {
    outbox: Rc<Outbox>,
    in_frame: bool,
}

impl Exclusive {
    /// A frame begins; it must be written to its end before the socket is released.
    pub(super) fn begin_frame(&mut self) {
        self.in_frame = true;
    }

    /// The frame is complete.
    pub(super) fn end_frame(&mut self) {
        self.in_frame = false;
    }

    /// Writes as much as the socket takes; 0 if it is full.
    ///
    /// # Errors
    ///
    /// If the connection is closed.
    pub(super) fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self.outbox.socket.try_write_vectored(slices) {
            Ok(len) => {
                self.outbox.written.set(self.outbox.written.get() + len as u64);
                Ok(len)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// Waits until the connection is closed from this side.
    pub(super) async fn closed(&self) {
        self.outbox.closed().await;
    }

    /// Waits for room in the socket.
    ///
    /// # Errors
    ///
    /// If the connection is closed.
    pub(super) async fn writable(&self) -> io::Result<()> {
        tokio::select! {
            biased;
            () = self.outbox.closed() => Err(io::ErrorKind::BrokenPipe.into()),
            writable = self.outbox.socket.writable() => writable,
        }
    }

    /// Writes what others appended meanwhile and releases the socket.
    async fn finish(self) -> io::Result<()> {
        self.write_all_waiting().await
    }

    async fn write_all_waiting(&self) -> io::Result<()> {
        loop {
            if self.outbox.closed.get() {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            match self.outbox.write_waiting() {
                Ok(true) => return Ok(()),
                Ok(false) => self.writable().await?,
                Err(error) => {
                    self.outbox.close();
                    return Err(error);
                }
            }
        }
    }
}

impl Drop for Exclusive {
    fn drop(&mut self) {
        self.outbox.taken.set(false);
        if self.in_frame {
            self.outbox.close();
        }
        self.outbox.released.notify_one();
        self.outbox.drained.notify_waiters();
        // Nobody who waits for the socket runs before what piled up is on its way, or has been handed on.
        self.outbox.flush();
    }
}

/// Whether both directions of a socket are closed.
fn is_hung_up(socket: &impl AsFd) -> bool {
    // A hang-up is told unasked.
    let mut sockets = [PollFd::new(socket.as_fd(), PollFlags::empty())];
    let polled = poll(&mut sockets, PollTimeout::ZERO).is_ok();
    polled && sockets[0].revents().is_some_and(|events| events.contains(PollFlags::POLLHUP))
}

/// Payloads shorter than this are copied behind what waits; longer ones are worth a system call of their own.
const COPIED_LEN: usize = 16 << 10;

/// Beyond so many waiting bytes a stream's lane is not read and a client's requests are not either.
pub(super) const HIGH_WATER: usize = 256 << 10;

/// How many parts leave with one system call.
const SLICE_COUNT: usize = 64;
