//! Whatever happens, in whatever order: the dispatcher against a model of the workers and clients around it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::prelude::*;

use super::*;
use crate::router::dispatcher::lane::MAX_HANDED;

const LIMIT: Duration = Duration::from_secs(3);

/// One thing that happens. Numbers choose among what there is at that moment.
#[derive(Debug, Clone)]
enum Event {
    Call {
        app: usize,
        action: usize,
    },
    Upload,
    /// A lane answers its first call.
    Answer {
        lane: usize,
    },
    Chunk {
        lane: usize,
    },
    Uploaded {
        lane: usize,
    },
    /// A worker answers a revocation: that many of the calls asked for had started.
    Revoked {
        which: usize,
        started: usize,
    },
    Ready {
        lane: usize,
    },
    /// The connection of a lane ends, with all that was handed written, or not.
    LaneEnds {
        lane: usize,
        unwritten: u64,
    },
    WorkerUp,
    WorkerStops {
        worker: usize,
    },
    WorkerDies {
        worker: usize,
    },
    Cancel {
        call: usize,
    },
    ClientLeaves {
        client: usize,
    },
    Pass {
        time: Duration,
    },
}

fn event() -> impl Strategy<Value = Event> {
    let any = 0..64_usize;
    prop_oneof![
        8 => (0..2_usize, 0..3_usize).prop_map(|(app, action)| Event::Call { app, action }),
        1 => Just(Event::Upload),
        12 => any.clone().prop_map(|lane| Event::Answer { lane }),
        1 => any.clone().prop_map(|lane| Event::Chunk { lane }),
        2 => any.clone().prop_map(|lane| Event::Uploaded { lane }),
        3 => (any.clone(), 0..4_usize).prop_map(|(which, started)| Event::Revoked { which, started }),
        4 => any.clone().prop_map(|lane| Event::Ready { lane }),
        1 => (any.clone(), 0..60_u64).prop_map(|(lane, unwritten)| Event::LaneEnds { lane, unwritten }),
        1 => Just(Event::WorkerUp),
        1 => any.clone().prop_map(|worker| Event::WorkerStops { worker }),
        1 => any.clone().prop_map(|worker| Event::WorkerDies { worker }),
        1 => any.clone().prop_map(|call| Event::Cancel { call }),
        1 => (0..3_usize).prop_map(|client| Event::ClientLeaves { client }),
        8 => prop_oneof![0..300_u64, 0..5_000_u64, 0..4_000_000_u64].prop_map(|us| Event::Pass { time: super::us(us) }),
    ]
}

/// The world around the dispatcher, as far as the dispatcher can know it.
struct World {
    bench: Bench,
    slots: u32,
    /// Workers whose process lives.
    alive: BTreeSet<u32>,
    /// Lanes that the dispatcher has open, with what it handed to them.
    lanes: BTreeMap<(u32, u32), OpenLane>,
    revocations: VecDeque<(LaneId, u64)>,
    /// Calls that wait for their outcome, with the app's name.
    pending: BTreeMap<u64, &'static str>,
    /// Calls that left their queue at least once: their order says nothing any more.
    left_queue: BTreeSet<u64>,
    condemned: BTreeSet<u32>,
    /// Workers that have had their share of calls.
    served: BTreeSet<u32>,
}

struct OpenLane {
    id: LaneId,
    worker: u32,
    ready: bool,
    handed: VecDeque<(u64, u64)>,
    uploading: bool,
}

impl World {
    fn new() -> World {
        let limits = Limits {
            dirty_timeout: Some(LIMIT),
            queue_len: 40,
            queued_bytes: 1 << 20,
            max_wait: super::us(200),
        };
        World {
            bench: Bench { max_calls: Some(SHARE), ..Bench::with(limits) },
            slots: 0,
            alive: BTreeSet::new(),
            lanes: BTreeMap::new(),
            revocations: VecDeque::new(),
            pending: BTreeMap::new(),
            left_queue: BTreeSet::new(),
            condemned: BTreeSet::new(),
            served: BTreeSet::new(),
        }
    }

    fn pick_lane(&self, number: usize, wanted: impl Fn(&OpenLane) -> bool) -> Option<LaneId> {
        let lanes: Vec<_> = self.lanes.values().filter(|lane| wanted(lane)).collect();
        (!lanes.is_empty()).then(|| lanes[number % lanes.len()].id)
    }

    fn lane(&mut self, id: LaneId) -> &mut OpenLane {
        self.lanes.get_mut(&(id.index, id.serial)).expect("a lane that is open")
    }

    fn pick_worker(&self, number: usize) -> Option<u32> {
        let alive: Vec<_> = self.alive.iter().collect();
        (!alive.is_empty()).then(|| *alive[number % alive.len()])
    }

