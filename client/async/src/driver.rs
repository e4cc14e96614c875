//! The task behind a shared connection: it reads, keeps time, and writes what callers leave to it.

use std::future::{Future, poll_fn};
use std::io;
use std::os::fd::AsFd;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use gunmetal_client_core::{ConnectionEnd, ConnectionStage};
use gunmetal_protocol::{Frame, MessageType};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::time::{Instant, Sleep, sleep_until};
use tracing::{debug, trace};

use crate::receive::ReceiveBuffer;
use crate::shared::SharedConnection;
use crate::socket::Room;

/// Owns the read half of a shared connection until its end.
#[derive(Debug)]
pub(crate) struct Driver {
    connection: Arc<SharedConnection>,
    read: Receiver,
    /// Where it waits while the socket is full.
    room: Room,
    receive: ReceiveBuffer,
    /// Set to the first deadline of the calls in flight.
    timer: Option<Pin<Box<Sleep>>>,
    /// What the arbiter said about the connection as a whole, before closing it.
    farewell: Option<String>,
    /// Callers to wake; kept for its memory.
    wakers: Vec<Waker>,
    /// Tasks that a read has woken may not have run when this one is woken by the first of them.
    yields_before_writing: bool,
}

/// What the driver was woken for.
enum Event {
    /// Bytes have arrived.
    Read,
    /// There is something to write, or room to write it.
    Write,
    /// A call may be due.
    Tick,
    /// All clients are gone.
    Close,
}

impl Driver {
    /// The driver of `connection`, to be run on the current runtime.
    pub(crate) fn new(connection: Arc<SharedConnection>, read: Receiver, receive: ReceiveBuffer) -> Driver {
        let flavor = Handle::current().runtime_flavor();
        Driver {
            connection,
            read,
            room: Room::default(),
            receive,
            timer: None,
            farewell: None,
            wakers: Vec::new(),
            yields_before_writing: flavor != RuntimeFlavor::CurrentThread,
        }
    }

    /// Serves the connection until it is over, and tells every call in flight.
    pub(crate) async fn run(mut self) {
        let end = self.serve().await;
        debug!(?end, "connection ended");
        self.connection.end(end);
    }

    async fn serve(&mut self) -> ConnectionEnd {
        loop {
            let event = match poll_fn(|cx| self.poll_event(cx)).await {
                Ok(event) => event,
                Err(error) => return self.ended_by(ConnectionEnd::io(ConnectionStage::AwaitReply, &error)),
            };
            match event {
                Event::Close => return ConnectionEnd::Closed,
                Event::Tick => self.connection.expire(Instant::now().into_std(), &mut self.wakers),
                Event::Read => {
                    if let Err(end) = self.answer() {
                        return self.ended_by(end);
                    }
                }
                Event::Write => {
                    if self.yields_before_writing {
                        // On a multi-threaded runtime this task was put before the other callers
                        // that are about to send; they go first.
                        tokio::task::yield_now().await;
                    }
                    if let Err(error) = self.connection.write_as_driver() {
                        // What the arbiter said before it closed is worth more than "broken pipe".
                        return match self.read_rest() {
                            Err(end) => self.ended_by(end),
                            Ok(()) => self.ended_by(ConnectionEnd::io(ConnectionStage::Send, &error)),
                        };
                    }
                }
            }
        }
    }

    /// Waits for whatever comes first; bytes are in the receive buffer when it says so.
    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Event>> {
        let work = self.connection.poll_work(cx.waker());
        if work.is_closing {
            return Poll::Ready(Ok(Event::Close));
        }
        if self.poll_timer(work.deadline, cx).is_ready() {
            return Poll::Ready(Ok(Event::Tick));
        }
        if work.flush_wanted {
            return Poll::Ready(Ok(Event::Write));
        }
        if let Poll::Ready(count) = self.poll_read(cx)? {
            return Poll::Ready(match count {
                0 => Err(io::ErrorKind::UnexpectedEof.into()),
                _ => Ok(Event::Read),
            });
        }
        if work.is_unfinished {
            ready!(self.room.poll(self.read.as_fd(), cx))?;
            return Poll::Ready(Ok(Event::Write));
        }
        self.room.forget();
        Poll::Pending
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        // Memory is made ready only when there is something to read: by then the last large reply
        // may have been dropped, and its memory be used again.
        ready!(self.read.poll_read_ready(cx))?;
        pin!(self.read.read_buf(&mut self.receive.space())).poll(cx)
    }

    fn poll_timer(&mut self, deadline: Option<std::time::Instant>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = deadline else {
            self.timer = None;
            return Poll::Pending;
        };
        let deadline = Instant::from_std(deadline);
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        timer.as_mut().poll(cx)
    }

    /// Hands the frames that have arrived to their calls.
    fn answer(&mut self) -> Result<(), ConnectionEnd> {
        let Driver { connection, receive, farewell, wakers, .. } = self;
        let next_frame = || {
            let frame = receive.next_frame().map_err(ConnectionEnd::BadFrame)?;
            if let Some(frame) = &frame {
                note_farewell(frame, farewell);
            }
            Ok(frame)
        };
        let count = connection.answer_all(next_frame, wakers)?;
        trace!(count, "frames received");
        Ok(())
    }

    /// Reads what is there already, until the end of the connection.
    fn read_rest(&mut self) -> Result<(), ConnectionEnd> {
        while let Ok(count) = self.read.try_read_buf(&mut self.receive.space()) {
            if count == 0 {
                return Err(ConnectionEnd::Closed);
            }
            self.answer()?;
        }
        Ok(())
    }

    /// The end to report: the arbiter's own words if it had any.
    fn ended_by(&mut self, end: ConnectionEnd) -> ConnectionEnd {
        match self.farewell.take() {
            Some(message) => ConnectionEnd::Refused(message),
            None => end,
        }
    }
}

impl Drop for Driver {
    /// The runtime that ran the driver is going away: nobody will read any more.
    fn drop(&mut self) {
        self.connection.end(ConnectionEnd::Closed);
    }
}

/// An ERROR for request 0 is about the connection and announces its end.
fn note_farewell(frame: &Frame, farewell: &mut Option<String>) {
    if frame.header.message_type == MessageType::Error && frame.header.request_id == 0 {
        *farewell = crate::exclusive::farewell(&frame.payload);
    }
}
