//! The router's sockets and clock around the [dispatcher](super::dispatcher).
//!
//! One thread, one task per connection. Whatever a task has to tell happens within a [`turn`](Shared::turn): the news
//! go to the dispatcher, its actions are done, and everything that was appended to an [outbox](outbox) leaves with one
//! write per connection. The life of a request, top down: `accept`, `client_connection`, the dispatcher,
//! `lane_connection`; `upload` and `large_reply` for payloads that are passed on as they arrive.

mod accept;
mod client_connection;
mod control_connection;
mod input;
mod lane_connection;
mod large_reply;
mod linger;
mod outbox;
mod parent;
mod pump;
mod questions;
mod reception;
mod stash_service;
mod state;
mod timer;
mod upload;

use std::cell::{Cell, RefCell, RefMut};
use std::future::Future;
use std::io;
use std::os::unix::net::{UnixListener, UnixStream};
use std::rc::Rc;
use std::time::{Duration, Instant};

use gunmetal_stash::Stash;
use gunmetal_supervise::Heartbeat;
use tokio::sync::Notify;

use super::dispatcher::{Dispatcher, Limits};
use super::{RouterConfig, RouterError, machine_memory};
use questions::Questions;
use state::State;

/// What all tasks share. They run on one thread: nothing borrowed here is held across an await.
pub(super) struct Shared {
    state: RefCell<State>,
    reopen_logs: fn(),
    /// What was just read of a connection; see [`input`].
    scratch: RefCell<Box<[u8]>>,
    /// Buffers for payloads that are passed on, kept for the next ones: memory that comes fresh from the system is slow.
    spare: RefCell<Vec<Box<[u8]>>>,
    /// When the timer will look at the dispatcher's deadlines.
    armed: Cell<Option<Instant>>,
    rearm: Notify,
    /// A turn has moved several frames; see [`linger`].
    busy: Notify,
    /// Why the router ends.
    outcome: RefCell<Option<Result<(), RouterError>>>,
    ended: Notify,
    /// The apps are known: before that, every call would be for an app that is not configured.
    configured: Notify,
    /// Entries were removed from the stash and are to be freed.
    unswept: Notify,
    /// Memory for large messages to the stash.
    budget: reception::Budget,
    /// Long answers of the stash.
    lists: stash_service::Lists,
}

/// Serves until the parent says stop, or is gone.
pub(super) async fn serve(config: RouterConfig) -> Result<(), RouterError> {
    let RouterConfig { listener, parent, .. } = &config;
    let listener = tokio_listener(listener).map_err(RouterError::Listener)?;
    let parent = tokio_stream(parent).map_err(RouterError::Parent)?;
    let (parent_input, parent_outbox) = parent::split(parent);
    let dispatcher = Dispatcher::new(Limits {
        dirty_timeout: config.dirty_timeout,
        queue_len: config.queue_limit,
        queued_bytes: config.queued_bytes_limit,
        max_wait: config.max_wait,
    });
    let stash = Stash::new(config.stash_limit.unwrap_or_else(machine_memory::quarter));
    let questions = Questions::new(config.parent_patience, config.server.clone());
    let shared = Rc::new(Shared {
        state: RefCell::new(State::new(dispatcher, stash, parent_outbox, questions)),
        scratch: RefCell::new(vec![0; input::SCRATCH_LEN].into()),
        spare: RefCell::default(),
        armed: Cell::new(None),
        rearm: Notify::new(),
        busy: Notify::new(),
        outcome: RefCell::new(None),
        ended: Notify::new(),
        configured: Notify::new(),
        reopen_logs: config.reopen_logs,
        unswept: Notify::new(),
        budget: reception::Budget::new(),
        lists: stash_service::Lists::default(),
    });
    shared.spawn(timer::run(shared.clone()));
    shared.spawn(linger::run(shared.clone()));
    if let Some((heartbeat, interval)) = config.heartbeat {
        shared.spawn(beat(heartbeat, interval));
    }
    shared.spawn(stash_service::sweep(shared.clone()));
    shared.spawn(parent::run(shared.clone(), parent_input));
    shared.spawn(accept::run(shared.clone(), listener));
    shared.turn(|state, _| state.tell_parent(&crate::link::FromRouter::Ready));

    shared.ended.notified().await;
    let outcome = shared.outcome.borrow_mut().take().unwrap_or(Ok(()));
    let outboxes = shared.state.borrow().all_outboxes();
    if outcome.is_ok() && shared.state.borrow().is_finished() {
        let last_writes = async {
            for outbox in &outboxes {
                outbox.emptied().await;
            }
        };
        // A client that doesn't read must not keep the service from ending.
        let patience = shared.state.borrow().patience();
        let _ = tokio::time::timeout(patience, last_writes).await;
    }
    for outbox in outboxes {
        outbox.close();
    }
    // The process is about to end: freeing millions of entries one by one would only hold that up.
    std::mem::forget(std::mem::replace(&mut shared.state.borrow_mut().stash, Stash::new(0)));
    outcome
}