    fn happen(&mut self, event: Event) {
        let now = self.bench.now;
        match event {
            Event::Call { app, action } => {
                let app = ["a:A", "b:B"][app];
                let action = ["short", "mid", "streams"][action];
                self.admit(app, action, Payload::Whole(b"payload"));
            }
            Event::Upload => self.admit("a:A", "upload", Payload::Upload { len: 1 << 20 }),
            Event::Answer { lane } => {
                if let Some(id) = self.pick_lane(lane, |lane| !lane.handed.is_empty() && !lane.uploading) {
                    self.answer(id, Reply::Whole);
                }
            }
            Event::Chunk { lane } => {
                if let Some(id) = self.pick_lane(lane, |lane| !lane.handed.is_empty() && !lane.uploading) {
                    let (seq, _) = self.lane(id).handed[0];
                    assert!(self.bench.dispatcher.caller(id, seq).is_ok());
                    self.bench.dispatcher.reply(id, seq, Reply::Chunk, now);
                }
            }
            Event::Uploaded { lane } => {
                if let Some(id) = self.pick_lane(lane, |lane| lane.uploading) {
                    self.lane(id).uploading = false;
                    self.bench.dispatcher.upload_done(id, now);
                }
            }
            Event::Revoked { which, started } => {
                if self.revocations.is_empty() {
                    return;
                }
                let (id, upto) = self.revocations.remove(which % self.revocations.len()).unwrap();
                let Some(lane) = self.lanes.get_mut(&(id.index, id.serial)) else { return };
                let not_started: Vec<_> =
                    lane.handed.iter().skip(started).filter(|(seq, _)| *seq <= upto).copied().collect();
                let first = not_started.first().map_or(upto + 1, |(seq, _)| *seq);
                lane.handed.retain(|(seq, _)| *seq < first);
                self.bench.dispatcher.revoked(id, first, now);
            }
            Event::Ready { lane } => {
                if let Some(id) = self.pick_lane(lane, |lane| !lane.ready) {
                    self.lane(id).ready = true;
                    self.bench.dispatcher.lane_ready(id, now);
                }
            }
            Event::LaneEnds { lane, unwritten } => {
                if let Some(id) = self.pick_lane(lane, |_| true) {
                    let handed = self.bench.dispatcher.lane(id).map_or(0, |lane| lane.handed_len);
                    self.bench.dispatcher.lane_ended(id, handed.saturating_sub(unwritten), now);
                    let lane = self.lane(id);
                    // Nothing comes from there any more.
                    lane.handed.clear();
                    lane.uploading = false;
                }
            }
            Event::WorkerUp => {
                self.slots += 1;
                self.alive.insert(self.slots);
                let threads = 1 + self.slots % 2;
                for id in self.bench.up(self.slots, threads) {
                    self.opened(id, self.slots);
                }
            }
            Event::WorkerStops { worker: number } => {
                if let Some(slot) = self.pick_worker(number) {
                    self.bench.dispatcher.worker_stopping(worker(slot));
                }
            }
            Event::WorkerDies { worker: number } => {
                if let Some(slot) = self.pick_worker(number) {
                    self.alive.remove(&slot);
                    self.bench.dispatcher.worker_gone(worker(slot), "died".to_owned(), now);
                }
            }
            Event::Cancel { call } => {
                if let Some(&request_id) = self.pending.keys().nth(call) {
                    self.pending.remove(&request_id);
                    self.bench.dispatcher.cancel(caller(request_id), now);
                }
            }
            Event::ClientLeaves { client } => {
                self.pending.retain(|&request_id, _| caller(request_id).client.0 != client);
                self.bench.dispatcher.client_gone(ClientId(client), now);
            }
            Event::Pass { time } => {
                self.pass(time);
            }
        }
        let actions = self.bench.actions();
        self.act(actions);
        self.check();
    }

    fn pass(&mut self, time: Duration) {
        let end = self.bench.now + time;
        while let Some(deadline) = self.bench.dispatcher.next_deadline().filter(|&deadline| deadline <= end) {
            let actions = self.bench.pass(deadline.saturating_duration_since(self.bench.now));
            self.act(actions);
        }
        self.bench.now = end;
    }

    fn admit(&mut self, app: &'static str, action: &str, payload: Payload<'_>) {
        self.bench.next_request += 1;
        let request_id = self.bench.next_request;
        match self.bench.request(request_id, app, action, payload) {
            Admission::Hand { lane, seq } => {
                self.pending.insert(request_id, app);
                self.handed(lane, seq, matches!(payload, Payload::Upload { .. }));
            }
            Admission::Queued => {
                self.pending.insert(request_id, app);
            }
            Admission::Refused(failure) => {
                assert!(matches!(failure, Failure::QueueFull { .. }), "{failure:?}")
            }
        }
    }

    fn handed(&mut self, id: LaneId, seq: u64, uploading: bool) {
        let call = &self.bench.dispatcher.lane(id).unwrap().handed(seq).unwrap().call;
        let request_id = call.caller.expect("nothing is handed over that nobody waits for").request_id;
        assert!(self.pending.contains_key(&request_id), "call {request_id} is handed over after its outcome");
        let app = self.pending[&request_id];
        if self.left_queue.insert(request_id) {
            let overtaken = self
                .pending
                .range(..request_id)
                .find(|(other, other_app)| **other_app == app && !self.left_queue.contains(other));
            assert_eq!(overtaken, None, "call {request_id} overtook an older one");
        }
        let lane = self.lane(id);
        assert!(lane.ready, "handed to a lane that is not ready");
        assert!(lane.handed.is_empty() || (!uploading && !lane.uploading), "an upload is alone on its lane");
        lane.handed.push_back((seq, request_id));
        lane.uploading = uploading;
        let worker = lane.worker;
        assert!(!self.condemned.contains(&worker), "handed to a condemned worker");
    }

