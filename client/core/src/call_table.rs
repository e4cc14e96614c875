//! The calls in flight on one connection.

use std::task::{Poll, Waker};
use std::time::Instant;

/// Calls that one table can hold, a limit set by the bits that a [`CallId`] has for its slot.
pub const MAX_OPEN_CALLS: usize = 1 << SLOT_BITS;

/// Names one call on its connection: the request id in its frames.
///
/// It joins the call's slot in the table with a sequence number, so that a reply is matched without
/// a search, and one that comes too late finds the slot empty or taken by a call of another number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CallId(u64);

impl CallId {
    /// The id as it travels in a header.
    #[must_use]
    pub fn request_id(self) -> u64 {
        self.0
    }

    /// The slot that the call was given.
    fn slot(self) -> usize {
        usize::try_from(self.0 & SLOT_MASK).expect("twenty bits fit in a usize")
    }
}

/// Matches replies to the calls that wait for them, and says when a call has waited too long.
///
/// A plain value. Calling order: [`open`](CallTable::open) before the request's bytes are sent, then
/// [`poll`](CallTable::poll) until it is ready, or [`abandon`](CallTable::abandon). Meanwhile the
/// driver brings [`answer`](CallTable::answer)s, [`expire`](CallTable::expire)s what is due at
/// [`next_deadline`](CallTable::next_deadline), and at the end of the connection calls
/// [`end`](CallTable::end). Those return or collect the wakers of the callers concerned, to be woken
/// once the table is no longer locked.
///
/// `T` is what a call is answered with. A slot is reused as soon as its call is over: nothing is
/// allocated per call.
#[derive(Debug)]
pub struct CallTable<T> {
    slots: Vec<Slot<T>>,
    /// Slots that hold no call.
    free: Vec<usize>,
    /// Calls that wait for their answer.
    waiting_count: usize,
    sequence: u64,
    /// No waiting call is due before this instant. The call that set it may be over since.
    earliest: Option<Instant>,
}

impl<T> CallTable<T> {
    /// A table without calls.
    #[must_use]
    pub fn new() -> CallTable<T> {
        CallTable { slots: Vec::new(), free: Vec::new(), waiting_count: 0, sequence: 0, earliest: None }
    }

