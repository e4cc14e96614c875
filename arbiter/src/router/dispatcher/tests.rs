//! The dispatcher, told what happens and asked what it wants.

use std::time::{Duration, Instant};

use gunmetal_supervise::WorkerId;

use super::*;
use crate::link::{ConfiguredApp, WorkerUp};

mod faults;
mod histories;
mod placing;

/// A dispatcher on a clock of its own.
struct Bench {
    dispatcher: Dispatcher,
    now: Instant,
    next_request: u64,
    max_calls: Option<u64>,
}

impl Bench {
    fn new(dirty_timeout: Option<Duration>) -> Bench {
        Bench::with(Limits { dirty_timeout, queue_len: 10, queued_bytes: 1 << 20, max_wait: us(200) })
    }

    fn with(limits: Limits) -> Bench {
        let mut dispatcher = Dispatcher::new(limits);
        let apps = [("a:A", None), ("b:B", None), ("off:Off", Some(0))];
        dispatcher.configure(&apps.map(|(path, limit)| ConfiguredApp { path: path.to_owned(), limit }));
        Bench { dispatcher, now: Instant::now(), next_request: 0, max_calls: None }
    }

    /// A bench with one worker of so many ready lanes.
    fn with_lanes(threads: u32, dirty_timeout: Option<Duration>) -> (Bench, Vec<LaneId>) {
        let mut bench = Bench::new(dirty_timeout);
        let lanes = bench.up(1, threads);
        for &lane in &lanes {
            bench.dispatcher.lane_ready(lane, bench.now);
        }
        assert_eq!(bench.actions(), []);
        (bench, lanes)
    }

    /// Brings a worker up; returns its lanes, which are not ready yet.
    fn up(&mut self, slot: u32, threads: u32) -> Vec<LaneId> {
        let up = WorkerUp {
            worker: worker(slot),
            pid: 1000 + slot,
            age: slot.into(),
            apps: vec!["a:A".to_owned(), "b:B".to_owned()],
            socket: String::new(),
            threads,
            max_calls: self.max_calls,
        };
        self.dispatcher.worker_up(&up, self.now);
        let opened = self.actions().into_iter().map(|action| match action {
            Action::OpenLane { lane, .. } => lane,
            other => panic!("{other:?} where a lane was to be opened"),
        });
        opened.collect()
    }

    fn call(&mut self, action: &str) -> Admission {
        self.next_request += 1;
        self.request(self.next_request, "a:A", action, Payload::Whole(b"payload"))
    }

    fn upload(&mut self, len: u32) -> Admission {
        self.next_request += 1;
        self.request(self.next_request, "a:A", "upload", Payload::Upload { len })
    }

    fn request(&mut self, request_id: u64, app_path: &str, action: &str, payload: Payload<'_>) -> Admission {
        let request = Request { caller: caller(request_id), app_path, action: Some(action), payload };
        self.dispatcher.request(request, self.now)
    }

    fn reply(&mut self, lane: LaneId, seq: u64) -> Vec<Action> {
        assert!(self.dispatcher.caller(lane, seq).is_ok());
        self.dispatcher.reply(lane, seq, Reply::Whole, self.now);
        self.actions()
    }

    /// What is wanted after a turn.
    fn actions(&mut self) -> Vec<Action> {
        self.dispatcher.settle(self.now);
        std::iter::from_fn(|| self.dispatcher.poll_action()).collect()
    }

    /// Lets time pass, ticking as a driver would.
    fn pass(&mut self, time: Duration) -> Vec<Action> {
        let end = self.now + time;
        let mut actions = Vec::new();
        while let Some(deadline) = self.dispatcher.next_deadline().filter(|&deadline| deadline <= end) {
            self.now = self.now.max(deadline);
            self.dispatcher.tick(self.now);
            actions.extend(self.actions());
            assert!(
                self.dispatcher.next_deadline().is_none_or(|next| next > self.now),
                "a deadline that does not go away"
            );
        }
        self.now = end;
        actions
    }

    /// Teaches the dispatcher that an action takes so long.
    fn learn(&mut self, action: &str, took: Duration) {
        for _ in 0..100 {
            let Admission::Hand { lane, seq } = self.call(action) else { panic!("no lane is idle") };
            self.now += took;
            assert_eq!(self.reply(lane, seq), []);
        }
    }
}

fn worker(slot: u32) -> WorkerId {
    WorkerId { slot, generation: 1 }
}

fn caller(request_id: u64) -> Caller {
    Caller { client: ClientId(usize::try_from(request_id % 3).unwrap()), request_id }
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn us(us: u64) -> Duration {
    Duration::from_micros(us)
}