    fn answer(&mut self, id: LaneId, reply: Reply) {
        let (seq, request_id) = self.lane(id).handed.pop_front().unwrap();
        let caller = self.bench.dispatcher.caller(id, seq).unwrap();
        if let Some(caller) = caller {
            assert_eq!(caller.request_id, request_id, "an answer for somebody else");
            assert!(self.pending.remove(&request_id).is_some(), "a second outcome for call {request_id}");
        } else {
            assert!(!self.pending.contains_key(&request_id), "the answer to call {request_id} is dropped");
        }
        let now = self.bench.now;
        self.bench.dispatcher.reply(id, seq, reply, now);
    }

    fn opened(&mut self, id: LaneId, worker: u32) {
        let lane = OpenLane { id, worker, ready: false, handed: VecDeque::new(), uploading: false };
        self.lanes.insert((id.index, id.serial), lane);
    }

    fn act(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::OpenLane { lane, worker } => self.opened(lane, worker.slot),
                Action::CloseLane { lane } => {
                    assert!(self.lanes.remove(&(lane.index, lane.serial)).is_some(), "closed twice");
                }
                Action::Hand { lane, seq } => {
                    assert_eq!(self.bench.dispatcher.body(lane, seq), Some(&b"payload"[..]));
                    self.handed(lane, seq, false);
                }
                Action::Grant { lane, seq, .. } => self.handed(lane, seq, true),
                Action::Revoke { lane, upto, .. } => self.revocations.push_back((lane, upto)),
                Action::Fail { caller, .. } => {
                    let pending = self.pending.remove(&caller.request_id);
                    assert!(pending.is_some(), "call {} fails after its outcome", caller.request_id);
                }
                Action::Condemn { worker, .. } => {
                    assert!(self.condemned.insert(worker.slot), "condemned twice");
                }
                Action::Served { worker, calls } => {
                    assert_eq!(calls, SHARE);
                    assert!(self.served.insert(worker.slot), "told twice");
                }
                Action::Drained { .. } | Action::Finished => {}
            }
        }
    }

    fn check(&self) {
        let dispatcher = &self.bench.dispatcher;
        let queued: usize = dispatcher.apps.iter().flat_map(|app| &app.queue).map(Call::held_len).sum();
        assert_eq!(dispatcher.queued_bytes, queued);
        let uploads =
            dispatcher.lanes.iter().flatten().filter(|lane| lane.phase == lane::Phase::Uploading).count();
        assert_eq!(dispatcher.upload_count, uploads);
        for lane in dispatcher.lanes.iter().flatten() {
            assert!(lane.handed.len() <= MAX_HANDED);
            let booked: Duration = lane.handed.iter().filter_map(|handed| handed.expected).sum();
            assert_eq!(lane.booked, booked);
            assert_eq!(
                lane.unbookable,
                lane.handed.iter().filter(|handed| handed.expected.is_none()).count()
            );
        }
        let held = dispatcher.apps.iter().flat_map(|app| &app.queue);
        let handed =
            dispatcher.lanes.iter().flatten().flat_map(|lane| &lane.handed).map(|handed| &handed.call);
        let known: Vec<_> =
            held.chain(handed).filter_map(|call| call.caller).map(|caller| caller.request_id).collect();
        let unique: BTreeSet<_> = known.iter().copied().collect();
        assert_eq!(known.len(), unique.len(), "a call is in two places: {known:?}");
        assert_eq!(unique, self.pending.keys().copied().collect(), "calls held against calls that wait");
    }
}

proptest! {
    /// Every call has exactly one outcome, none is lost or in two places; calls of an app leave its queue in order; no
    /// lane gets more than its bound, nor anything while it is not ready or its worker is condemned.
    #[test]
    fn every_call_has_one_outcome(events in prop::collection::vec(event(), 1..250)) {
        let mut world = World::new();
        for event in events {
            world.happen(event);
        }
        // When everybody dies and nobody comes, everything is answered within the time limit and the graces.
        while let Some(slot) = world.alive.pop_first() {
            world.bench.dispatcher.worker_gone(worker(slot), "died".to_owned(), world.bench.now);
        }
        let actions = world.bench.actions();
        world.act(actions);
        world.pass(LIMIT * 2);
        world.check();
        prop_assert!(world.pending.is_empty(), "never answered: {:?}", world.pending);
        prop_assert!(world.lanes.is_empty());
        prop_assert_eq!(world.bench.dispatcher.next_deadline(), None);
    }
}

/// The calls of which the parent of a worker wants to hear.
const SHARE: u64 = 3;
