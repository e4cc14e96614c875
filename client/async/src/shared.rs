//! The connection that many calls share.

use std::future::poll_fn;
use std::io;
use std::mem;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use bytes::Bytes;
use gunmetal_client_core::{CallError, CallId, ConnectionEnd, MAX_OPEN_CALLS, Outgoing};
use gunmetal_protocol::{Frame, MessageType};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::send::send_some;
use state::{Answer, State, Turn, put_cancel};

mod state;

/// A connection on which any number of calls are in flight, their replies in any order.
///
/// A caller enters its call in the table and encodes the request into the outbox, under a lock that
/// is never held across an await or a system call. If the connection is quiet it writes the outbox
/// at once: one system call and no other task involved. While others wait for replies too, the
/// outbox is left to the driver, which runs after the callers that the last read has woken: one
/// write carries what they all have to say. Of a long burst, every few callers one writes, so that
/// the arbiter works on the first requests while the last are being made.
#[derive(Debug)]
pub(crate) struct SharedConnection {
    state: Mutex<State>,
    write: OwnedFd,
    /// Calls that may still be opened.
    permits: Semaphore,
}

/// What the driver has to do.
#[derive(Debug)]
pub(crate) struct Work {
    /// All clients are gone.
    pub(crate) is_closing: bool,
    /// The outbox waits for the driver.
    pub(crate) flush_wanted: bool,
    /// The driver has the turn to write.
    pub(crate) is_unfinished: bool,
    /// When a call may be due.
    pub(crate) deadline: Option<std::time::Instant>,
}

impl SharedConnection {
    pub(crate) fn new(write: OwnedFd, max_in_flight: usize) -> SharedConnection {
        SharedConnection {
            state: Mutex::new(State::new()),
            write,
            permits: Semaphore::new(max_in_flight.clamp(1, MAX_OPEN_CALLS)),
        }
    }

    /// Whether calls can be made on it.
    pub(crate) fn is_alive(&self) -> bool {
        self.lock().ended.is_none()
    }

    /// Makes one call and returns the frame that answers it. Dropping the future cancels the call.
    pub(crate) async fn call(
        &self,
        outgoing: &Outgoing<'_>,
        deadline: Option<Instant>,
    ) -> Result<(MessageType, Bytes), CallFailure> {
        let _permit = match self.permits.try_acquire() {
            Ok(permit) => permit,
            Err(_) => self.permit(deadline).await?,
        };
        let mut open = OpenCall { connection: self, id: None };
        let answer = poll_fn(|cx| match open.id {
            None => match self.submit(outgoing, deadline, cx.waker()) {
                Ok(id) => {
                    open.id = Some(id);
                    Poll::Pending
                }
                Err(failure) => Poll::Ready(Err(failure)),
            },
            Some(id) => self.lock().table.poll(id, cx.waker()).map(|answer| {
                open.id = None;
                Ok(answer)
            }),
        })
        .await?;
        match answer {
            Answer::Frame(message_type, payload) => Ok((message_type, payload)),
            Answer::TimedOut => Err(CallFailure::TimedOut),
            Answer::Ended { end, sent } => Err(CallFailure::Ended { end, sent }),
        }
    }

