use super::*;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;
use std::time::Duration;

use proptest::prelude::*;

/// Counts how often it was woken.
#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn poll(table: &mut CallTable<u32>, id: CallId) -> Poll<u32> {
    table.poll(id, Waker::noop())
}

#[test]
fn a_reply_reaches_its_call_in_whatever_order() {
    let mut table = CallTable::new();
    let ids: Vec<CallId> = (0..3).map(|_| table.open(None, 0).unwrap()).collect();
    for &id in &ids {
        assert_eq!(poll(&mut table, id), Poll::Pending);
    }
    for (answer, index) in [(20, 2), (0, 0), (10, 1)] {
        assert!(table.answer(ids[index].request_id(), answer).is_some());
    }
    assert_eq!(ids.map_answers(&mut table), [0, 10, 20]);
    assert_eq!(table.waiting_count(), 0);
}

trait MapAnswers {
    fn map_answers(&self, table: &mut CallTable<u32>) -> Vec<u32>;
}

impl MapAnswers for Vec<CallId> {
    fn map_answers(&self, table: &mut CallTable<u32>) -> Vec<u32> {
        self.iter()
            .map(|&id| match poll(table, id) {
                Poll::Ready(answer) => answer,
                Poll::Pending => panic!("{id:?} has no answer"),
            })
            .collect()
    }
}

#[test]
fn late_and_invented_replies_change_nothing() {
    let mut table = CallTable::new();
    let gone = table.open(None, 0).unwrap();
    assert!(table.abandon(gone));
    let next = table.open(None, 0).unwrap();
    assert_eq!(next.slot(), gone.slot());
    for stranger in [gone.request_id(), 0, 1, u64::MAX] {
        assert!(!table.is_waiting(stranger));
        assert!(table.answer(stranger, 1).is_none());
    }
    assert_eq!(poll(&mut table, next), Poll::Pending);
    table.answer(next.request_id(), 2);
    table.answer(next.request_id(), 3);
    assert_eq!(poll(&mut table, next), Poll::Ready(2));
}

#[test]
fn the_last_waker_is_woken_once() {
    let mut table = CallTable::new();
    let id = table.open(None, 0).unwrap();
    let (old, new) = (Arc::new(Count::default()), Arc::new(Count::default()));
    assert!(table.poll(id, &Arc::clone(&old).into()).is_pending());
    assert!(table.poll(id, &Arc::clone(&new).into()).is_pending());
    table.answer(id.request_id(), 1).unwrap().wake();
    assert_eq!((old.0.load(Ordering::Relaxed), new.0.load(Ordering::Relaxed)), (0, 1));
}

#[test]
fn calls_expire_at_their_deadline_and_not_before() {
    let (mut table, start) = (CallTable::new(), Instant::now());
    let at = |seconds| start + Duration::from_secs(seconds);
    let late = table.open(Some(at(9)), 0).unwrap();
    let early = table.open(Some(at(3)), 0).unwrap();
    let endless = table.open(None, 0).unwrap();
    assert_eq!(table.next_deadline(), Some(at(3)));
    let mut expired = Vec::new();
    let mut expire = |table: &mut CallTable<u32>, now| {
        table.expire(
            now,
            |id| {
                expired.push(id);
                1
            },
            &mut Vec::new(),
        );
        expired.clone()
    };
    assert_eq!(expire(&mut table, at(2)), []);
    assert_eq!(expire(&mut table, at(3)), [early]);
    assert_eq!(table.next_deadline(), Some(at(9)));
    assert_eq!(expire(&mut table, at(100)), [early, late]);
    assert_eq!(table.next_deadline(), None);
    assert_eq!(poll(&mut table, early), Poll::Ready(1));
    assert_eq!(poll(&mut table, endless), Poll::Pending);
}

#[test]
fn at_the_end_every_call_is_told_whether_it_was_sent() {
    let mut table = CallTable::new();
    let [sent, partly, unsent] = [0, 50, 120].map(|position| table.open(None, position).unwrap());
    table.end(100, u32::from, &mut Vec::new());
    assert_eq!(vec![sent, partly, unsent].map_answers(&mut table), [1, 1, 0]);
}