    /// Enters a call that is due at `deadline` and whose request starts at byte `position` of all
    /// that the connection sends. `None` if [`MAX_OPEN_CALLS`] are open.
    pub fn open(&mut self, deadline: Option<Instant>, position: u64) -> Option<CallId> {
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None if self.slots.len() < MAX_OPEN_CALLS => {
                self.slots.push(Slot::Free);
                self.slots.len() - 1
            }
            None => return None,
        };
        // From 1: request id 0 is never a call.
        self.sequence = (self.sequence % MAX_SEQUENCE) + 1;
        let id = CallId(self.sequence << SLOT_BITS | slot as u64);
        self.slots[slot] = Slot::Waiting(Waiting { id, deadline, position, waker: None });
        self.waiting_count += 1;
        self.earliest = match (self.earliest, deadline) {
            (Some(earliest), Some(deadline)) => Some(earliest.min(deadline)),
            (earliest, deadline) => earliest.or(deadline),
        };
        Some(id)
    }

    /// Gives the call that `request_id` names its answer, and returns the waker of its caller if
    /// that has polled. An id that names no waiting call (a late or invented reply) changes nothing.
    pub fn answer(&mut self, request_id: u64, answer: T) -> Option<Waker> {
        let slot = self.slots.get_mut(CallId(request_id).slot())?;
        match slot {
            Slot::Waiting(waiting) if waiting.id.0 == request_id => {
                let (id, waker) = (waiting.id, waiting.waker.take());
                *slot = Slot::Answered(id, answer);
                self.waiting_count -= 1;
                waker
            }
            Slot::Free | Slot::Waiting(_) | Slot::Answered(..) => None,
        }
    }

    /// Whether `request_id` names a call that waits for its answer.
    #[must_use]
    pub fn is_waiting(&self, request_id: u64) -> bool {
        matches!(self.slots.get(CallId(request_id).slot()),
            Some(Slot::Waiting(waiting)) if waiting.id.0 == request_id)
    }

    /// The call's answer, which ends the call; until there is one, `waker` is kept for it.
    ///
    /// # Panics
    ///
    /// If `id` is not a call of this table, or is over: a caller that polls a call it has ended.
    pub fn poll(&mut self, id: CallId, waker: &Waker) -> Poll<T> {
        let slot = &mut self.slots[id.slot()];
        match slot {
            Slot::Waiting(waiting) if waiting.id == id => {
                match &mut waiting.waker {
                    Some(known) => known.clone_from(waker),
                    none => *none = Some(waker.clone()),
                }
                return Poll::Pending;
            }
            Slot::Answered(answered, _) if *answered == id => {}
            Slot::Free | Slot::Waiting(_) | Slot::Answered(..) => {
                panic!("call {id:?} was polled after its end")
            }
        }
        let Slot::Answered(_, answer) = std::mem::replace(slot, Slot::Free) else {
            unreachable!("the slot was seen to hold an answer");
        };
        self.free.push(id.slot());
        Poll::Ready(answer)
    }

    /// Forgets the call. Returns whether it was still waiting, so that the peer should be told. A
    /// call that is over already stays so.
    pub fn abandon(&mut self, id: CallId) -> bool {
        let Some(slot) = self.slots.get_mut(id.slot()) else { return false };
        let was_waiting = match slot {
            Slot::Waiting(waiting) if waiting.id == id => true,
            Slot::Answered(answered, _) if *answered == id => false,
            Slot::Free | Slot::Waiting(_) | Slot::Answered(..) => return false,
        };
        *slot = Slot::Free;
        self.free.push(id.slot());
        self.waiting_count -= usize::from(was_waiting);
        was_waiting
    }

    /// Calls that wait for their answer.
    #[must_use]
    pub fn waiting_count(&self) -> usize {
        self.waiting_count
    }

    /// When to call [`expire`](CallTable::expire) next. It may turn out that nothing is due then.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.earliest
    }

    /// Answers every call whose deadline is not after `now` with what `answer` makes for it.
    pub fn expire(&mut self, now: Instant, mut answer: impl FnMut(CallId) -> T, wakers: &mut Vec<Waker>) {
        if self.earliest.is_none_or(|earliest| earliest > now) {
            return;
        }
        self.earliest = None;
        for slot in &mut self.slots {
            let Slot::Waiting(waiting) = slot else { continue };
            match waiting.deadline {
                Some(deadline) if deadline <= now => {
                    let id = waiting.id;
                    wakers.extend(waiting.waker.take());
                    *slot = Slot::Answered(id, answer(id));
                    self.waiting_count -= 1;
                }
                Some(deadline) => {
                    self.earliest = Some(self.earliest.map_or(deadline, |earliest| earliest.min(deadline)));
                }
                None => {}
            }
        }
    }

    /// Answers every waiting call, because the connection is over. `written` is how many bytes of
    /// all that was to be sent have left; `answer` is told whether the call's request was (in part)
    /// among them.
    pub fn end(&mut self, written: u64, mut answer: impl FnMut(bool) -> T, wakers: &mut Vec<Waker>) {
        for slot in &mut self.slots {
            if let Slot::Waiting(waiting) = slot {
                let (id, sent) = (waiting.id, waiting.position < written);
                wakers.extend(waiting.waker.take());
                *slot = Slot::Answered(id, answer(sent));
            }
        }
        self.waiting_count = 0;
        self.earliest = None;
    }
}

impl<T> Default for CallTable<T> {
    fn default() -> CallTable<T> {
        CallTable::new()
    }
}

/// One place in the table.
#[derive(Debug)]
enum Slot<T> {
    Free,
    Waiting(Waiting),
    Answered(CallId, T),
}

/// A call without an answer.
#[derive(Debug)]
struct Waiting {
    id: CallId,
    deadline: Option<Instant>,
    position: u64,
    waker: Option<Waker>,
}

/// Low bits of an id that hold the slot; the rest is the sequence number.
const SLOT_BITS: u32 = 20;
const SLOT_MASK: u64 = (1 << SLOT_BITS) - 1;
const MAX_SEQUENCE: u64 = u64::MAX >> SLOT_BITS;

#[cfg(test)]
mod tests;