    /// Waits for one of the calls in flight to end.
    async fn permit(
        &self,
        deadline: Option<Instant>,
    ) -> Result<tokio::sync::SemaphorePermit<'_>, CallFailure> {
        let permit = self.permits.acquire();
        let acquired = match deadline {
            Some(deadline) => {
                tokio::time::timeout_at(deadline, permit).await.map_err(|_| CallFailure::TimedOut)?
            }
            None => permit.await,
        };
        acquired.map_err(|_| CallFailure::Ended { end: Arc::new(ConnectionEnd::Closed), sent: false })
    }

    /// Opens the call, then puts its request into the outbox and sees to it that it is written.
    fn submit(
        &self,
        outgoing: &Outgoing<'_>,
        deadline: Option<Instant>,
        waker: &Waker,
    ) -> Result<CallId, CallFailure> {
        let mut state = self.lock();
        if let Some(end) = &state.ended {
            return Err(CallFailure::Ended { end: Arc::clone(end), sent: false });
        }
        let position = state.queued;
        let is_quiet = state.table.waiting_count() < QUIET_BELOW && !state.is_bursting;
        let deadline = deadline.map(Instant::into_std);
        let id = state.table.open(deadline, position).expect("there are fewer permits than places");
        if let Err(error) = state.put(|outbox| outgoing.encode(id.request_id(), outbox)) {
            state.table.abandon(id);
            return Err(CallFailure::Call(error));
        }
        let pending = state.table.poll(id, waker);
        debug_assert!(pending.is_pending(), "a call is answered after it was opened");
        // An earlier deadline than the driver's timer is set to must reach the driver.
        let alarm_moved = deadline.is_some_and(|deadline| state.alarm.is_none_or(|alarm| deadline < alarm));
        if alarm_moved {
            state.alarm = deadline;
        }
        if (is_quiet || state.outbox_count >= WRITE_FROM) && state.turn == Turn::Free {
            let driver = if alarm_moved { state.driver.take() } else { None };
            self.write_as_caller(state);
            wake(driver);
        } else {
            let driver = state.ask_driver(alarm_moved);
            drop(state);
            wake(driver);
        }
        Ok(id)
    }

    /// Writes the outbox now, and leaves to the driver what the socket has no room for.
    fn write_as_caller(&self, mut state: MutexGuard<'_, State>) {
        state.turn = Turn::Caller;
        let mut segments = state.take_outbox();
        drop(state);
        let before = segments.len();
        let result = send_some(self.write.as_fd(), &mut segments);
        let mut state = self.lock();
        state.written += (before - segments.len()) as u64;
        let driver = if result.is_ok() && segments.is_empty() && state.outbox.is_empty() {
            state.turn = Turn::Free;
            state.spare = segments;
            None
        } else {
            // An error too is left to the driver, which reads what the arbiter said before it left.
            state.flush_wanted |= result.is_err();
            state.unfinished = segments;
            state.turn = Turn::Driver;
            state.driver.take()
        };
        drop(state);
        wake(driver);
    }

    /// The driver's part of writing: the outbox, and what callers could not finish.
    pub(crate) fn write_as_driver(&self) -> io::Result<()> {
        loop {
            let mut state = self.lock();
            state.flush_wanted = false;
            state.is_bursting = false;
            if state.turn == Turn::Caller {
                // It looks at the outbox once more when it is done.
                return Ok(());
            }
            let mut segments = mem::take(&mut state.unfinished);
            if segments.is_empty() {
                if state.outbox.is_empty() {
                    state.turn = Turn::Free;
                    return Ok(());
                }
                segments = state.take_outbox();
            }
            state.turn = Turn::Driver;
            drop(state);
            let before = segments.len();
            let result = send_some(self.write.as_fd(), &mut segments);
            let mut state = self.lock();
            state.written += (before - segments.len()) as u64;
            result?;
            if !segments.is_empty() {
                state.unfinished = segments;
                return Ok(());
            }
            state.spare = segments;
        }
    }

    /// Tells the driver what there is to do, and remembers whom to wake when there is more.
    pub(crate) fn poll_work(&self, waker: &Waker) -> Work {
        let mut state = self.lock();
        match &mut state.driver {
            Some(known) => known.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
        let deadline = state.table.next_deadline();
        state.alarm = deadline;
        Work {
            is_closing: state.is_closing,
            flush_wanted: state.flush_wanted,
            is_unfinished: state.turn == Turn::Driver,
            deadline,
        }
    }

    /// Answers the calls that `next_frame` brings replies for, in one go. Returns how many.
    pub(crate) fn answer_all(
        &self,
        mut next_frame: impl FnMut() -> Result<Option<Frame>, ConnectionEnd>,
        wakers: &mut Vec<Waker>,
    ) -> Result<usize, ConnectionEnd> {
        let mut state = self.lock();
        let mut count = 0;
        let result = loop {
            match next_frame() {
                Ok(Some(frame)) => {
                    count += 1;
                    wakers.extend(state.answer(frame));
                }
                Ok(None) => break Ok(count),
                Err(end) => break Err(end),
            }
        };
        state.is_bursting = count > 1;
        drop(state);
        wakers.drain(..).for_each(Waker::wake);
        result
    }

    /// Ends the calls that are due at `now`, and tells the arbiter to drop them.
    pub(crate) fn expire(&self, now: std::time::Instant, wakers: &mut Vec<Waker>) {
        let mut state = self.lock();
        let State { table, outbox, queued, flush_wanted, .. } = &mut *state;
        table.expire(
            now,
            |id| {
                *queued += put_cancel(id.request_id(), outbox);
                *flush_wanted = true;
                Answer::TimedOut
            },
            wakers,
        );
        drop(state);
        wakers.drain(..).for_each(Waker::wake);
    }

    /// Ends the connection: every call in flight is told why.
    pub(crate) fn end(&self, end: ConnectionEnd) {
        let mut wakers = Vec::new();
        self.lock().end(end, &mut wakers);
        self.permits.close();
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Lets the driver end the connection.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.is_closing = true;
        let driver = state.driver.take();
        drop(state);
        wake(driver);
    }

    /// A caller went away: forget the call, and tell the arbiter if it has not answered.
    fn cancel(&self, id: CallId) {
        let mut state = self.lock();
        if !state.table.abandon(id) || state.ended.is_some() {
            return;
        }
        state.queued += put_cancel(id.request_id(), &mut state.outbox);
        let driver = state.ask_driver(false);
        drop(state);
        wake(driver);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Whoever panicked with the lock did so in code that leaves the state whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call in the table; dropping it cancels the call.
struct OpenCall<'a> {
    connection: &'a SharedConnection,
    /// `None` before it was opened and once it is over.
    id: Option<CallId>,
}

impl Drop for OpenCall<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.connection.cancel(id);
        }
    }
}

/// Why a call on a shared connection brought no frame.
#[derive(Debug)]
pub(crate) enum CallFailure {
    /// Its deadline passed.
    TimedOut,
    /// The connection is over; `sent` if the arbiter may have seen the request.
    Ended { end: Arc<ConnectionEnd>, sent: bool },
    /// The call itself was wrong.
    Call(CallError),
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// So many requests in the outbox are written by the caller of the last. Measured: twice the rate of 64
/// calls in flight; 4 and 16 bring less.
const WRITE_FROM: usize = 8;

/// With this many calls waiting, the next one leaves writing to the driver. Measured: below it, going
/// through the driver costs a multi-threaded runtime more than the writes that it saves.
const QUIET_BELOW: usize = 4;