#[test]
fn a_full_table_opens_no_call() {
    let mut table: CallTable<()> = CallTable::new();
    let ids: HashSet<u64> = (0..MAX_OPEN_CALLS).map(|_| table.open(None, 0).unwrap().request_id()).collect();
    assert_eq!(ids.len(), MAX_OPEN_CALLS);
    assert_eq!(table.open(None, 0), None);
}

#[derive(Debug, Clone)]
enum Step {
    Open(Option<u64>),
    /// Of the call that was opened as number so and so.
    Answer(usize),
    Poll(usize),
    Abandon(usize),
    Expire(u64),
    End,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let call = 0..40_usize;
    prop::collection::vec(
        prop_oneof![
            4 => prop::option::of(0..50_u64).prop_map(Step::Open),
            4 => call.clone().prop_map(Step::Answer),
            3 => call.clone().prop_map(Step::Poll),
            2 => call.prop_map(Step::Abandon),
            1 => (0..50_u64).prop_map(Step::Expire),
            1 => Just(Step::End),
        ],
        0..120,
    )
}

/// What the table should say about a call.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Model {
    Waiting(Option<u64>),
    Answered(u32),
    Over,
}

proptest! {
    /// Whatever happens, a call has exactly one answer, its own, and a table knows who waits.
    #[test]
    fn any_history_gives_each_call_one_answer(steps in steps()) {
        let (mut table, start) = (CallTable::new(), Instant::now());
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let mut calls: Vec<(CallId, Model)> = Vec::new();
        for (step, number) in steps.into_iter().zip(0_u32..) {
            match step {
                Step::Open(due) => {
                    let id = table.open(due.map(at), 0).unwrap();
                    calls.push((id, Model::Waiting(due)));
                }
                Step::Answer(call) if call < calls.len() => {
                    let (id, model) = &mut calls[call];
                    table.answer(id.request_id(), number);
                    if let Model::Waiting(_) = model {
                        *model = Model::Answered(number);
                    }
                }
                Step::Poll(call) if call < calls.len() => {
                    let (id, model) = &mut calls[call];
                    match *model {
                        Model::Waiting(_) => prop_assert_eq!(poll(&mut table, *id), Poll::Pending),
                        Model::Answered(answer) => {
                            prop_assert_eq!(poll(&mut table, *id), Poll::Ready(answer));
                            *model = Model::Over;
                        }
                        Model::Over => {}
                    }
                }
                Step::Abandon(call) if call < calls.len() => {
                    let (id, model) = &mut calls[call];
                    prop_assert_eq!(table.abandon(*id), matches!(model, Model::Waiting(_)));
                    *model = Model::Over;
                }
                Step::Expire(now) => {
                    table.expire(at(now), |_| number, &mut Vec::new());
                    for (_, model) in &mut calls {
                        if matches!(model, Model::Waiting(Some(due)) if *due <= now) {
                            *model = Model::Answered(number);
                        }
                    }
                }
                Step::End => {
                    table.end(0, |_| number, &mut Vec::new());
                    for (_, model) in &mut calls {
                        if let Model::Waiting(_) = model {
                            *model = Model::Answered(number);
                        }
                    }
                }
                Step::Answer(_) | Step::Poll(_) | Step::Abandon(_) => {}
            }
            let waiting: HashMap<u64, Option<u64>> = calls.iter().filter_map(|(id, model)| match model {
                Model::Waiting(due) => Some((id.request_id(), *due)),
                _ => None,
            }).collect();
            prop_assert_eq!(table.waiting_count(), waiting.len());
            prop_assert!(waiting.keys().all(|&id| table.is_waiting(id)));
            // The table may wake its driver too early, never too late.
            let first = waiting.values().flatten().min().map(|&due| at(due));
            if let Some(first) = first {
                prop_assert!(table.next_deadline().is_some_and(|next| next <= first));
            }
        }
    }
}