impl Shared {
    /// Takes news to the state, does what follows from them, and writes.
    fn turn<T>(self: &Rc<Self>, news: impl FnOnce(&mut State, Instant) -> T) -> T {
        let mut state = self.state.borrow_mut();
        let now = Instant::now();
        let result = news(&mut state, now);
        self.finish_turn(&mut state, now);
        result
    }

    fn finish_turn(self: &Rc<Self>, state: &mut RefMut<'_, State>, now: Instant) {
        state.dispatcher.settle(now);
        while let Some(action) = state.dispatcher.poll_action() {
            state.perform(self, action);
        }
        if state.is_finished() {
            state.answer_status(None, now);
        }
        if state.flush() > 1 {
            self.busy.notify_one();
        }
        if state.stash.is_unswept() {
            self.unswept.notify_one();
        }
        if state.is_finished() {
            self.end(Ok(()));
        }
        let deadline = state.dispatcher.next_deadline();
        if let Some(deadline) = deadline
            && self.armed.get().is_none_or(|armed| deadline < armed)
        {
            self.armed.set(Some(deadline));
            self.rearm.notify_one();
        }
    }

    /// Ends the router. The first reason counts.
    fn end(&self, outcome: Result<(), RouterError>) {
        self.outcome.borrow_mut().get_or_insert(outcome);
        self.ended.notify_one();
    }

    /// Runs a task. One that panics ends the router: its state can't be trusted any more, and the parent starts another.
    fn spawn(self: &Rc<Self>, task: impl Future<Output = ()> + 'static) -> tokio::task::AbortHandle {
        let guard = PanicGuard(self.clone());
        tokio::task::spawn_local(async move {
            let _guard = guard;
            task.await;
        })
        .abort_handle()
    }

    /// A buffer for a payload that is passed on.
    fn take_buffer(&self) -> Box<[u8]> {
        self.spare.borrow_mut().pop().unwrap_or_else(|| vec![0; PASS_ON_LEN].into())
    }

    fn put_buffer(&self, buffer: Box<[u8]>) {
        let mut spare = self.spare.borrow_mut();
        if spare.len() < SPARE_COUNT {
            spare.push(buffer);
        }
    }
}

/// Shows that this thread gets round to things.
async fn beat(heartbeat: Heartbeat, interval: Duration) {
    loop {
        // A router that cannot touch its heartbeat is replaced for it.
        let _ = heartbeat.touch();
        tokio::time::sleep(interval).await;
    }
}

struct PanicGuard(Rc<Shared>);

impl Drop for PanicGuard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.end(Err(RouterError::Panicked));
        }
    }
}

fn tokio_listener(listener: &UnixListener) -> io::Result<tokio::net::UnixListener> {
    let listener = listener.try_clone()?;
    listener.set_nonblocking(true)?;
    tokio::net::UnixListener::from_std(listener)
}

fn tokio_stream(stream: &UnixStream) -> io::Result<tokio::net::UnixStream> {
    let stream = stream.try_clone()?;
    stream.set_nonblocking(true)?;
    tokio::net::UnixStream::from_std(stream)
}

/// How much of a large payload is read before it is passed on.
const PASS_ON_LEN: usize = 256 << 10;

/// How many buffers of that length are kept.
const SPARE_COUNT: usize = 8;
