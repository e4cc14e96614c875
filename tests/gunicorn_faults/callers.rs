//! Callers of short calls that go on beside what a test does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::{self, JoinHandle};

use gunmetal::args;
use gunmetal::blocking::Client;
use gunmetal::client::CallError;

use crate::support::Service;
use crate::support::probe::client;

/// Threads that call `echo` one call after the other until they are stopped.
pub(crate) struct Callers {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
    threads: Vec<JoinHandle<Vec<CallError>>>,
}

impl Callers {
    /// `count` callers of the app at `app_path`, each with a connection of its own.
    pub(crate) fn start(service: &Service, app_path: &'static str, count: usize) -> Callers {
        let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let threads = (0..count)
            .map(|_| {
                let (client, stop, done) = (client(service), stop.clone(), done.clone());
                thread::spawn(move || call_until(&stop, &done, &client, app_path))
            })
            .collect();
        Callers { stop, done, threads }
    }

    /// How many calls have been answered so far.
    pub(crate) fn done(&self) -> u64 {
        self.done.load(Relaxed)
    }

    /// Waits until `count` more calls have been answered.
    pub(crate) fn go_on(&self, service: &Service, count: u64) {
        let goal = self.done() + count;
        service.wait_for("the callers to go on", || (self.done() >= goal).then_some(()));
    }

    /// Stops them: the errors that they met.
    pub(crate) fn stop(self) -> Vec<CallError> {
        self.stop.store(true, Relaxed);
        self.threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    }
}

fn call_until(stop: &AtomicBool, done: &AtomicU64, client: &Client, app_path: &str) -> Vec<CallError> {
    let mut errors = Vec::new();
    let mut i = 0;
    while !stop.load(Relaxed) {
        i += 1;
        match client.execute::<i64>(app_path, "echo", args![i]) {
            Ok(answer) => assert_eq!(answer, i, "somebody else's answer"),
            Err(error) => errors.push(error),
        }
        done.fetch_add(1, Relaxed);
    }
    errors
}
